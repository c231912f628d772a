"""Killed writers, killed servers: every sale once all the same, on each store."""

from __future__ import annotations

import random
import time

from harness.programs import wait_until, write_config
from harness.sales import send, send_more


def test_twenty_kills_at_random_moments(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN a topic that takes a writer a while, with commits all the time
    sales = send(sales_producer, kafka, tmp_path, 120_000)
    config = write_config(
        tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic,
        rotation={"max_rows": 4_000},
        source={"kafka": {"client": {"group.instance.id": "one", "session.timeout.ms": "6000"}}},
    )  # fmt: skip
    seed = time.time_ns()
    chance = random.Random(seed)
    print(f"seed {seed}")
    # WHEN it is killed twenty times
    for kill in range(1, 21):
        with lake_writer.start("--config", config, "run", env=lake.environment) as writer:
            writer.wait_for_log("opened the commit log")
            time.sleep(chance.uniform(0, 0.6))
            writer.kill()
        # THEN whatever is visible in between is right: whole files, no row twice
        if kill % 5 == 0:
            seen = judge(lake)
            assert seen.is_empty() or seen.distinct("sale_id") == seen.rows()
    # AND a last run completes the table
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    sales.expect(judge(lake))


def test_a_frozen_writer_wakes_and_does_no_harm(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN a writer that is frozen with sales in hand
    first = send(sales_producer, kafka, tmp_path, 10_000, "--seed", 1)
    client = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"}
    config = write_config(
        tmp_path / "w.toml", lake, kafka.bootstrap, first.topic,
        rotation={"max_age_ms": 300}, source={"kafka": {"client": client}},
    )  # fmt: skip
    with lake_writer.start("--config", config, "run", env=lake.environment) as frozen:
        frozen.wait_for_log("committed and published")
        frozen.freeze()
        second = send_more(sales_producer, kafka, tmp_path, first.topic, 10_000, "--seed", 2)
        # WHEN another takes over, and the first wakes
        with lake_writer.start("--config", config, "run", env=lake.environment) as other:
            other.wait_for_log("committed and published", 90)
            frozen.resume()
            third = send_more(sales_producer, kafka, tmp_path, first.topic, 10_000, "--seed", 3)
            wait_until(lambda: _published(lake_writer, config, lake) == 30_000, "all sales", 120)
            assert other.terminate() == 0
        assert frozen.terminate() == 0
    # THEN every sale is there once
    seen = judge(lake)
    assert seen.rows() == first.rows + second.rows + third.rows
    assert seen.distinct("sale_id") == seen.rows()


def test_servers_that_go_away_and_return(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    # GIVEN a writer at work
    first = send(sales_producer, kafka, tmp_path, 10_000, "--seed", 1)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, first.topic, rotation={"max_age_ms": 300})
    with lake_writer.start("--config", config, "run", env=lake.environment) as writer:
        writer.wait_for_log("committed and published")
        # WHEN the store dies with sales under way, and comes back
        servers = {"local": [], "hdfs": "hdfs", "s3": "s3"}[lake.kind]
        if lake.kind == "hdfs":
            servers = [lake.storage.server.namenode]
        elif lake.kind == "s3":
            servers = [lake.storage.server]
        for server in servers:
            server.kill()
        second = send_more(sales_producer, kafka, tmp_path, first.topic, 10_000, "--seed", 2)
        time.sleep(2)
        for server in servers:
            server.start()
        wait_until(lambda: _published(lake_writer, config, lake) == 20_000, "the store's return", 180)
        # AND the broker
        kafka.server.restart()
        third = send_more(sales_producer, kafka, tmp_path, first.topic, 5_000, "--seed", 3)
        wait_until(lambda: _published(lake_writer, config, lake) == 25_000, "the broker's return", 180)
        assert writer.running()
        assert writer.terminate(120) == 0
    # THEN nothing is lost or doubled
    seen = judge(lake)
    assert seen.rows() == first.rows + second.rows + third.rows
    assert seen.distinct("sale_id") == seen.rows()


def _published(lake_writer, config, lake) -> int:
    done = lake_writer.run("--config", config, "--output", "json", "status", env=lake.environment, code=None)
    return done.json()["rows"] if done.code == 0 else -1
