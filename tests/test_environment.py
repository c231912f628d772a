"""What goes wrong around a writer: a full disk, servers that restart, retention, topics and groups."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from harness import failpoints
from harness.lake import Lake, LocalStorage, hdfs_lake
from harness.programs import wait_until, write_config
from harness.sales import send, send_more


@pytest.fixture
def small_disk(tmp_path):
    """A table on a disk of 24 MiB, which takes root to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=True)
    try:
        yield Lake("local", f"file://{folder / 'table'}", LocalStorage()), folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("full_at", ["the start", "work"])
def test_a_full_disk_is_waited_out(full_at, small_disk, kafka, sales_producer, lake_writer, judge, tmp_path):
    lake, disk = small_disk
    sales = send(sales_producer, kafka, tmp_path, 20_000)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic, rotation={"max_age_ms": 500})
    # GIVEN a disk that somebody else has filled
    filler = disk / "filler"
    if full_at == "work":
        lake_writer.run("--config", config, "run", "--until-end")
        more = send_more(sales_producer, kafka, tmp_path, sales.topic, 20_000, "--seed", 8)
    _fill(filler)
    with lake_writer.start("--config", config, "run") as writer:
        # WHEN the writer meets it THEN it says so, and goes on once there is room
        writer.wait_for_log("no room left")
        time.sleep(1)
        assert writer.running()
        filler.unlink()
        total = sales.rows + (more.rows if full_at == "work" else 0)
        wait_until(lambda: _rows(lake_writer, config, lake) == total, "all sales", 120)
        assert writer.terminate() == 0
    # THEN nothing is lost or doubled
    seen = judge(lake)
    assert seen.rows() == seen.distinct("sale_id") == total


def _fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


STEPS = ["finish.data.after", "put_if_absent.log.before", "put_if_absent.log.after", "publish.data.after"]


@pytest.mark.parametrize("step", STEPS)
def test_servers_restart_while_a_writer_stands_at_a_step(
    step, kafka, lake, sales_producer, lake_writer, judge, tmp_path
):
    # GIVEN a writer in the middle of a commit
    sales = send(sales_producer, kafka, tmp_path, 4_000, "--malformed-ratio", 0.01)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic, rotation={"max_rows": 500})
    stop = {"LAKE_WRITER_FAILPOINT": f"{step}@2=freeze"}
    with lake_writer.start("--config", config, "run", "--until-end", env={**lake.environment, **stop}) as writer:
        assert failpoints.wait_until_frozen(writer)
        # WHEN every server that it talks to is killed and started again
        killed = [kafka.server]
        if lake.kind == "hdfs":
            killed += lake.storage.server.servers()
        elif lake.kind == "s3":
            killed.append(lake.storage.server)
        for server in killed:
            server.kill()
        for server in killed:
            server.start()
        writer.resume()
        # THEN it finishes its work
        writer.wait(240, code=0)
    sales.expect(judge(lake))


def test_a_name_node_that_freezes_is_waited_out(kafka, hdfs, sales_producer, lake_writer, judge, tmp_path):
    lake = hdfs_lake(hdfs)
    first = send(sales_producer, kafka, tmp_path, 5_000, "--seed", 1)
    config = write_config(
        tmp_path / "w.toml", lake, kafka.bootstrap, first.topic,
        rotation={"max_age_ms": 300}, store={"call_timeout_ms": 2_000},
    )  # fmt: skip
    with lake_writer.start("--config", config, "run") as writer:
        writer.wait_for_log("committed and published")
        # WHEN the name node freezes for longer than a call may take, with sales coming in
        hdfs.server.namenode.freeze()
        second = send_more(sales_producer, kafka, tmp_path, first.topic, 5_000, "--seed", 2)
        writer.wait_for_log("trying again until it works")
        time.sleep(3)
        assert writer.running()
        hdfs.server.namenode.resume()
        # THEN the writer goes on by itself
        wait_until(lambda: _rows(lake_writer, config, lake) == 10_000, "all sales", 120)
        assert writer.terminate() == 0
        assert "panicked" not in writer.log
    seen = judge(lake)
    assert seen.rows() == seen.distinct("sale_id") == first.rows + second.rows


@pytest.mark.parametrize("accepted", [False, True])
def test_messages_that_retention_took_are_not_passed_over_in_silence(
    accepted, kafka, local, sales_producer, lake_writer, judge, tmp_path
):
    # GIVEN a table, and messages after it that Kafka drops before they were read
    first = send(sales_producer, kafka, tmp_path, 4_000, "--seed", 1)
    config = write_config(tmp_path / "w.toml", local, kafka.bootstrap, first.topic)
    lake_writer.run("--config", config, "run", "--until-end")
    send_more(sales_producer, kafka, tmp_path, first.topic, 4_000, "--seed", 2)
    ends = {partition: high for partition, (_, high) in kafka.watermarks(first.topic).items()}
    kafka.delete_records(first.topic, ends)
    third = send_more(sales_producer, kafka, tmp_path, first.topic, 1_000, "--seed", 3)
    # WHEN the writer comes back THEN it halts with the offsets, or passes over them where that was accepted
    accept = ["--set", "source.kafka.accept_lost_offsets=true"] if accepted else []
    done = lake_writer.run("--config", config, *accept, "run", "--until-end", code=0 if accepted else 3)
    seen = judge(local)
    if accepted:
        assert seen.rows() == first.rows + third.rows
        log = lake_writer.run("--config", config, "--output", "json", "log").stdout
        assert '"lost"' in log
    else:
        assert "accept_lost_offsets" in done.stderr
        assert seen.rows() == first.rows


@pytest.mark.parametrize("running", [False, True])
def test_a_topic_that_was_created_again_is_not_taken_for_the_old_one(
    running, kafka, local, sales_producer, lake_writer, judge, tmp_path
):
    # GIVEN a table of a topic
    first = send(sales_producer, kafka, tmp_path, 3_000, "--seed", 1)
    config = write_config(
        tmp_path / "w.toml", local, kafka.bootstrap, first.topic, rotation={"max_age_ms": 300},
        source={"kafka": {"client": {"topic.metadata.refresh.interval.ms": "500"}}},
    )  # fmt: skip
    lake_writer.run("--config", config, "run", "--until-end")

    def create_again() -> None:
        kafka.delete_topic(first.topic)
        wait_until(lambda: first.topic not in kafka.topics(), "the deletion")
        kafka.create_topic(first.topic, partitions=4)
        send_more(sales_producer, kafka, tmp_path, first.topic, 3_000, "--seed", 2)

    # WHEN it is deleted and created again, before or while the writer runs THEN the writer halts and says so
    if running:
        with lake_writer.start("--config", config, "run") as writer:
            writer.wait_for_log("reading from these offsets")
            create_again()
            writer.wait(120, code=3)
            said = writer.log
    else:
        create_again()
        said = lake_writer.run("--config", config, "run", "--until-end", code=3).stderr
    assert "accept_topic_id" in said
    assert judge(local).rows() == first.rows


def test_partitions_that_are_added_are_read(kafka, local, sales_producer, lake_writer, judge, tmp_path):
    first = send(sales_producer, kafka, tmp_path, 3_000, "--seed", 1)
    config = write_config(
        tmp_path / "w.toml", local, kafka.bootstrap, first.topic, rotation={"max_age_ms": 300},
        source={"kafka": {"client": {"topic.metadata.refresh.interval.ms": "1000"}}},
    )  # fmt: skip
    with lake_writer.start("--config", config, "run") as writer:
        writer.wait_for_log("committed and published")
        kafka.add_partitions(first.topic, 7)
        second = send_more(sales_producer, kafka, tmp_path, first.topic, 7_000, "--seed", 2)
        wait_until(lambda: _rows(lake_writer, config, local) == 10_000, "all sales", 90)
        assert writer.terminate() == 0
    seen = judge(local)
    assert seen.rows() == seen.distinct("sale_id") == first.rows + second.rows
    assert set(seen.offsets()) == set(range(7))


def test_a_clock_that_jumps_changes_nothing(kafka, local, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN a writer whose time of day can be set, with checkpoints, sweeps and a rotation by age under way
    first = send(sales_producer, kafka, tmp_path, 3_000, "--seed", 1)
    config = write_config(
        tmp_path / "w.toml", local, kafka.bootstrap, first.topic, rotation={"max_age_ms": 300},
        log={"checkpoint_after_records": 2, "keep_records": 2, "sweep_interval_ms": 500},
        telemetry={"log_format": "json"},
    )  # fmt: skip
    clock = tmp_path / "clock"
    clock.write_text("+0")
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    faked = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip

    def wait_for(sent: int, after: str) -> None:
        wait_until(lambda: _rows(lake_writer, config, local) == sent, f"all sales after {after}", 60)

    sent = first.rows
    with lake_writer.start("--config", config, "run", env=faked) as writer:
        wait_for(sent, "the start")
        # WHEN it is set an hour back, a day ahead, and to the year 2000
        for seed, jump in enumerate(["-1h", "+1d", "@2000-01-01 00:00:00"], start=2):
            clock.write_text(jump)
            sent += send_more(sales_producer, kafka, tmp_path, first.topic, 3_000, "--seed", seed).rows
            # THEN the writer goes on within moments, and so does who watches it
            wait_for(sent, jump)
        assert '"2000-01-01' in writer.log, "the clock was not faked"
        assert writer.terminate() == 0
        assert "panicked" not in writer.log
    seen = judge(local)
    assert seen.rows() == seen.distinct("sale_id") == sent
    assert lake_writer.run("--config", config, "--output", "json", "verify").json()["clean"]


@pytest.mark.parametrize("to", ["earliest", "latest"])
def test_a_group_that_somebody_resets_changes_nothing(to, kafka, local, sales_producer, lake_writer, judge, tmp_path):
    first = send(sales_producer, kafka, tmp_path, 3_000, "--seed", 1)
    config = write_config(tmp_path / "w.toml", local, kafka.bootstrap, first.topic)
    lake_writer.run("--config", config, "run", "--until-end")
    second = send_more(sales_producer, kafka, tmp_path, first.topic, 3_000, "--seed", 2)
    # WHEN the group's offsets are set by hand
    marks = kafka.watermarks(first.topic)
    places = [
        TopicPartition(first.topic, partition, low if to == "earliest" else high)
        for partition, (low, high) in marks.items()
    ]
    group = ConsumerGroupTopicPartitions(f"lake-{first.topic}", places)
    wait_until(lambda: _reset(kafka, group), "the group to be empty", 60)
    # THEN the writer goes on where the table's log stands
    lake_writer.run("--config", config, "run", "--until-end")
    seen = judge(local)
    assert seen.rows() == seen.distinct("sale_id") == first.rows + second.rows


def _reset(kafka, group) -> bool:
    try:
        for future in kafka.admin.alter_consumer_group_offsets([group]).values():
            future.result(timeout=30)
    except KafkaException:
        return False
    return True


def _rows(lake_writer, config, lake) -> int:
    done = lake_writer.run("--config", config, "--output", "json", "status", env=lake.environment, code=None)
    return done.json()["rows"] if done.code == 0 else -1
