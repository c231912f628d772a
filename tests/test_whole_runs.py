"""Whole runs on the real servers: Kafka to Parquet on each store, judged by DuckDB.

Each test runs the two programs as a user would, and compares what a reader sees who only globs
`data/**/*.parquet` with what the producer says it has sent.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from harness.programs import wait_until, write_config
from harness.sales import send, send_more


def test_every_sale_once(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN a topic of sales
    sales = send(sales_producer, kafka, tmp_path, 60_000)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic, rotation={"max_rows": 25_000})
    # WHEN the writer drains it
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    # THEN a globbing reader sees every sale once, day by day and region by region
    seen = judge(lake)
    sales.expect(seen)
    found = seen.query("SELECT date, region, count(*), sum(amount) FROM lake GROUP BY ALL")
    by_region: dict[str, Decimal] = {}
    for _, region, _, amount in found:
        by_region[region] = by_region.get(region, Decimal(0)) + amount
    totals = {region: Decimal(entry["amount"]) for region, entry in sales.totals["by_region"].items()}
    assert by_region == totals
    assert "Île-de-France" in totals and "Provence-Alpes-Côte d'Azur" in totals
    # AND nothing but published files lies under data/, and nothing is left staged
    assert all(name.endswith(".parquet") for name in lake.files("data"))
    assert lake.files("stage") == {}


def test_a_second_run_adds_only_what_is_new(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    first = send(sales_producer, kafka, tmp_path, 8_000, "--seed", 1)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, first.topic)
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    before = lake.files("data")
    second = send_more(sales_producer, kafka, tmp_path, first.topic, 5_000, "--seed", 2)
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    seen = judge(lake)
    assert seen.rows() == first.rows + second.rows
    assert seen.sum("amount") == Decimal(first.totals["amount"]) + Decimal(second.totals["amount"])
    assert before.items() <= lake.files("data").items(), "a published file changed"
    # WHEN there is nothing new THEN a run ends at once and writes nothing
    before = lake.files("data")
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    assert lake.files("data") == before


def test_avro(kafka, local, sales_producer, lake_writer, judge, tmp_path):
    sales = send(sales_producer, kafka, tmp_path, 20_000, "--format", "avro")
    config = write_config(
        tmp_path / "w.toml", local, kafka.bootstrap, sales.topic, source={"kafka": {"format": "avro"}}
    )
    lake_writer.run("--config", config, "run", "--until-end")
    sales.expect(judge(local))


def test_malformed_messages_are_dead_letters(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN a topic in which every tenth message cannot be decoded
    sales = send(sales_producer, kafka, tmp_path, 10_000, "--malformed-ratio", "0.1")
    kafka.produce(sales.topic, [None, None], key=b"tombstone")
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic)
    # WHEN it is drained
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    # THEN the rest are rows, and each bad one is a dead letter with its bytes and a reason
    seen = judge(lake)
    sales.expect(seen)
    letters = pq.read_table(seen.table / "dead").to_pylist()
    assert len(letters) == sales.totals["malformed"] > 500
    assert {letter["reason"] for letter in letters} >= {"malformed", "missing_field", "invalid_utf8"}
    places = {(letter["kafka_partition"], letter["kafka_offset"]) for letter in letters}
    assert len(places) == len(letters)
    assert all(letter["reason"] == "truncated" or letter["value"] is not None for letter in letters)
    # AND rows + dead letters + tombstones are all there is
    assert seen.rows() + len(letters) + 2 == kafka.count(sales.topic)


def test_aborted_transactions_never_show(kafka, local, sales_producer, lake_writer, judge, tmp_path):
    sales = send(
        sales_producer, kafka, tmp_path, 6_000,
        "--transactional", "--transaction-size", 500, "--abort-ratio", "0.5",
    )  # fmt: skip
    config = write_config(tmp_path / "w.toml", local, kafka.bootstrap, sales.topic)
    lake_writer.run("--config", config, "run", "--until-end")
    seen = judge(local)
    sales.expect(seen)
    assert seen.rows() < kafka.count(sales.topic), "markers and aborted messages take up offsets"


def test_a_compressed_topic(kafka, local, sales_producer, lake_writer, judge, tmp_path):
    sales = send(sales_producer, kafka, tmp_path, 10_000, "-X", "compression.codec=zstd")
    config = write_config(tmp_path / "w.toml", local, kafka.bootstrap, sales.topic)
    lake_writer.run("--config", config, "run", "--until-end")
    sales.expect(judge(local))


def test_another_topic_needs_no_code(kafka, lake, lake_writer, judge, tmp_path):
    # GIVEN a schema and a partition spec that have nothing to do with sales
    schema = {
        "type": "record",
        "name": "Reading",
        "fields": [
            {"name": "device", "type": "string"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "celsius", "type": ["null", "double"], "default": None},
            {"name": "tags", "type": {"type": "map", "values": "string"}},
            {"name": "samples", "type": {"type": "array", "items": "int"}},
            {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OK", "LOW"]}},
        ],
    }
    (tmp_path / "reading.avsc").write_text(json.dumps(schema), encoding="utf-8")
    topic = kafka.create_topic(partitions=1)
    readings = [
        {
            "device": ["Capteur n°1: été", "b/c=d%", ""][n % 3],
            "at": f"2026-03-29T0{n % 4}:30:00+01:00",
            "celsius": None if n % 5 == 0 else n / 2,
            "tags": {"étage": str(n)},
            "samples": [n, n + 1],
            "state": "OK" if n % 2 else "LOW",
        }
        for n in range(600)
    ]
    kafka.produce(topic, [json.dumps(reading, ensure_ascii=False) for reading in readings])
    config = write_config(
        tmp_path / "w.toml", lake, kafka.bootstrap, topic,
        table={
            "schema": str(tmp_path / "reading.avsc"),
            "partition_by": ["device", "hour(at)"],
            "time_zone": "Europe/Paris",
            "sort_by": ["at"],
        },
    )  # fmt: skip
    # WHEN it is drained THEN every reading is there, null and '' told apart by the column in the file
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    rows = judge(lake).table / "data"
    found = [row for file in rows.rglob("*.parquet") for row in pq.ParquetFile(file).read().to_pylist()]
    assert len(found) == 600
    by_offset = {row["kafka_offset"]: row for row in found}
    for offset, reading in enumerate(readings):
        row = by_offset[offset]
        assert row["device"] == reading["device"]
        assert row["celsius"] == reading["celsius"]
        assert dict(row["tags"]) == reading["tags"]
        assert row["samples"] == reading["samples"]
        assert row["state"] == reading["state"]


def test_many_small_lake_partitions_keep_the_budget(kafka, local, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN sales of 170 days in random order: more than 2,000 lake partitions
    topic = kafka.create_topic(partitions=4)
    summary = tmp_path / "days.json"
    sales_producer.run(
        "--bootstrap", kafka.bootstrap, "--topic", topic, "--count", 120_000, "--rate", "max", "--quiet", "--seed", 5,
        "--from", "2026-01-01", "--days", 170, "--key", "sale", "--summary-file", summary,
    )  # fmt: skip
    totals = json.loads(summary.read_text(encoding="utf-8"))
    config = write_config(
        tmp_path / "w.toml", local, kafka.bootstrap, topic, memory={"budget_bytes": 64 << 20},
    )  # fmt: skip
    # WHEN they are drained under a small budget, the kernel watching
    with lake_writer.start("--config", config, "run", "--until-end") as writer:
        peak = 0

        def ended() -> bool:
            nonlocal peak
            peak = max(peak, _peak_rss_bytes(writer.process.pid))
            return not writer.running()

        wait_until(ended, "the end of the run", 300)
        writer.wait(10, code=0)
    seen = judge(local)
    assert seen.rows() == totals["rows"]
    assert len(seen.partitions("date", "region")) > 2_000
    # THEN memory stays within the budget and what the process needs by itself
    assert peak < (64 << 20) + (150 << 20), f"peak RSS {peak / 2**20:.0f} MiB"


def test_two_writers_share_a_table(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN a topic and one writer that reads it all
    first = send(sales_producer, kafka, tmp_path, 20_000, "--seed", 1)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, first.topic, rotation={"max_age_ms": 500})
    with lake_writer.start("--config", config, "run", env=lake.environment) as one:
        one.wait_for_log("committed and published")
        # WHEN a second one joins, sales go on, and the first leaves
        with lake_writer.start("--config", config, "run", env=lake.environment) as two:
            two.wait_for_log("reading from these offsets")
            second = send_more(sales_producer, kafka, tmp_path, first.topic, 20_000, "--seed", 2)
            assert one.terminate() == 0
            third = send_more(sales_producer, kafka, tmp_path, first.topic, 10_000, "--seed", 3)
            assert two.terminate() == 0
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    # THEN every sale is there once
    seen = judge(lake)
    assert seen.rows() == first.rows + second.rows + third.rows
    assert seen.distinct("sale_id") == seen.rows()


def test_several_tables_in_one_process(kafka, lake, local, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN two topics and a settings file for a table of each, on different stores
    first = send(sales_producer, kafka, tmp_path, 5_000, "--seed", 1)
    second = send(sales_producer, kafka, tmp_path, 3_000, "--seed", 2)
    one = write_config(tmp_path / "one.toml", lake, kafka.bootstrap, first.topic)
    two = write_config(tmp_path / "two.toml", local, kafka.bootstrap, second.topic)
    # WHEN one process writes both
    both = ["--config", one, "--output", "json", "run", "--also", two]
    done = lake_writer.run(*both, "--until-end", env=lake.environment).json()
    # THEN each table holds its own topic
    assert [table["summary"]["rows"] for table in done["tables"]] == [first.rows, second.rows]
    first.expect(judge(lake))
    second.expect(judge(local))
    # AND one that halts takes the other along in good order, with its code
    kafka.delete_topic(second.topic)
    with lake_writer.start(*both, env=lake.environment) as writer:
        writer.wait(60, code=3)
        assert second.topic in writer.log


def test_two_settings_files_for_one_table_are_refused(kafka, local, lake_writer, tmp_path):
    topic = kafka.create_topic()
    config = write_config(tmp_path / "one.toml", local, kafka.bootstrap, topic)
    done = lake_writer.run("--config", config, "run", "--also", config, code=2)
    assert local.url in done.stderr


@pytest.mark.parametrize("signals", [1, 2])
def test_a_stop_commits_what_is_in_hand(kafka, local, sales_producer, lake_writer, judge, tmp_path, signals):
    # GIVEN a writer with sales in hand and a rotation far away
    sales = send(sales_producer, kafka, tmp_path, 5_000)
    config = write_config(tmp_path / "w.toml", local, kafka.bootstrap, sales.topic)
    with lake_writer.start("--config", config, "run") as writer:
        writer.wait_for_log("reading from these offsets")
        wait_until(lambda: local.files("log"), "the claim")
        if signals == 1:
            # WHEN it is told to stop THEN what it has read is committed first
            assert writer.terminate() == 0
        else:
            # WHEN it is told twice THEN it stops at once, and that is safe
            writer.process.terminate()
            writer.process.terminate()
            writer.wait(30)
    lake_writer.run("--config", config, "run", "--until-end")
    sales.expect(judge(local))


def test_plan_writes_nothing(kafka, local, sales_producer, lake_writer, judge, tmp_path):
    sales = send(sales_producer, kafka, tmp_path, 3_000, "--malformed-ratio", "0.01")
    config = write_config(tmp_path / "w.toml", local, kafka.bootstrap, sales.topic)
    plan = lake_writer.run("--config", config, "--output", "json", "plan", "--messages", 100_000).json()
    assert local.files() == {}
    lake_writer.run("--config", config, "run", "--until-end")
    assert (plan["rows"], plan["dead_letters"]) == (sales.rows, sales.totals["malformed"])
    [commit] = plan["commits"]
    planned = {file["path"].rsplit("/", 1)[0]: file["rows"] for file in commit["files"]}
    written: dict[str, int] = {}
    for file in (judge(local).table / "data").rglob("*.parquet"):
        folder = "data/" + str(file.parent.relative_to(file.parents[2]))
        written[folder] = written.get(folder, 0) + pq.ParquetFile(file).metadata.num_rows
    assert planned == written


def test_status_and_log_say_where_the_table_stands(kafka, lake, sales_producer, lake_writer, tmp_path):
    sales = send(sales_producer, kafka, tmp_path, 2_000)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic)
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    status = lake_writer.run("--config", config, "--output", "json", "status", env=lake.environment).json()
    nexts = {entry["partition"]: entry["next"] for entry in status["partitions"]}
    assert nexts == {partition: high for partition, (_, high) in kafka.watermarks(sales.topic).items()}
    assert all(entry["lag"] == 0 for entry in status["partitions"])
    text = lake_writer.run("--config", config, "log", env=lake.environment).stdout
    assert "claim" in text and "commit" in text


def test_the_log_stays_short_and_files_are_told(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN a table of many commits whose log is checkpointed after every few and keeps no old record
    topic = kafka.create_topic(partitions=2)
    config = write_config(
        tmp_path / "w.toml", lake, kafka.bootstrap, topic, log={"checkpoint_after_records": 3, "keep_records": 0}
    )
    total = 0
    for seed in range(1, 7):
        total += send_more(sales_producer, kafka, tmp_path, topic, 500, "--seed", seed).rows
        lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    # THEN old records are gone, and a start that finds a checkpoint writes on
    log = lake.files("log")
    records = [name for name in log if name.count("/") == 0]
    assert any(name.startswith("checkpoints/") for name in log) and any(name.startswith("segments/") for name in log)
    assert len(records) < 12, "six runs of a claim and a commit each, less what was dropped"
    # AND the log names every file that a reader finds, and no other
    files = lake_writer.run("--config", config, "--output", "json", "files", env=lake.environment).json()["files"]
    data = lake.files("data")
    assert {file["path"].removeprefix("data/"): file["bytes"] for file in files} == data
    assert judge(lake).rows() == sum(file["rows"] for file in files) == total
    verified = lake_writer.run("--config", config, "--output", "json", "verify", env=lake.environment)
    assert verified.json()["findings"] == []


def test_sweep_removes_what_a_crash_has_left(kafka, lake, sales_producer, lake_writer, tmp_path):
    # GIVEN a writer that is killed with files staged, and another one that holds its partitions now
    sales = send(sales_producer, kafka, tmp_path, 2_000)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic)
    dying = {**lake.environment, "LAKE_WRITER_FAILPOINT": "finish.data.after@3=kill"}
    lake_writer.run("--config", config, "run", "--until-end", env=dying, code=-9)
    left = set(lake.files("stage")) | set(lake.storage.uploads(lake.url) if lake.kind == "s3" else [])
    assert left
    # The one that takes over dies before it could sweep.
    taking = {**lake.environment, "LAKE_WRITER_FAILPOINT": "start.topic.before=kill"}
    group = ["--set", f"source.kafka.group_id=other-{sales.topic}"]
    lake_writer.run("--config", config, *group, "run", "--until-end", env=taking, code=-9)
    # WHEN a dry run is asked for THEN it names them and takes none
    command = ["--config", config, "--output", "json", "sweep"]
    would = lake_writer.run(*command, "--dry-run", env=lake.environment).stdout
    assert any(name.split("/")[-1] in would for name in left), would
    # AND a sweep takes them
    lake_writer.run(*command, env=lake.environment)
    still = set(lake.files("stage")) | set(lake.storage.uploads(lake.url) if lake.kind == "s3" else [])
    assert not (left & still), left & still


def _peak_rss_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except ProcessLookupError:
        pass
    return 0
