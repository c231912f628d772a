"""`mirror repair --from-lake` on real Kafka and MongoDB: days of the mirror are what the lake says, to the cent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from bson.decimal128 import Decimal128

from harness.mirror import Mirror, sale
from harness.sales import send, send_more

FENCED, STORE = 5, 4


@pytest.fixture
def mirror(mirror_of, kafka, sales_producer, tmp_path) -> Mirror:
    """A lake and a mirror of the same sales of two days."""
    sales = send(sales_producer, kafka, tmp_path, 6_000, "--malformed-ratio", "0.02")
    mirror = mirror_of(sales.topic)
    mirror.run("run", "--until-end")
    mirror.catch_up()
    assert mirror.verify()["clean"]
    return mirror


def everything(mirror: Mirror) -> tuple:
    """All documents by id, and all rollups, parts as they are."""
    rollups = [
        sorted(map(str, mirror.database[f"sales_rollup_{grain}"].find({}, {"amount": 1, "count": 1})))
        for grain in ("minute", "day")
    ]
    return {str(found["_id"]): found for found in mirror.sales.find()}, rollups


def test_documents_and_rollups_are_made_again_from_the_lake(mirror, kafka, sales_producer, tmp_path):
    whole = everything(mirror)
    count = mirror.sales.count_documents({})
    # GIVEN documents that are lost, changed and added, and rollups that are wrong, on both days
    lost = [found["_id"] for found in mirror.sales.find().limit(300)]
    mirror.sales.delete_many({"_id": {"$in": lost}})
    mirror.sales.update_many({"region": "Bretagne"}, {"$set": {"amount": Decimal128(Decimal("1.00"))}})
    stranger = sale(7, _id={"partition": 0, "offset": 1 << 20}, sold_at=datetime(2026, 1, 30, 9, tzinfo=UTC))
    stranger |= {name: Decimal128(stranger[name]) for name in ("unit_price", "amount")}
    mirror.sales.insert_one({**stranger, "_id": {"partition": 0, "offset": -5}})
    mirror.database["sales_rollup_day"].delete_many({"region": "Corse"})
    assert mirror.found()
    # AND messages that are nowhere yet, and some that only the mirror has
    only_mirrored = send_more(sales_producer, kafka, tmp_path, mirror.topic, 500, "--seed", 8)
    mirror.catch_up()

    # WHEN asked what a repair would do THEN it says so and changes nothing
    before = everything(mirror)
    planned = mirror.run("mirror", "repair", "--from-lake").json()
    assert not planned["changed"] and [day["day"] for day in planned["days"]] == ["2026-01-30", "2026-01-31"]
    assert sum(day["after"] for day in planned["days"]) == count
    assert everything(mirror) == before

    # WHEN it is done THEN everything is as it was, and what the lake does not have is left alone
    done = mirror.run("mirror", "repair", "--from-lake", "--yes").json()
    assert done["changed"] and sum(day["after"] for day in done["days"]) == count
    assert mirror.verify()["clean"]
    found, _ = everything(mirror)
    assert len(found) == count + only_mirrored.rows
    assert {key: found[key] for key in whole[0]} == whole[0]
    # AND the mirror goes on, whatever parts its rollups have now
    parts = mirror.database["sales_rollup_day"].distinct("_id.part")
    assert sorted(parts) == [0, 1, 2, 3]
    send_more(sales_producer, kafka, tmp_path, mirror.topic, 700, "--seed", 9)
    mirror.catch_up()
    assert mirror.verify()["clean"]
    # AND the lake catches up, and a day by itself is made again as well
    mirror.run("run", "--until-end")
    again = mirror.run("mirror", "repair", "--from-lake", "--since", "2026-01-31", "--yes").json()
    assert [day["day"] for day in again["days"]] == ["2026-01-31"]
    assert again["days"][0]["before"] == again["days"][0]["after"]
    assert mirror.verify()["clean"]


def test_a_mirror_that_runs_and_a_repair_do_no_harm_to_each_other(mirror, kafka, sales_producer, tmp_path):
    # GIVEN a mirror at work WHEN a repair begins THEN one of them ends or both finish, and nothing is wrong
    mirror.sales.delete_many({"region": "Corse"})
    with mirror.start() as running:
        running.wait_for_log("mirroring from these offsets")
        send_more(sales_producer, kafka, tmp_path, mirror.topic, 3_000, "--seed", 8)
        repaired = mirror.run("mirror", "repair", "--from-lake", "--yes", code=None)
        assert repaired.code in (0, FENCED, STORE), repaired.stderr
        if repaired.code != 0:
            assert "again" in repaired.stderr
        running.terminate()
    # AND run again with the mirror stopped, it puts everything right
    mirror.catch_up()
    mirror.run("mirror", "repair", "--from-lake", "--yes")
    assert mirror.verify()["clean"]


def test_what_cannot_be_rebuilt_is_said(mirror_of, kafka):
    topic = kafka.create_topic()
    kafka.produce(topic, [json.dumps(sale(n)) for n in range(3)])
    never = mirror_of(topic)
    assert "run `lake-writer mirror` once" in never.run("mirror", "repair", "--from-lake", code=STORE).stderr
    keyed = mirror_of(topic, id="field:sale_id")
    keyed.catch_up()
    assert "every version" in keyed.run("mirror", "repair", "--from-lake", code=STORE).stderr
    assert "--from-lake" in keyed.run("mirror", "repair", code=2).stderr
