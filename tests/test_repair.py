"""`repair` and `backfill` on real Kafka and each store: what was broken is whole, and nothing else has changed."""

from __future__ import annotations

import signal

import pytest

from harness.failpoints import STORES
from harness.sales import send_more
from harness.table import MISMATCH, filled, places

# Calls that change something in the store.
CHANGING = ("prepare", "put_if_absent", "stage", "write", "finish", "publish", "delete")


@pytest.fixture
def table(lake, kafka, sales_producer, lake_writer, tmp_path):
    """A table of sales, dead letters and tombstones in several commits, on each store in turn."""
    return filled(lake, kafka, sales_producer, lake_writer, tmp_path)


@pytest.fixture
def local_table(local, kafka, sales_producer, lake_writer, tmp_path):
    """The same on local disk."""
    return filled(local, kafka, sales_producer, lake_writer, tmp_path)


def contents(lake, below: str) -> dict[str, bytes]:
    """Every file below a folder."""
    return {name: lake.read(f"{below}/{name}") for name in lake.files(below)}


def test_what_verify_finds_is_put_right(table, judge):
    lake = table.lake
    name, _ = table.data_file()
    other = max(file for file in lake.files("data") if "Bretagne" in file)
    folder = name.rsplit("/", 1)[0]
    # GIVEN a lost file, one that was cut off, a copy of a third and a stranger's file
    copied = lake.read(f"data/{max(lake.files('data'))}")
    foreign = {f"{folder}/copy of it.parquet": copied, "data/notes.txt": b"hello"}
    for planted, content in foreign.items():
        lake.write(planted, content)
    lake.delete(name)
    whole = lake.read(f"data/{other}")
    lake.write(f"data/{other}", whole[: len(whole) // 2])
    before = lake.files()

    # WHEN asked what a repair would do THEN it is named, and nothing changes
    plan = table.run("repair", code=MISMATCH).json()
    assert not plan["changed"] and not plan["clean"]
    assert set(plan["plan"]["move_out"]) == set(foreign)
    taken = {path for unit in plan["plan"]["write_again"] for path in unit["files"]}
    assert {name, f"data/{other}"} <= taken
    assert plan["plan"]["beyond_repair"] == []
    assert lake.files() == before

    # WHEN it is told to THEN nothing differs, the producer's totals are met, and foreign files are kept
    done = table.run("repair", "--yes").json()
    assert done["clean"] and done["changed"] and done["refused"] == []
    assert table.verify()["clean"]
    table.sales.expect(judge(lake))
    kept = {moved["path"]: lake.read(moved["to"]) for moved in done["moved_out"]}
    assert kept == foreign
    assert not lake.files("stage")
    # AND a second one has nothing to do
    again = table.run("repair", "--yes").json()
    assert again["clean"] and not again["changed"]


def test_a_writer_runs_beside_a_repair(table, kafka, sales_producer, lake_writer, tmp_path, judge):
    # GIVEN a writer at work, and a file lost
    name, _ = table.data_file()
    more = send_more(sales_producer, kafka, tmp_path, table.sales.topic, 3_000, "--seed", 8)
    options = ("--config", table.config, "--set", "rotation.max_age_ms=300", "run")
    with lake_writer.start(*options, env=table.lake.environment) as writer:
        writer.wait_for_log("committed and published")
        table.lake.delete(name)
        last = send_more(sales_producer, kafka, tmp_path, table.sales.topic, 5_000, "--seed", 9)
        # WHEN it is repaired THEN both go on
        assert table.run("repair", "--yes").json()["clean"]
        assert writer.terminate() == 0
    table.write()
    assert table.verify()["clean"]
    assert judge(table.lake).rows() == table.sales.rows + more.rows + last.rows


def test_what_cannot_be_repaired_is_said(kafka, local_table):
    # GIVEN a lost file whose messages retention has taken
    name, _ = local_table.data_file()
    topic = local_table.sales.topic
    kafka.delete_records(topic, {p: high for p, (_, high) in kafka.watermarks(topic).items()})
    local_table.lake.delete(name)
    before = local_table.lake.files()
    # WHEN it is repaired THEN it says why it cannot be, and touches nothing
    left = local_table.run("repair", "--yes", code=MISMATCH).json()
    assert not left["changed"]
    assert any("gone by retention" in why for why in left["left"]["beyond_repair"])
    assert local_table.lake.files() == before
    # AND a backfill of the same is refused before it begins
    refused = local_table.run("backfill", code=3)
    assert "gone by retention" in refused.stderr and "nothing was changed" in refused.stderr


def test_a_backfill_replaces_exactly_what_it_wrote_before(table, judge):
    lake = table.lake
    before = contents(lake, "data")
    # GIVEN a plan for some offsets THEN it names whole commits, and changes nothing
    plan = table.run("backfill", "--partition", 1, "--from", 5, "--to", 6, "--dry-run").json()
    [commit] = plan["commits"]
    assert any(r["partition"] == 1 and r["start"] <= 5 < r["next"] for r in commit["ranges"])
    assert contents(lake, "data") == before
    # WHEN they are written again THEN the files of that commit are others, and the rest is as it was
    written = table.run("backfill", "--partition", 1, "--from", 5, "--to", 6).json()
    assert written["commits"] == 1
    after = contents(lake, "data")
    assert {f"data/{name}" for name in before.keys() - after.keys()} == {
        path for path in commit["files"] if path.startswith("data/")
    }
    assert all(after[name] == content for name, content in before.items() if name in after)
    assert table.verify()["clean"]
    # AND everything, twice
    for _ in range(2):
        everything = table.run("backfill").json()
        assert everything["rows"] == table.sales.rows
        assert table.verify()["clean"]
    table.sales.expect(judge(lake))
    assert places_of(contents(lake, "data")) == places_of(before)


def places_of(files: dict[str, bytes]) -> list[tuple[int, int]]:
    """Source partition and offset of every row, sorted."""
    return sorted(place for content in files.values() for place in places(content))


def test_times_choose_offsets(local_table):
    assert local_table.run("backfill", "--dry-run", "--until", "2000-01-01").json()["messages"] == 0
    everything = local_table.run("backfill", "--dry-run", "--since", "2000-01-01").json()
    assert everything["messages"] == local_table.sales.rows + local_table.sales.totals["malformed"] + 2


def test_a_killed_backfill_goes_on(table, judge, tmp_path):
    # GIVEN the steps that a backfill passes
    environment = dict(table.lake.environment)
    trace = tmp_path / "trace"
    command = ("--config", table.config, "--output", "json", "backfill", "--name")
    environment["LAKE_WRITER_FAILPOINT_TRACE"] = str(trace)
    table.lake_writer.run(*command, "traced", env=environment)
    del environment["LAKE_WRITER_FAILPOINT_TRACE"]
    steps = list(dict.fromkeys(trace.read_text(encoding="utf-8").split()))
    changing = [step for step in steps if step.split(".")[0] in CHANGING and step.split(".")[1] != "probe"]
    assert {step.split(".")[0] for step in changing} >= {"finish", "put_if_absent", "publish", "delete"}, steps
    # WHEN it is killed at some of them (at others on the other stores), the second time that it comes there
    for number, step in enumerate(changing[STORES.index(table.lake.kind) :: len(STORES)]):
        name = f"killed-{number}"
        killed = table.lake_writer.run(
            *command, name, env={**environment, "LAKE_WRITER_FAILPOINT": f"{step}@2=kill"}, code=None
        )
        assert killed.code in (0, -signal.SIGKILL), killed.stderr
        # THEN the same command goes on, and no row is there twice
        table.lake_writer.run(*command, name, env=environment)
        assert table.verify()["clean"], step
    table.sales.expect(judge(table.lake))
