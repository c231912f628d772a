"""The Rust tests that need real servers: each is `#[ignore]`d for a plain `cargo test` and run here.

    stack -> LAKE_WRITER_TEST_* in the environment -> cargo test -- --ignored

Owns the names by which Rust tests find the servers: LAKE_WRITER_TEST_KAFKA (bootstrap servers),
LAKE_WRITER_TEST_KAFKA_SASL (properties of a client of a secured broker, as JSON),
LAKE_WRITER_TEST_HDFS_URL with HADOOP_CONF_DIR, LAKE_WRITER_TEST_S3_URL with AWS_*.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from harness.kafka_cluster import KafkaCluster
from harness.programs import ROOT
from harness.storage import HdfsStorage, S3Storage
from native_stack import Kafka, State
from native_stack.artifacts import cache_dir


@pytest.fixture
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker that asks for a password, beside the open one."""
    state = State(tmp_path_factory.mktemp("sasl"))
    server = Kafka(state, scram_users={"writer": "à propos"}, heap_mib=256, die_with_parent=True)
    server.start()
    yield server
    server.stop()


@pytest.mark.timeout(1800)
def test_ignored_rust_tests_pass_on_real_servers(
    kafka: KafkaCluster, secured_kafka: Kafka, hdfs: HdfsStorage, s3: S3Storage
) -> None:
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR") or str(cache_dir() / "target"),
        "LAKE_WRITER_TEST_KAFKA": kafka.bootstrap,
        "LAKE_WRITER_TEST_KAFKA_SASL": json.dumps(secured_kafka.sasl_client("writer", "à propos")),
        "LAKE_WRITER_TEST_HDFS_URL": hdfs.make_folder(),
        **hdfs.server.client_environment,
        "LAKE_WRITER_TEST_S3_URL": f"{s3.make_bucket()}/tests",
        **s3.server.client_environment,
    }
    command = ["cargo", "test", "--locked", "--profile", "quick", "--workspace", "--no-fail-fast", "--", "--ignored"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-12000:]
    passed = sum(int(number) for number in re.findall(r"test result: ok\. (\d+) passed", done.stdout))
    assert passed > 0, output[-4000:]
