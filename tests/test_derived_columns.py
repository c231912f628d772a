"""Derived columns on real Kafka, disk and MongoDB: the lake and the mirror have the same, exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest

from harness.mirror import MISMATCH
from harness.programs import wait_until, write_config
from harness.sales import send, send_more
from harness.table import Table

DERIVED = """
[reference.stores]
file = "stores.csv"
key = "store_id"

[[column]]
name = "store_city"
lookup = "stores.city"
by = "store_id"
default = "inconnue"

[[column]]
name = "sold_hour"
part = "hour"
of = "sold_at"
time_zone = "Europe/Paris"

[[column]]
name = "net_amount"
multiply = ["amount", "0.805"]

[[column]]
name = "channel_name"
upper = "channel"
"""
# What DuckDB says that is wrong with a row.
WRONG = """
    SELECT count(*) FROM lake WHERE net_amount != amount * 0.805 OR channel_name != upper(channel)
        OR sold_hour != hour(timezone('Europe/Paris', sold_at))"""


def cities(path, suffix: str) -> None:
    """A city for every second store."""
    rows = "".join(f"S{number:04},Ville-d'Été {number}{suffix}\n" for number in range(0, 2_000, 2))
    path.with_suffix(".new").write_text("store_id,city\n" + rows, encoding="utf-8")
    path.with_suffix(".new").rename(path)


@pytest.fixture
def table(local, kafka, stack, database, sales_producer, lake_writer, tmp_path) -> Table:
    """A table with derived columns, and a mirror of it whose rollups are kept by one."""
    sales = send(sales_producer, kafka, tmp_path, 5_000)
    cities(tmp_path / "stores.csv", "")
    (tmp_path / "derived.toml").write_text(DERIVED, encoding="utf-8")
    rollup = {"time": "sold_at", "by": ["store_city"], "sum": ["amount", "net_amount"]}
    place = {"uri": stack.mongodb.uri, "database": database.name, "rollup": rollup}
    config = write_config(
        tmp_path / "w.toml", local, kafka.bootstrap, sales.topic,
        table={"derived": str(tmp_path / "derived.toml")}, mirror={"mongodb": place},
    )  # fmt: skip
    table = Table(lake_writer, local, config)
    table.sales = sales
    return table


def test_lake_and_mirror_have_the_same_derived_columns(table, judge, database):
    table.run("run", "--until-end")
    seen = judge(table.lake)
    table.sales.expect(seen)
    assert seen.query(WRONG) == [(0,)]
    in_lake = dict(
        seen.query("SELECT store_city, (count(*), sum(amount), sum(net_amount)) FROM lake GROUP BY 1")
    )
    assert in_lake["inconnue"][0] > 1_000 and len(in_lake) > 50
    # THEN the mirror's documents and rollups are the same, to the last digit
    for collection, count in (("sales", 1), ("sales_rollup_day", "$count"), ("sales_rollup_minute", "$count")):
        sums = {"count": {"$sum": count}, "amount": {"$sum": "$amount"}, "net": {"$sum": "$net_amount"}}
        found = database[collection].aggregate([{"$group": {"_id": "$store_city", **sums}}])
        in_mirror = {
            row["_id"]: (row["count"], row["amount"].to_decimal(), row["net"].to_decimal()) for row in found
        }
        assert in_mirror == in_lake, collection
    net = sum((sums[2] for sums in in_lake.values()), Decimal(0))
    assert net == Decimal(table.sales.totals["amount"]) * Decimal("0.805")
    assert table.run("verify", "--mirror").json()["clean"]
    report = table.verify()
    assert report["clean"] and any("store_city" in word for word in report["unproved"])


def test_a_reference_table_that_changes_counts_from_then_on(table, judge, kafka, sales_producer, tmp_path):
    with table.lake_writer.start("--config", table.config, "--set", "rotation.max_age_ms=300", "run") as writer:
        wait_until(lambda: judge(table.lake).rows() == table.sales.rows, "all sales", 60)
        # WHEN the file changes THEN later sales have the new values, and those before the old ones
        cities(tmp_path / "stores.csv", " bis")
        more = send_more(sales_producer, kafka, tmp_path, table.sales.topic, 3_000, "--seed", 9)
        wait_until(lambda: judge(table.lake).rows() == table.sales.rows + more.rows, "more sales", 60)
        # AND a file that is broken changes nothing and is said once
        (tmp_path / "stores.csv").write_text("shop\n", encoding="utf-8")
        last = send_more(sales_producer, kafka, tmp_path, table.sales.topic, 2_000, "--seed", 10)
        everything = table.sales.rows + more.rows + last.rows
        wait_until(lambda: judge(table.lake).rows() == everything, "the last sales", 60)
        assert writer.terminate() == 0
        assert writer.log.count("has changed and cannot be read") in (1, 2)
    kinds = judge(table.lake).query("""
        SELECT store_city = 'inconnue' AS unknown, store_city LIKE '% bis' AS later, count(*) > 0 FROM lake GROUP BY ALL
        ORDER BY ALL""")
    assert kinds == [(False, False, True), (False, True, True), (True, False, True)]
    assert judge(table.lake).query(WRONG) == [(0,)]
    # THEN verification still proves the rest
    cities(tmp_path / "stores.csv", "")
    assert table.verify()["clean"]
    assert table.run("verify", "--mirror").json()["clean"]


def test_what_cannot_be_derived_is_said_at_the_start(table, tmp_path):
    def refused(derived: str, *options: str) -> str:
        (tmp_path / "derived.toml").write_text(derived, encoding="utf-8")
        return table.lake_writer.run("--config", table.config, *options, "config", "check", code=2).stdout

    assert "regoin" in refused('[[column]]\nname = "x"\nlower = "regoin"\n')
    assert "no column `town`" in refused(DERIVED.replace("stores.city", "stores.town"))
    (tmp_path / "stores.csv").unlink()
    assert "stores.csv" in refused(DERIVED)
    cities(tmp_path / "stores.csv", "")
    assert "derived column" in refused(DERIVED, "--set", 'table.partition_by=["store_city"]')
    # AND a table that is there keeps its columns
    (tmp_path / "derived.toml").write_text(DERIVED, encoding="utf-8")
    table.run("run", "--until-end")
    (tmp_path / "derived.toml").write_text(DERIVED.replace("net_amount", "netto"), encoding="utf-8")
    assert table.run("run", "--until-end", code=None).code not in (0, MISMATCH)
