"""Two writers of one group on one table, with random kills, freezes and restarts of servers; then every sale once.

`make test` runs it for half a minute a store. For longer: LAKE_WRITER_SOAK_SECONDS=1800 make pytest ARGS="-k soak -s".
A failing run prints its seed; LAKE_WRITER_SOAK_SEED makes the same choices again.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from harness.failpoints import frozen
from harness.programs import Program, RunningProgram, write_config
from harness.sales import Sales, send, send_more

SECONDS = float(os.environ.get("LAKE_WRITER_SOAK_SECONDS", "30"))


class Writer:
    """One writer that is started again whenever it ends."""

    def __init__(self, program: Program, config, environment: dict[str, str]) -> None:
        self.program, self.config, self.environment = program, config, environment
        self.running: RunningProgram | None = None

    def start(self) -> None:
        """Starts it, unless it runs."""
        if self.running is None or not self.running.running():
            self.running = self.program.start("--config", self.config, "run", env=self.environment)

    def freeze(self) -> None:
        """Stops it where it stands, or lets it go on."""
        if frozen(self.running):
            self.running.resume()
        else:
            self.running.freeze()

    def kill(self) -> None:
        """SIGKILL, and a new start."""
        self.running.kill()
        self.start()

    def stop(self) -> None:
        """Lets it go on if it was frozen, and stops it in good order."""
        self.running.resume()
        # With 3 and 4 it says that broker or store were away when it was told. Until it listens to signals, SIGTERM
        # ends it as it ends any program, which is as safe as SIGKILL.
        assert self.running.terminate(180) in (0, 3, 4, 7, -15), self.running.log[-6000:]


@pytest.mark.timeout(SECONDS + 600)
def test_soak(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    seed = int(os.environ.get("LAKE_WRITER_SOAK_SEED") or time.time_ns() % 10**9)
    chance = random.Random(seed)
    # A broker that was killed hundreds of times reads long logs at its start.
    kafka.server.start_timeout_s = max(kafka.server.start_timeout_s, SECONDS / 3)
    # GIVEN two writers at work
    sales = [send(sales_producer, kafka, tmp_path, 4_000, "--seed", 1)]
    client = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"}
    config = write_config(
        tmp_path / "w.toml", lake, kafka.bootstrap, sales[0].topic,
        rotation={"max_rows": 3_000, "max_age_ms": 500}, source={"kafka": {"client": client}},
    )  # fmt: skip
    writers = [Writer(lake_writer, config, lake.environment) for _ in range(2)]
    for writer in writers:
        writer.start()
    # WHEN for a while something happens every other second
    happened: dict[str, int] = {}
    until = time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            what = chance.choices(["kill", "freeze", "stop", "broker", "store"], [5, 5, 2, 1, 1])[0]
            happened[what] = happened.get(what, 0) + 1
            _happen(what, chance.choice(writers), kafka, lake)
            sales.append(send_more(sales_producer, kafka, tmp_path, sales[0].topic, 1_000, "--seed", len(sales) + 1))
            time.sleep(chance.uniform(0, 2))
            for writer in writers:
                writer.start()
        for writer in writers:
            writer.stop()
        # THEN a last run completes the table, and every sale is there once
        source = ["--set", f"source.kafka.group_id=last-{seed}"]
        lake_writer.run("--config", config, *source, "run", "--until-end", env=lake.environment)
        _expect(sales, judge(lake))
        verified = lake_writer.run("--config", config, "--output", "json", "verify", env=lake.environment)
        assert verified.json()["findings"] == []
    finally:
        print(f"seed {seed}: {happened}, {len(sales)} batches of sales in {SECONDS:.0f} s")


def _happen(what: str, writer: Writer, kafka, lake) -> None:
    match what:
        case "kill":
            writer.kill()
        case "freeze":
            writer.freeze()
        case "stop":
            writer.stop()
        case "broker":
            kafka.server.kill()
            kafka.server.start()
        case "store" if lake.kind == "hdfs":
            lake.storage.server.namenode.kill()
            lake.storage.server.namenode.start()
        case "store" if lake.kind == "s3":
            lake.storage.server.kill()
            lake.storage.server.start()


def _expect(sales: list[Sales], seen) -> None:
    total = sum(part.rows for part in sales)
    assert seen.rows() == total
    assert seen.distinct("sale_id") == total
    for partition, (rows, different, _) in seen.offsets().items():
        assert rows == different, f"partition {partition} has offsets twice"
