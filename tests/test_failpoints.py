"""A writer killed or frozen at every step between two calls: every sale once, whatever comes after.

The steps are those that a writer passes (tests/failpoints/<store>.txt). A step that is not listed fails the first test
here, so that no step is left out; `LAKE_WRITER_LIST_FAILPOINTS=1 make pytest ARGS="-k listed"` lists them anew.
"""

from __future__ import annotations

import os
import signal
import uuid

import pytest

from harness import failpoints
from harness.lake import Lake, hdfs_lake, local_lake, s3_lake
from harness.programs import Program, built, write_config
from harness.sales import Sales, send

SALES = 2_400


@pytest.fixture(scope="module")
def sales(kafka, tmp_path_factory) -> Sales:
    """One topic for all cases, with malformed messages. Each case has a table of its own."""
    folder = tmp_path_factory.mktemp("sales")
    producer = Program(built("sales-producer"), folder)
    return send(producer, kafka, folder, SALES, "--malformed-ratio", 0.01, topic=kafka.create_topic(partitions=2))


@pytest.fixture
def place(request, tmp_path):
    """A table's place on the store named."""

    def make(store: str) -> Lake:
        if store == "local":
            return local_lake(tmp_path)
        return {"hdfs": hdfs_lake, "s3": s3_lake}[store](request.getfixturevalue(store))

    return make


@pytest.fixture
def until_end(kafka, sales, tmp_path):
    """Arguments of a run to the end of the topic. Each is alone in its group, so that it need not wait until a dead or
    frozen one is put out: the log alone decides whose the partitions are. It reads a little at a time, and so makes
    several commits, and a checkpoint that drops the first of them."""

    def arguments(lake: Lake) -> tuple:
        config = tmp_path / f"{uuid.uuid4().hex[:8]}.toml"
        client = {"fetch.message.max.bytes": "20000", "queued.min.messages": "1"}
        write_config(
            config, lake, kafka.bootstrap, sales.topic, table={"partition_by": ["date(sold_at)"]},
            rotation={"max_rows": 400}, log={"checkpoint_after_records": 2, "keep_records": 0},
            source={"kafka": {"group_id": config.stem, "client": client}},
        )  # fmt: skip
        return "--config", config, "run", "--until-end"

    return arguments


@pytest.mark.parametrize("store", failpoints.STORES)
def test_every_step_is_listed(store, place, until_end, lake_writer, tmp_path):
    # GIVEN what a writer passes on a new table, and one that finds what a killed one has left
    passed = []
    for number, killed_at in enumerate([None, "publish.data.before@2=kill", "finish.data.after@2=kill"]):
        lake, trace = place(store), tmp_path / f"trace-{number}"
        if killed_at:
            dying = {**lake.environment, "LAKE_WRITER_FAILPOINT": killed_at}
            lake_writer.run(*until_end(lake), env=dying, code=-signal.SIGKILL)
        lake_writer.run(*until_end(lake), env={**lake.environment, "LAKE_WRITER_FAILPOINT_TRACE": str(trace)})
        passed.append(trace.read_text(encoding="utf-8").split())
    # THEN each of those steps is listed, and so is visited by the matrix
    if os.environ.get("LAKE_WRITER_LIST_FAILPOINTS"):
        failpoints.write_list(store, passed)
    missing = failpoints.not_listed(store, passed)
    assert not missing, f"steps without a failpoint in tests/failpoints/{store}.txt: {missing}"


@pytest.mark.parametrize("case", failpoints.cases(), ids=str)
def test_a_writer_stopped_at_a_step(case, place, until_end, sales, lake_writer, judge):
    lake = place(case.store)
    if case.step.often == 0:
        # Only a writer that finds what a crash has left passes there.
        dying = {**lake.environment, "LAKE_WRITER_FAILPOINT": "finish.data.after@2=kill"}
        lake_writer.run(*until_end(lake), env=dying, code=-signal.SIGKILL)
    visit = _killed if case.action == "kill" else _frozen
    visited = visit(case, lake, until_end, sales, lake_writer, judge)
    # A step that every run passes must have been visited, or the case has shown nothing.
    assert visited or case.step.often < case.time, f"{case} was not passed"


def _killed(case, lake, until_end, sales, lake_writer, judge) -> bool:
    # GIVEN a writer that is killed at the step
    died = lake_writer.run(*until_end(lake), env={**lake.environment, **case.environment}, code=None)
    assert died.code in (0, -signal.SIGKILL), died.stderr[-4000:]
    # THEN what is visible are whole files with no sale twice
    seen = judge(lake)
    assert seen.is_empty() or seen.distinct("sale_id") == seen.rows()
    # WHEN it is started again THEN every sale is there once
    lake_writer.run(*until_end(lake), env=lake.environment)
    sales.expect(judge(lake))
    return died.code != 0


def _frozen(case, lake, until_end, sales, lake_writer, judge) -> bool:
    # GIVEN a writer that is frozen at the step
    with lake_writer.start(*until_end(lake), env={**lake.environment, **case.environment}) as writer:
        stopped = failpoints.wait_until_frozen(writer)
        # WHEN another one writes the table meanwhile THEN every sale is there once
        lake_writer.run(*until_end(lake), env=lake.environment)
        sales.expect(judge(lake))
        # WHEN the frozen one wakes THEN it does no harm, and ends well since all is done
        writer.resume()
        writer.wait(120, code=0)
    sales.expect(judge(lake))
    return stopped
