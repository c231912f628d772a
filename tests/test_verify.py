"""`verify` and `where` on real Kafka and each store: what is planted is named exactly, and nothing else is."""

from __future__ import annotations

import io
import json
import time
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.mirror import sale
from harness.programs import wait_until, write_config
from harness.sales import send, send_more
from harness.table import MISMATCH, Table, filled, places


def each(kind: str, of: list[tuple[int, int]]) -> Counter:
    """Findings of one kind at these places."""
    return Counter((kind, partition, offset) for partition, offset in of)


@pytest.fixture
def table(lake, kafka, sales_producer, lake_writer, tmp_path):
    """A table of sales, dead letters and tombstones in several commits, on each store in turn."""
    return filled(lake, kafka, sales_producer, lake_writer, tmp_path)


@pytest.fixture
def local_table(local, kafka, sales_producer, lake_writer, tmp_path):
    """The same on local disk."""
    return filled(local, kafka, sales_producer, lake_writer, tmp_path)


def test_a_clean_table_is_clean(table, kafka):
    # GIVEN a table that was written WHEN it is verified THEN nothing differs, and the figures add up
    report = table.verify()
    assert report["clean"] and report["findings"] == [] and report["unproved"] == []
    sums = {key: sum(p[key] for p in report["partitions"]) for key in ("rows", "dead_letters", "tombstones", "gaps")}
    sales = table.sales
    assert sums == {"rows": sales.rows, "dead_letters": sales.totals["malformed"], "tombstones": 2, "gaps": 0}
    assert sum(p["compared"] for p in report["partitions"]) == kafka.count(sales.topic)
    files = table.lake.files("data").keys() | table.lake.files("dead").keys()
    assert report["files"]["named"] == report["files"]["compared"] == len(files)
    # AND what is not yet committed is counted and no finding
    kafka.produce(sales.topic, ["later"] * 3)
    report = table.verify("--quick")
    assert report["clean"] and report["unproved"] != []
    report = table.verify("--partition", 0)
    [zero] = [p for p in report["partitions"] if p["partition"] == 0]
    assert zero["not_yet_committed"] == 3
    # AND a part can be looked at
    part = table.verify("--sample", "0.01")
    assert 1 <= part["commits"]["chosen"] < part["commits"]["in_log"]
    of_one = table.verify("--partition", 1, "--from", 5, "--to", 6)
    assert {p["partition"] for p in of_one["partitions"] if p["compared"]} == {1}
    assert table.verify("--until", "2000-01-01")["commits"]["chosen"] == 0


def test_what_is_planted_is_named(table):
    name, data = table.data_file()
    lost = places(data)

    # GIVEN a file deleted THEN it is named, and so is each of its offsets
    table.lake.delete(name)
    files, offsets = table.findings()
    assert files == {("missing_file", name): 1}
    assert offsets == each("missing", lost)
    assert table.findings("--quick")[0] == {("missing_file", name): 1}

    # GIVEN a file cut off
    table.lake.write(name, data[: len(data) // 2])
    files, offsets = table.findings()
    assert files == {("wrong_size", name): 1, ("unreadable_file", name): 1}
    assert offsets == each("missing", lost)
    assert table.findings("--quick")[0] == {("wrong_size", name): 1}

    # GIVEN a file with one bit of its footer's text flipped, which no reader would notice
    at = data.rindex(b"lake-writer.cut")
    table.lake.write(name, data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :])
    files, offsets = table.findings()
    assert files == {("wrong_checksum", name): 1}
    assert not offsets
    assert table.verify("--quick")["clean"], "no content was looked at"

    # GIVEN a file with one value changed, written by another program
    rows = pq.read_table(io.BytesIO(data), partitioning=None)
    quantity = rows["quantity"].to_pylist()
    quantity[3] += 1
    index = rows.schema.get_field_index("quantity")
    changed = rows.set_column(index, rows.schema.field(index), pa.array(quantity, pa.int32()))
    out = io.BytesIO()
    pq.write_table(changed, out)
    table.lake.write(name, out.getvalue())
    files, offsets = table.findings()
    assert files == {("wrong_size", name): 1}
    assert offsets == each("differing", [lost[3]])

    # GIVEN a file without its last row
    out = io.BytesIO()
    pq.write_table(rows.slice(0, len(rows) - 1), out)
    table.lake.write(name, out.getvalue())
    files, offsets = table.findings()
    assert files == {("wrong_size", name): 1, ("wrong_facts", name): 1}
    assert offsets == each("missing", lost[-1:])

    # GIVEN all as it was THEN nothing differs
    table.lake.write(name, data)
    assert table.verify()["clean"]


def test_files_that_nobody_committed_are_named(table):
    name, data = table.data_file()
    folder = name.rsplit("/", 1)[0]
    # GIVEN a copy, a stranger's Parquet file, and something else, below data/ and dead/
    other = io.BytesIO()
    pq.write_table(pa.table({"x": [1, 2, 3]}), other)
    foreign = {
        f"{folder}/copy of it.parquet": data,
        "data/other.parquet": other.getvalue(),
        "data/date=2026-01-30/_SUCCESS": b"",
        "dead/notes.txt": b"hello",
    }
    for planted, content in foreign.items():
        table.lake.write(planted, content)
    # WHEN verified THEN each is named, and the rows that a reader sees twice
    files, offsets = table.findings()
    assert files == {("foreign_file", planted): 1 for planted in foreign}
    assert offsets == each("doubled", places(data))
    assert table.findings("--quick")[0] == files
    details = {f["path"]: f["detail"] for f in table.verify(code=MISMATCH)["findings"] if "path" in f}
    assert f"a copy of {name}" in details[f"{folder}/copy of it.parquet"]


def test_a_changed_dead_letter_is_named(local_table):
    name = f"dead/{min(local_table.lake.files('dead'))}"
    letters = pq.read_table(io.BytesIO(local_table.lake.read(name)), partitioning=None)
    values = letters["value"].to_pylist()
    place = (letters["kafka_partition"][0].as_py(), letters["kafka_offset"][0].as_py())
    changed = pa.array([values[0] + b"!", *values[1:]], pa.binary())
    index = letters.schema.get_field_index("value")
    out = io.BytesIO()
    pq.write_table(letters.set_column(index, letters.schema.field(index), changed), out)
    local_table.lake.write(name, out.getvalue())
    files, offsets = local_table.findings()
    assert files == {("wrong_size", name): 1}
    assert offsets == each("differing", [place])


def test_markers_and_aborted_messages_are_no_losses(kafka, local, sales_producer, lake_writer, tmp_path):
    # GIVEN transactions, half of them aborted
    sales = send(
        sales_producer, kafka, tmp_path, 4_000,
        "--transactional", "--transaction-size", 500, "--abort-ratio", "0.5",
    )  # fmt: skip
    config = write_config(tmp_path / "w.toml", local, kafka.bootstrap, sales.topic)
    table = Table(lake_writer, local, config)
    table.write()
    # WHEN verified THEN offsets without a message are gaps
    report = table.verify()
    assert report["clean"]
    rows, gaps = (sum(p[key] for p in report["partitions"]) for key in ("rows", "gaps"))
    assert rows == sales.rows
    assert rows + gaps == kafka.count(sales.topic)
    assert gaps > 0
    # AND `where` says so: the offset before the end is the marker of the last transaction
    partition, (_, high) = next((p, w) for p, w in kafka.watermarks(sales.topic).items() if w[1] > 0)
    assert table.where("--partition", partition, "--offset", high - 1)["answer"] == "gap"


@pytest.mark.parametrize("written", ["before compaction", "after compaction"])
def test_what_compaction_took_is_no_loss(written, kafka, local, lake_writer, judge, tmp_path):
    # GIVEN a topic that is compacted after an hour, in which sales of one key came many times
    compact = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    topic = kafka.create_topic(config={**compact, "min.compaction.lag.ms": "3600000"})
    kafka.produce(topic, [json.dumps(sale(number)) for number in range(40)], key=b"often")
    kafka.produce(topic, [json.dumps(sale(number)) for number in range(40, 43)], key=b"thrice")
    settings = write_config(tmp_path / "w.toml", local, kafka.bootstrap, topic)
    table = Table(lake_writer, local, settings)
    if written == "before compaction":
        table.write()
    # WHEN the hour is over; the segment in use is never compacted, so that another one has to begin
    time.sleep(0.2)
    kafka.produce(topic, [json.dumps(sale(43))], key=b"last")
    kafka.configure_topic(topic, {"min.compaction.lag.ms": "0"})
    wait_until(lambda: len(kafka.values(topic)) == 3, "the broker's cleaner", 60)
    table.write()
    # THEN offsets without a message are gaps, and rows that were made of them before are accepted
    report = table.verify()
    assert report["clean"]
    [partition] = report["partitions"]
    compacted = 41 if written == "before compaction" else 0
    assert {key: partition[key] for key in ("compared", "rows", "gaps", "compacted", "missing")} == {
        "compared": 44, "rows": 3, "gaps": 41, "compacted": compacted, "missing": 0,
    }  # fmt: skip
    assert judge(local).rows() == 3 + compacted
    # AND so says `where` of a message that is gone
    answer = table.where("--partition", 0, "--offset", 0)["answer"]
    assert answer == ("row" if written == "before compaction" else "gap")
    # AND a row that is lost is found all the same, where its message is still there
    name, _ = next(iter(local.files("data").items()))
    local.delete(f"data/{name}")
    files, offsets = table.findings()
    assert files == {("missing_file", f"data/{name}"): 1}
    assert ("missing", 0, 43) in offsets or ("missing", 0, 42) in offsets


def test_behind_retention_checksums_remain(kafka, local_table):
    # GIVEN a topic that has lost its beginning since
    topic = local_table.sales.topic
    middle = {partition: high // 2 for partition, (_, high) in kafka.watermarks(topic).items()}
    kafka.delete_records(topic, middle)
    # WHEN verified THEN the rest is compared, and what cannot be is said
    report = local_table.verify()
    assert report["clean"]
    assert {p["partition"]: p["unproved"] for p in report["partitions"]} == middle
    assert len(report["unproved"]) == len(middle)
    assert report["files"]["checksummed"] == report["files"]["named"]
    # AND a changed file is found all the same once nothing is left to compare it with
    kafka.delete_records(topic, {p: high for p, (_, high) in kafka.watermarks(topic).items()})
    name, data = local_table.data_file()
    local_table.lake.write(name, data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    files, offsets = local_table.findings()
    assert files == {("wrong_checksum", name): 1}
    assert not offsets


def test_beside_a_running_writer(kafka, lake, sales_producer, lake_writer, tmp_path):
    # GIVEN a writer that commits all the time
    first = send(sales_producer, kafka, tmp_path, 5_000, "--seed", 1)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, first.topic, rotation={"max_age_ms": 200})
    table = Table(lake_writer, lake, config)
    with lake_writer.start("--config", config, "run", env=lake.environment) as writer:
        writer.wait_for_log("committed and published")
        # WHEN the table is verified again and again while sales come in
        for seed in range(2, 6):
            send_more(sales_producer, kafka, tmp_path, first.topic, 5_000, "--seed", seed)
            # THEN commits and publications of the moment are no findings
            assert table.verify()["clean"]
            assert table.verify("--quick")["clean"]
        assert writer.terminate() == 0
    table.write()
    report = table.verify()
    assert sum(p["rows"] for p in report["partitions"]) == 25_000


def test_where_things_are(kafka, table):
    name, data = table.data_file()
    # GIVEN a row of a file THEN its place is named, and it stands there
    partition, offset = places(data)[5]
    answer = table.where("--partition", partition, "--offset", offset)
    [place] = answer["places"]
    assert answer["answer"] == "row"
    assert (place["path"], place["partition"], place["offset"]) == (name, partition, offset)
    group = pq.ParquetFile(io.BytesIO(data)).read_row_group(place["row_group"])
    row = group.slice(place["row"], 1).to_pylist()[0]
    assert (row["kafka_partition"], row["kafka_offset"]) == (partition, offset)
    # AND by a value
    answer = table.where("--column", "sale_id", "--value", row["sale_id"])
    assert place in answer["places"]
    unknown = "00000000-0000-0000-0000-000000000000"
    assert table.where("--column", "sale_id", "--value", unknown)["answer"] == "not_found"
    # AND so are dead letters, tombstones, and what is not there
    letters = [pq.read_table(io.BytesIO(table.lake.read(f"dead/{f}"))) for f in table.lake.files("dead")]
    letter = letters[0].slice(0, 1).to_pylist()[0]
    answer = table.where("--partition", letter["kafka_partition"], "--offset", letter["kafka_offset"])
    assert answer["answer"] == "dead_letter"
    assert answer["places"][0]["reason"].startswith(letter["reason"])
    topic = table.sales.topic
    _, high = kafka.watermarks(topic)[0]
    assert table.where("--partition", 0, "--offset", high - 1)["answer"] == "tombstone"
    assert table.where("--partition", 0, "--offset", high)["answer"] == "never_in_topic"
    assert table.where("--partition", 99, "--offset", 0)["answer"] == "never_in_topic"
    kafka.produce(topic, ["later"])
    assert table.where("--partition", 0, "--offset", high)["answer"] == "not_yet_committed"
    kafka.delete_records(topic, {0: high})
    assert table.where("--partition", 0, "--offset", high - 1)["answer"] == "gone_by_retention"
    assert table.where("--partition", partition, "--offset", offset)["answer"] == "row"
    table.run("where", "--column", "nothing", "--value", "1", code=2)


def test_text_for_people(local_table):
    def text(*arguments: object, code: int) -> str:
        return local_table.lake_writer.run("--config", local_table.config, *arguments, code=code).stdout

    assert "nothing differs" in text("verify", code=0)
    name, _ = local_table.data_file()
    local_table.lake.delete(name)
    found = text("verify", code=MISMATCH)
    assert f"missing_file      {name}" in found
    assert text("where", "--partition", 99, "--offset", 0, code=0).startswith("never in this topic: ")
