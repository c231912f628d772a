"""Fixtures: one set of real servers for a process of the run, started when its first test asks for one.

    stack -> kafka, hdfs, s3, mongodb -> lake (each store in turn) -> lake_writer, sales_producer -> Judge

A test may kill or freeze a server; whatever it leaves behind is put right before the next test.
Set LAKE_WRITER_STACK=/folder/of/a/running/stack to use that one and save the start.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.dataset
import pymongo
import pymongo.database
import pytest
import tomllib
from playwright.sync_api import Browser

from harness.browser import chromium
from harness.dashboard import Dashboard, made
from harness.judge import Judge
from harness.kafka_cluster import KafkaCluster
from harness.lake import Lake, hdfs_lake, local_lake, s3_lake
from harness.mirror import Mirror
from harness.mirrored_sales import MirroredSales
from harness.postgres import Postgres
from harness.postgres import running as postgres_running
from harness.programs import ROOT, Program, built, wait_until, write_config
from harness.sales import send
from harness.sql import SqlEndpoint
from harness.storage import HdfsStorage, S3Storage
from native_stack import Stack
from native_stack.artifacts import cache_dir


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The servers of this run. Nothing is started yet: `kafka`, `hdfs`, `s3` and `mongodb` do that."""
    running = os.environ.get("LAKE_WRITER_STACK")
    if running:
        if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
            pytest.exit("LAKE_WRITER_STACK is one set of servers, for one process: add WORKERS=0")
        yield Stack(running)
        return
    stack = Stack(tmp_path_factory.mktemp("servers"), die_with_parent=True)
    yield stack
    stack.down()
    if not request.session.testsfailed:
        shutil.rmtree(stack.directory)


@pytest.fixture(scope="session")
def kafka(stack: Stack) -> KafkaCluster:
    """A broker: `create_topic`, `produce`, `watermarks`; `server` to kill or freeze it."""
    stack.kafka.start()
    return KafkaCluster(stack.kafka)


@pytest.fixture(scope="session")
def hdfs(stack: Stack) -> HdfsStorage:
    """A file system: `url`, `make_folder`, `files`, `read`; `server` to kill or freeze its nodes."""
    stack.hdfs.start()
    return HdfsStorage(stack.hdfs)


@pytest.fixture(scope="session")
def s3(stack: Stack) -> S3Storage:
    """An S3 server: `make_bucket`, `files`, `read`, `client`; `server` to kill or freeze it."""
    stack.s3.start()
    return S3Storage(stack.s3)


@pytest.fixture(scope="session")
def mongodb(stack: Stack) -> Iterator[pymongo.MongoClient]:
    """A client of a replica set of one."""
    stack.mongodb.start()
    with pymongo.MongoClient(stack.mongodb.uri) as client:
        yield client


@pytest.fixture
def database(mongodb: pymongo.MongoClient, tmp_path: Path) -> Iterator[pymongo.database.Database]:
    """A database of the test's own."""
    name = f"test_{os.getpid()}_{abs(hash(tmp_path)) % 10**9}"
    yield mongodb[name]
    mongodb.drop_database(name)


@pytest.fixture
def mirror_of(lake_writer, kafka, stack, database, tmp_path):
    """Makes a mirror of a topic."""

    def make(topic: str, **settings: object) -> Mirror:
        uri = settings.pop("uri", stack.mongodb.uri)
        return Mirror(lake_writer, kafka, database, tmp_path, topic, uri=uri, **settings)

    return make


@pytest.fixture(autouse=True)
def servers_put_right(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that used the servers: what it froze goes on, what it killed is started again."""
    yield
    if "stack" not in request.fixturenames:
        return
    stack: Stack = request.getfixturevalue("stack")
    for server in (stack.kafka, *stack.hdfs.servers(), stack.s3, stack.mongodb):
        if stack.state.recorded(server.name) is None:
            continue
        if server.running():
            server.resume()
        else:
            server.start()


@pytest.fixture
def local(tmp_path: Path) -> Lake:
    """A table's place on local disk."""
    return local_lake(tmp_path)


@pytest.fixture(params=["local", "hdfs", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A table's place, on each store in turn."""
    if request.param == "local":
        return local_lake(tmp_path)
    if request.param == "hdfs":
        return hdfs_lake(request.getfixturevalue("hdfs"))
    return s3_lake(request.getfixturevalue("s3"))


@pytest.fixture
def judge(tmp_path: Path) -> Callable[[Lake], Judge]:
    """DuckDB over a copy of a lake as it is at the call."""
    return lambda lake: Judge(lake.fetch(tmp_path / "copy"))


@pytest.fixture
def lake_writer(tmp_path: Path) -> Program:
    """The writer's binary: $LAKE_WRITER_BIN, or what `make test-build` has built."""
    return Program(built("lake-writer"), tmp_path)


@pytest.fixture
def sales_producer(tmp_path: Path) -> Program:
    """The producer's binary: $SALES_PRODUCER_BIN, or what `make test-build` has built."""
    return Program(built("sales-producer"), tmp_path)


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, bundled from the sources of the clone."""
    folder = tmp_path_factory.mktemp("page")
    builder = Program(ROOT / "dashboard" / "page" / "build", folder)
    builder.run(folder / "built", env={"LAKE_WRITER_CACHE": str(cache_dir())})
    return folder / "built"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian\'s Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def dashboard_program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The dashboard\'s binary: $LAKE_DASHBOARD_BIN, or what `make test-build` has built."""
    return Program(built("lake-dashboard"), tmp_path_factory.mktemp("dashboards"))


@pytest.fixture(scope="module")
def still(mongodb: pymongo.MongoClient) -> Iterator[MirroredSales]:
    """Sales that do not change any more."""
    name = f"still_{time.monotonic_ns()}"
    yield made(mongodb[name])
    mongodb.drop_database(name)


@pytest.fixture(scope="module")
def dashboard(
    request: pytest.FixtureRequest,
    still: MirroredSales,
    *,
    stack: Stack,
    dashboard_program: Program,
    page_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Dashboard]:
    """A dashboard of those; what a module calls DASHBOARD are its settings."""
    folder, settings = tmp_path_factory.mktemp("still"), getattr(request.module, "DASHBOARD", {})
    place = stack.mongodb.uri, still.database.name
    dashboard = Dashboard(dashboard_program, folder, *place, page_folder, **settings)
    with dashboard.running:
        wait_until(dashboard.complete, "everything to be loaded")
        yield dashboard


@pytest.fixture
def moving(
    database: pymongo.database.Database, stack: Stack, dashboard_program: Program, page_folder: Path, tmp_path: Path
) -> Iterator[tuple[MirroredSales, Dashboard]]:
    """Sales to which more will come, and their dashboard."""
    mirrored = made(database)
    dashboard = Dashboard(dashboard_program, tmp_path, stack.mongodb.uri, database.name, page_folder)
    with dashboard.running:
        wait_until(dashboard.complete, "everything to be loaded")
        yield mirrored, dashboard


@pytest.fixture(scope="session")
def lake_sql(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The SQL endpoint's binary: $LAKE_SQL_BIN, or what `make test-build` has built."""
    return Program(built("lake-sql"), tmp_path_factory.mktemp("lake-sql"))


@pytest.fixture(scope="session")
def sql_config(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a table on local disk that holds some thousand sales."""
    folder = tmp_path_factory.mktemp("sql-lake")
    sales = send(Program(built("sales-producer"), folder), kafka, folder, 3_000)
    # Without a mirror the table is named after its folder.
    lake = local_lake(folder)
    lake = replace(lake, url=f"{lake.url}/sales")
    config = write_config(folder / "writer.toml", lake, kafka.bootstrap, sales.topic)
    Program(built("lake-writer"), folder).run("run", "--until-end", "--config", config)
    return config


@pytest.fixture(scope="session")
def sql_endpoint(
    lake_sql: Program, sql_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SqlEndpoint]:
    """The SQL endpoint of that table."""
    with SqlEndpoint(lake_sql, tmp_path_factory.mktemp("sql"), sql_config) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def postgres(sql_config: Path) -> Iterator[Postgres]:
    """A real PostgreSQL with the rows of that table as its files have them, in a table `sales_lake`."""
    settings = tomllib.loads(sql_config.read_text(encoding="utf-8"))
    data = Path(settings["table"]["url"].removeprefix("file://")) / "data"
    with postgres_running() as server:
        server.load("sales_lake", pyarrow.dataset.dataset(data, partitioning=None).to_table())
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """No test is skipped in silence: what a machine lacks is to be installed, so a skip is a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        reason = report.longrepr[-1] if report.longrepr else item.name
        report.longrepr = f"skipped, which counts as failed here: {reason}"
    return report
