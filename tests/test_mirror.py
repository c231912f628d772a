"""The mirror on real Kafka and MongoDB: what is there is what was sent, whatever is killed, frozen or refused.

Documents and rollups are read by pymongo and compared with sums made here from the messages themselves.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pymongo
import pytest
from bson.decimal128 import Decimal128
from confluent_kafka import Consumer, TopicPartition
from pymongo.errors import AutoReconnect, PyMongoError

from harness.mirror import SUMS, Mirror, moment, sale
from harness.programs import wait_until
from harness.sales import send
from native_stack import artifacts

USAGE, STORE = 2, 4


def messages(kafka, topic: str) -> dict[tuple[int, int], bytes | None]:
    """Every message's value by partition and offset."""
    consumer = Consumer({**kafka.client, "group.id": "messages", "enable.auto.commit": "false"})
    found = {}
    try:
        for number, (start, end) in kafka.watermarks(topic).items():
            consumer.assign([TopicPartition(topic, number, start)])
            at = start
            while at < end:
                for message in consumer.consume(10_000, timeout=1.0):
                    assert message.error() is None, message.error()
                    found[number, message.offset()] = message.value()
                    at = message.offset() + 1
    finally:
        consumer.close()
    return found


def read(value: bytes) -> dict:
    """A message as it is written: money is no float."""
    return json.loads(value, parse_float=Decimal)


def as_document(place: tuple[int, int], row: dict) -> dict:
    """What a message must become, written down without the mirror's code."""
    money = {name: Decimal128(Decimal(row[name]).quantize(Decimal("0.01"))) for name in ("unit_price", "amount")}
    known = {name: row.get(name) for name in sale()}
    return {"_id": {"partition": place[0], "offset": place[1]}, **known, **money, "sold_at": moment(row["sold_at"])}


def sent(mirror: Mirror, count: int, sales_producer) -> None:
    """Sends more sales to the mirror's topic."""
    sales_producer.run(
        "--bootstrap", mirror.kafka.bootstrap, "--topic", mirror.topic, "--count", count, "--rate", "max",
        "--quiet", "--from", "2026-01-30", "--days", 2, "--key", "sale", "--seed", random.randrange(10**6),
    )  # fmt: skip


def test_every_message_is_a_document_and_every_rollup_its_sum(mirror_of, kafka, sales_producer, tmp_path) -> None:
    """Content, types, dead letters, tombstones, rollups, indexes, validation; a second run adds nothing."""
    # GIVEN sales in four partitions, messages that are none, and a tombstone
    sales = send(sales_producer, kafka, tmp_path, 4_000)
    broken = [b"{", b"\xff", json.dumps(sale(sold_at="yesterday")).encode(), b""]
    kafka.produce(sales.topic, [*broken, None], partition=1, key=b"k")
    mirror = mirror_of(sales.topic)

    # WHEN mirrored
    summary = mirror.catch_up()

    # THEN each message is what it says, by a reading of its own
    rows, dead, tombstones = {}, {}, 0
    for place, value in messages(kafka, sales.topic).items():
        if value is None:
            tombstones += 1
        elif value in broken:
            dead[place] = value
        else:
            rows[place] = read(value)
    assert (len(rows), len(dead), tombstones) == (4_000, 4, 1)
    found = {(d["_id"]["partition"], d["_id"]["offset"]): d for d in mirror.sales.find()}
    assert found == {place: as_document(place, row) for place, row in rows.items()}
    letters = {(d["_id"]["partition"], d["_id"]["offset"]): d for d in mirror.dead.find()}
    assert {place: letter["value"] for place, letter in letters.items()} == dead
    assert {letter["reason"] for letter in letters.values()} >= {"invalid_text"}
    assert all(letter["key"] == b"k" for letter in letters.values())
    mirror.expect_rollups(list(rows.values()))
    assert (summary["documents"], summary["dead_letters"], summary["tombstones"]) == (4_000, 4, 1)

    # AND the dashboard's questions have their indexes, and what is no sale is refused by the server
    keys = [list(index["key"]) for index in mirror.sales.list_indexes()]
    assert keys[1:] == [["sold_at"], ["region", "sold_at"], ["product_name", "sold_at"]]
    with pytest.raises(pymongo.errors.WriteError):
        mirror.sales.insert_one({"_id": 1, "region": "Corse"})

    # AND another run finds nothing to do, and a verification nothing that differs
    assert mirror.catch_up()["documents"] == 0
    assert mirror.verify()["clean"]


def test_late_sales_land_in_their_own_minute(mirror_of, kafka) -> None:
    """Rows from before, from before the epoch, and on a bucket's edge."""
    topic = kafka.create_topic(partitions=2)
    mirror = mirror_of(topic)
    rows = [sale(1), sale(2, sold_at="2026-01-31T12:05:59.999999Z", amount="-0.05", quantity=-1)]
    kafka.produce(topic, [json.dumps(row) for row in rows])
    mirror.catch_up()
    late = [
        sale(3, sold_at="2026-01-31T12:00:59.999Z"), sale(4, sold_at="1969-12-31T23:59:59.999999Z"),
        sale(5, sold_at="2026-01-30T23:59:00Z", region=""), sale(6, sold_at="2026-01-31T12:00:00Z"),
    ]  # fmt: skip
    kafka.produce(topic, [json.dumps(row) for row in late], partition=1)
    mirror.catch_up()
    mirror.expect_rollups(rows + late)
    assert mirror.verify()["clean"]


def test_what_the_server_refuses_is_a_dead_letter_and_the_rest_goes_on(mirror_of, kafka) -> None:
    """A validator of somebody's own, made stricter, and a unique index: neither stops the mirror."""
    topic = kafka.create_topic()
    mirror = mirror_of(topic)
    mirror.catch_up()
    mirror.sales.create_index("store_id", unique=True)
    values = [sale(n, store_id=f"S{n}") for n in range(50)]
    values[7]["store_id"] = "S6"
    values[30]["store_id"] = "S6"
    kafka.produce(topic, [json.dumps(value) for value in values], key=b"k")

    mirror.catch_up()

    letters = {letter["_id"]["offset"]: letter for letter in mirror.dead.find()}
    assert {offset: letter["reason"] for offset, letter in letters.items()} == dict.fromkeys((7, 30), "duplicate_key")
    assert json.loads(letters[7]["value"]) == values[7]
    assert mirror.sales.count_documents({}) == 48
    mirror.expect_rollups([value for n, value in enumerate(values) if n not in letters])
    assert mirror.verify()["clean"]


def test_what_the_server_refuses_of_one_partition_holds_up_no_other(mirror_of, kafka) -> None:
    """One lane of four partitions, batches of all of them, and the server refuses something in two."""
    topic = kafka.create_topic(partitions=4)
    mirror = mirror_of(topic, transactions=1, batch_max_messages=60)
    mirror.catch_up()
    mirror.sales.create_index("store_id", unique=True)
    values = [sale(n, store_id=f"S{n}", amount=f"{n}.01") for n in range(200)]
    for same in (41, 70, 71, 198):
        values[same]["store_id"] = "S0"
    for partition in range(4):
        kafka.produce(topic, [json.dumps(value) for value in values[partition::4]], partition=partition)

    mirror.catch_up()

    letters = {json.loads(letter["value"])["sale_id"]: letter["_id"] for letter in mirror.dead.find()}
    # Which of the five comes first is a matter of the order in which partitions are read.
    assert len(letters) == 4
    refused = {value["sale_id"]: n for n, value in enumerate(values) if value["store_id"] == "S0"}
    assert letters.keys() < refused.keys()
    assert all(place["partition"] == refused[sale_id] % 4 for sale_id, place in letters.items())
    mirror.expect_rollups([value for value in values if value["sale_id"] not in letters])
    checkpoints = mirror.database["sales_checkpoint"].find({"_id": {"$type": "int"}})
    counts = {found["_id"]: (found["documents"], found["dead_letters"]) for found in checkpoints}
    for partition in range(4):
        dead = sum(place["partition"] == partition for place in letters.values())
        assert counts[partition] == (50 - dead, dead)
    assert mirror.verify()["clean"]


def test_killed_ten_times_and_mongod_three_times_nothing_is_lost_or_doubled(
    mirror_of, kafka, stack, sales_producer, tmp_path
) -> None:
    """SIGKILL in the middle of whatever is going on, again and again."""
    chance = random.Random(7)
    sales = send(sales_producer, kafka, tmp_path, 60_000)
    # Small transactions, few at once, so that a fast machine does not end before the last kill.
    mirror = mirror_of(sales.topic, batch_max_messages=100, transactions=2)
    for round_ in range(10):
        # A group of its own each time: the broker would wait for the member that was killed.
        with mirror.start(f"mirror.mongodb.group_id={mirror.topic}-{round_}") as running:
            running.wait_for_log("mirroring from")
            time.sleep(chance.uniform(0.05, 0.5))
            if round_ % 4 == 1:
                stack.mongodb.kill()
                time.sleep(chance.uniform(0, 0.3))
                stack.mongodb.start()
            running.kill()
    assert not mirror.complete(), "everything was written before the last kill: the test shows nothing"
    assert mirror.catch_up()["documents"] > 0
    assert mirror.sales.count_documents({}) == sales.rows
    mirror.expect_rollups([read(value) for value in messages(kafka, sales.topic).values()])
    assert mirror.verify()["clean"]


def test_an_outage_is_waited_out(mirror_of, kafka, stack, sales_producer, tmp_path) -> None:
    """mongod killed and back under a running mirror, which says so and goes on by itself."""
    sales = send(sales_producer, kafka, tmp_path, 30_000)
    mirror = mirror_of(sales.topic, batch_max_messages=500, uri=f"{stack.mongodb.uri}&serverSelectionTimeoutMS=1000")
    with mirror.start() as running:
        running.wait_for_log("mirroring from")
        stack.mongodb.kill()
        running.wait_for_log("trying again until it works")
        stack.mongodb.start()
        wait_until(mirror.complete, "the rest to be mirrored")
        assert running.terminate() == 0
    assert mirror.sales.count_documents({}) == sales.rows
    assert mirror.verify()["clean"]


def test_a_frozen_mirror_that_wakes_cannot_write(mirror_of, kafka, sales_producer, tmp_path) -> None:
    """Frozen past its session; another one takes over; the first wakes with batches in hand."""
    sales = send(sales_producer, kafka, tmp_path, 30_000)
    mirror = mirror_of(sales.topic, batch_max_messages=300)
    with mirror.start("source.kafka.client.session.timeout.ms=6000") as first:
        first.wait_for_log("mirroring from")
        first.freeze()
        assert not mirror.complete()
        with mirror.start() as second:
            wait_until(mirror.complete, "the second to take over")
            first.resume()
            sent(mirror, 2_000, sales_producer)
            wait_until(mirror.complete, "the rest")
            assert second.terminate() == 0
    assert mirror.sales.count_documents({}) == sales.rows + 2_000
    assert mirror.verify()["clean"]


def test_two_mirrors_share_the_partitions(mirror_of, kafka, sales_producer, tmp_path) -> None:
    """A rebalance in mid-stream, and another when one leaves."""
    sales = send(sales_producer, kafka, tmp_path, 20_000)
    mirror = mirror_of(sales.topic, batch_max_messages=300)
    with mirror.start() as first, mirror.start() as second:
        for running in (first, second):
            running.wait_for_log("mirroring from")
        sent(mirror, 5_000, sales_producer)
        assert first.terminate() == 0
        sent(mirror, 5_000, sales_producer)
        wait_until(mirror.complete, "the one that is left to take over")
        assert second.terminate() == 0
    assert mirror.sales.count_documents({}) == sales.rows + 10_000
    assert mirror.verify()["clean"]


def test_a_step_down_in_mid_transaction_is_got_over(mirror_of, kafka, mongodb, sales_producer, tmp_path) -> None:
    """The primary steps down twice while transactions are in flight."""
    sales = send(sales_producer, kafka, tmp_path, 30_000)
    mirror = mirror_of(sales.topic, batch_max_messages=400)
    with mirror.start() as running:
        running.wait_for_log("mirroring from")
        for _ in range(2):
            time.sleep(0.3)
            step_down(mongodb)
        wait_until(mirror.complete, "the rest to be mirrored")
        assert running.terminate() == 0
    assert mirror.sales.count_documents({}) == sales.rows
    assert mirror.verify()["clean"]


def step_down(client: pymongo.MongoClient) -> None:
    """Makes the only member a secondary for a second, whatever it is doing."""
    try:
        client.admin.command("replSetStepDown", 1, force=True)
    except PyMongoError as error:
        assert "not primary" in str(error).lower() or isinstance(error, AutoReconnect), error


def test_keys_are_replaced_and_deleted_and_rollups_follow(mirror_of, kafka) -> None:
    """`id = "field:sale_id"`: updates in one batch and across batches, tombstones, a key that comes back."""
    topic = kafka.create_topic()
    mirror = mirror_of(topic, id="field:sale_id")

    def say(number: int, row: dict | None) -> None:
        kafka.produce(topic, [row and json.dumps(row)], key=str(uuid.UUID(int=number)).encode())

    for number in range(6):
        say(number, sale(number))
    say(0, sale(0, amount="1.00", sold_at="2026-02-01T00:00:00Z"))
    mirror.catch_up()
    say(1, sale(1, region="Bretagne", quantity=9))
    say(2, None)
    say(3, None)
    say(3, sale(3, amount="7.77"))
    say(4, sale(4, amount="8.88"))
    say(4, None)
    kafka.produce(topic, [None], key=None)
    kafka.produce(topic, [None], key=b"\xff")
    mirror.catch_up()

    left = [
        sale(0, amount="1.00", sold_at="2026-02-01T00:00:00Z"), sale(1, region="Bretagne", quantity=9),
        sale(3, amount="7.77"), sale(5),
    ]  # fmt: skip
    found = {document["_id"]: document for document in mirror.sales.find()}
    assert set(found) == {row["sale_id"] for row in left}
    for row in left:
        document = found[row["sale_id"]]
        assert document["amount"].to_decimal() == Decimal(row["amount"])
        assert (document["region"], document["kafka_partition"]) == (row["region"], 0)
    mirror.expect_rollups(left)
    assert mirror.dead.count_documents({}) == 2
    assert mirror.verify()["clean"]

    # WHEN one is changed and one is gone THEN verification names both
    gone, changed = left[1]["sale_id"], left[2]["sale_id"]
    mirror.sales.delete_one({"_id": gone})
    mirror.sales.update_one({"_id": changed}, {"$set": {"channel": "app"}})
    found = mirror.found()
    assert sum(n for (kind, _, _), n in found.items() if kind == "missing") == 1
    assert sum(n for (kind, _, _), n in found.items() if kind == "differing") == 1


def test_verify_names_what_is_planted(mirror_of, kafka) -> None:
    """A document missing, changed, doubled, a dead letter gone, a rollup a cent off: each, and nothing else."""
    topic = kafka.create_topic(partitions=2)
    rows = [json.dumps(sale(n)) for n in range(20)]
    kafka.produce(topic, [*rows, b"broken"])
    mirror = mirror_of(topic)
    mirror.catch_up()
    assert mirror.verify()["clean"]

    def place(offset: int) -> dict:
        return {"_id": {"partition": 0, "offset": offset}}

    missing = mirror.sales.find_one_and_delete(place(3))
    mirror.sales.update_one(place(5), {"$set": {"amount": Decimal128("12.21")}})
    mirror.sales.insert_one({**mirror.sales.find_one(place(6)), "_id": {"partition": 0, "offset": 900}})
    mirror.dead.insert_one({**place(7), "reason": "malformed"})
    letter = mirror.dead.find_one_and_delete(place(20))

    found = mirror.found()

    expected = {
        ("missing", 0, 3), ("differing", 0, 5), ("unexpected", 0, 900), ("doubled", 0, 7), ("missing", 0, 20),
    }  # fmt: skip
    assert {key for key in found if key[0] != "wrong_rollup"} == expected
    # The documents now differ from their rollups too, in one minute and one day.
    assert found["wrong_rollup", None, None] == 2

    # GIVEN everything is put back WHEN a rollup is a cent off THEN that alone is found
    mirror.sales.insert_one(missing)
    mirror.sales.update_one(place(5), {"$set": {"amount": Decimal128("12.20")}})
    mirror.sales.delete_one({"_id": {"partition": 0, "offset": 900}})
    mirror.dead.delete_one(place(7))
    mirror.dead.insert_one(letter)
    assert mirror.verify()["clean"]
    mirror.database["sales_rollup_day"].update_one({}, {"$inc": {"amount": Decimal128("0.01")}})
    assert mirror.found() == Counter({("wrong_rollup", None, None): 1})


def test_run_mirrors_beside_the_lake_which_needs_no_database(mirror_of, kafka, stack, sales_producer, tmp_path) -> None:
    """`run` writes both; with mongod gone the lake is written all the same."""
    sales = send(sales_producer, kafka, tmp_path, 3_000)
    mirror = mirror_of(sales.topic, uri=f"{stack.mongodb.uri}&serverSelectionTimeoutMS=500")
    assert mirror.run("run", "--until-end").json()["rows"] == sales.rows
    assert mirror.sales.count_documents({}) == sales.rows
    assert mirror.run("verify").json()["clean"] and mirror.verify()["clean"]

    sent(mirror, 1_000, sales_producer)
    stack.mongodb.kill()
    with mirror.program.start("--config", mirror.config, "--set=rotation.max_age_ms=200", "run") as running:
        running.wait_for_log("committed and published")
        running.wait_for_log("trying again until it works")
        stack.mongodb.start()
        wait_until(mirror.complete, "the mirror to catch up")
        assert running.terminate() == 0
    assert mirror.run("verify").json()["clean"] and mirror.verify()["clean"]


def test_what_is_wrong_is_said_at_the_start(mirror_of, kafka) -> None:
    """Unknown fields, another definition of the same collections, no settings at all."""
    topic = kafka.create_topic()
    wrong = mirror_of(topic, rollup={**SUMS, "by": ["regoin"]}).run("mirror", "--until-end", code=USAGE)
    assert "`regoin`" in wrong.stderr and "region" in wrong.stderr
    mirror_of(topic).catch_up()
    other = mirror_of(topic, rollup={**SUMS, "by": ["region"]}).run("mirror", "--until-end", code=STORE)
    assert "were made with" in other.stderr
    unset = mirror_of(topic, uri="mongodb://till:tr0ub4dor@127.0.0.1:1/?replicaSet=rs0").run("config", "print")
    assert "tr0ub4dor" not in unset.stdout and "[redacted]" in unset.stdout


class Mongod:
    """A mongod of a test's own, with other options than the shared one."""

    def __init__(self, folder: Path, *options: object) -> None:
        self.folder = folder / f"mongod-{uuid.uuid4().hex[:6]}"
        self.folder.mkdir()
        self.port = free_port()
        self.process = subprocess.Popen(
            [artifacts.mongod(), "--bind_ip", "127.0.0.1", "--port", str(self.port), "--dbpath", self.folder,
             "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", *map(str, options)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> Mongod:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_server_of_no_replica_set_is_refused_with_the_remedy(mirror_of, kafka, tmp_path) -> None:
    """Whether or not the connection string names a set."""
    topic = kafka.create_topic()
    with Mongod(tmp_path) as mongod:
        for options in ("", "?replicaSet=rs0&serverSelectionTimeoutMS=1500"):
            mirror = mirror_of(topic, uri=f"mongodb://127.0.0.1:{mongod.port}/{options}")
            with pymongo.MongoClient(port=mongod.port, directConnection=True) as client:
                client.admin.command("ping")
            ended = mirror.run("mirror", "--until-end", code=STORE)
            assert "rs.initiate()" in ended.stderr, ended.stderr


@pytest.fixture
def secured(tmp_path) -> Iterator[tuple[Mongod, Path]]:
    """A replica set of one that wants TLS and SCRAM; user `till`, password `tr0ub4dor`."""
    key, certificate = tmp_path / "keyfile", tmp_path / "server.pem"
    key.write_text("a" * 64)
    key.chmod(0o600)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    certificate.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "ca.pem").read_text())
    options = [
        "--replSet", "rs0", "--auth", "--keyFile", key, "--tlsMode", "requireTLS",
        "--tlsCertificateKeyFile", certificate, "--tlsCAFile", tmp_path / "ca.pem",
        "--tlsAllowConnectionsWithoutCertificates",
    ]  # fmt: skip
    with Mongod(tmp_path, *options) as mongod:
        tls = {"tls": True, "tlsCAFile": str(tmp_path / "ca.pem")}
        with pymongo.MongoClient("127.0.0.1", mongod.port, directConnection=True, **tls) as client:
            member = {"_id": 0, "host": f"127.0.0.1:{mongod.port}"}
            client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
            wait_until(lambda: client.admin.command("hello")["isWritablePrimary"], "a primary")
            client.admin.command("createUser", "till", pwd="tr0ub4dor", roles=["root"])
        yield mongod, tmp_path / "ca.pem"


def test_tls_and_scram_and_wrong_credentials(mirror_of, kafka, secured, tmp_path) -> None:
    """The password comes from a file; a wrong one ends at once, says so, and is not shown."""
    mongod, authority = secured
    topic = kafka.create_topic()
    kafka.produce(topic, [json.dumps(sale())])
    password = tmp_path / "password"
    uri = f"mongodb://till@127.0.0.1:{mongod.port}/?replicaSet=rs0&tls=true&tlsCAFile={authority}&authSource=admin"
    mirror = mirror_of(topic, uri=uri, password_file=str(password))
    password.write_text("tr0ub4dor\n")
    assert mirror.catch_up()["documents"] == 1
    assert mirror.verify()["clean"]
    password.write_text("wr0ng-secret")
    began = time.monotonic()
    ended = mirror.run("mirror", "--until-end", code=STORE)
    assert "uthentication failed" in ended.stderr and "wr0ng-secret" not in ended.stderr
    assert time.monotonic() - began < 20


def test_documents_expire_and_rollups_stay(mirror_of, kafka) -> None:
    """`ttl_seconds` makes an index that lets the server delete; verification counts what has expired."""
    topic = kafka.create_topic()
    mirror = mirror_of(topic, ttl_seconds=86_400)
    now = datetime.now(UTC)
    rows = [sale(1, sold_at="2020-01-01T00:00:00Z"), sale(2, sold_at=now.isoformat())]
    kafka.produce(topic, [json.dumps(row) for row in rows])
    mirror.catch_up()
    index = mirror.sales.index_information()["sold_at"]
    assert index["expireAfterSeconds"] == 86_400
    # What the server does within a minute.
    mirror.sales.delete_many({"sold_at": {"$lt": now - timedelta(days=1)}})
    mirror.expect_rollups(rows)
    report = mirror.verify()
    assert report["clean"] and report["partitions"][0]["expired"] == 1


def test_memory_is_bounded(mirror_of, kafka, sales_producer, tmp_path) -> None:
    """A small budget and a slow database: reading pauses instead of growing."""
    sales = send(sales_producer, kafka, tmp_path, 60_000)
    mirror = mirror_of(sales.topic, budget_bytes=1 << 20, batch_max_messages=500, transactions=1)
    with mirror.start() as running:
        most = 0
        while not mirror.complete():
            most = max(most, resident_bytes(running.process.pid))
            assert running.running()
            time.sleep(0.1)
        assert running.terminate() == 0
    assert most < 200 << 20, most
    assert mirror.sales.count_documents({}) == sales.rows


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
