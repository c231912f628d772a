"""The Rust tests that need real servers: each is `#[ignore]`d for a plain `cargo test` and run here.

    stack -> LAKE_WRITER_TEST_* in the environment -> cargo test -- --ignored

Owns the names by which Rust tests find the servers: LAKE_WRITER_TEST_KAFKA (bootstrap servers),
LAKE_WRITER_TEST_KAFKA_SASL (properties of a client of a secured broker, as JSON),
LAKE_WRITER_TEST_HDFS_URL with HADOOP_CONF_DIR, LAKE_WRITER_TEST_S3_URL with AWS_*,
LAKE_WRITER_TEST_SQL and LAKE_WRITER_TEST_POSTGRES (connection strings of the SQL endpoint, and of PostgreSQL with
the same rows), LAKE_WRITER_TEST_SQL_TLS with LAKE_WRITER_TEST_SQL_CA (one that encrypts, and who vouches for it).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.kafka_cluster import KafkaCluster
from harness.postgres import Postgres
from harness.programs import ROOT, Program
from harness.sql import SqlEndpoint
from harness.storage import HdfsStorage, S3Storage
from native_stack import Kafka, State, tls
from native_stack.artifacts import cache_dir


@pytest.fixture
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker that asks for a password, beside the open one."""
    state = State(tmp_path_factory.mktemp("sasl"))
    server = Kafka(state, scram_users={"writer": "à propos"}, heap_mib=256, die_with_parent=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def sql_places(
    sql_endpoint: SqlEndpoint, postgres: Postgres, lake_sql: Program, sql_config: Path, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """Where the SQL endpoint is, with TLS and without, and a PostgreSQL with the same rows."""
    own = tls.Certificates(tmp_path / "tls").ensure()
    options = ("--tls-certificate", own.certificate, "--tls-key", own.key)
    with SqlEndpoint(lake_sql, tmp_path, sql_config, *options) as encrypted:
        yield {
            "LAKE_WRITER_TEST_SQL": sql_endpoint.place(),
            "LAKE_WRITER_TEST_SQL_TLS": encrypted.place(host="localhost", sslmode="require"),
            "LAKE_WRITER_TEST_SQL_CA": str(own.ca),
            "LAKE_WRITER_TEST_POSTGRES": f"host=127.0.0.1 port={postgres.port} user=lake dbname=lake",
        }


@pytest.fixture
def cargo_environment() -> dict[str, str]:
    """What cargo needs to find what was built."""
    return {**os.environ, "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR") or str(cache_dir() / "target")}


def ignored(environment: dict[str, str], *chosen: str) -> None:
    """Runs ignored tests, of which there must be some."""
    command = ["cargo", "test", "--locked", "--profile", "quick", "--workspace", "--no-fail-fast", *chosen]
    done = subprocess.run(
        [*command, "--", "--ignored"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-12000:]
    passed = sum(int(number) for number in re.findall(r"test result: ok\. (\d+) passed", done.stdout))
    assert passed > 0, output[-4000:]


@pytest.mark.timeout(600)
def test_the_extended_protocol_is_postgresqls(sql_places: dict[str, str], cargo_environment: dict[str, str]) -> None:
    """With tokio-postgres, which prepares every statement and takes binary values alone."""
    ignored({**cargo_environment, **sql_places}, "--test", "extended_protocol")


@pytest.mark.timeout(1800)
def test_ignored_rust_tests_pass_on_real_servers(
    kafka: KafkaCluster,
    secured_kafka: Kafka,
    hdfs: HdfsStorage,
    s3: S3Storage,
    sql_places: dict[str, str],
    cargo_environment: dict[str, str],
) -> None:
    environment = {
        **cargo_environment,
        **sql_places,
        "LAKE_WRITER_TEST_KAFKA": kafka.bootstrap,
        "LAKE_WRITER_TEST_KAFKA_SASL": json.dumps(secured_kafka.sasl_client("writer", "à propos")),
        "LAKE_WRITER_TEST_HDFS_URL": hdfs.make_folder(),
        **hdfs.server.client_environment,
        "LAKE_WRITER_TEST_S3_URL": f"{s3.make_bucket()}/tests",
        **s3.server.client_environment,
    }
    ignored(environment)
