"""The stores' promises on servers as a company runs them: S3 with TLS, HDFS with Kerberos.

native_stack with its options -> LAKE_WRITER_TEST_* in the environment -> the conformance suite's own tests

Owns the settings of each. On servers without secrets test_rust_on_real_servers.py runs the same suite.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from harness.programs import ROOT
from harness.storage import S3Storage
from native_stack import S3, Hdfs, Kdc, State
from native_stack.artifacts import cache_dir
from native_stack.kerberos import REALM

# Every promise of lake-writer/src/store/conformance.rs; a lower number means that tests got lost.
PROMISES = 23


@pytest.mark.timeout(1800)
def test_s3_keeps_its_promises_over_tls(tmp_path: Path) -> None:
    # GIVEN a server whose certificate is signed by an authority of its own
    server = S3(State(tmp_path), tls=True, die_with_parent=True)
    server.start()
    try:
        bucket = S3Storage(server).make_bucket()
        # WHEN the suite runs with that authority in store.s3.ca_file THEN every promise is kept
        output = run_suite(
            "s3::",
            {"s3": {"endpoint": server.endpoint, "ca_file": str(server.certificates.ca)}},
            LAKE_WRITER_TEST_S3_URL=f"{bucket}/tests",
            AWS_ACCESS_KEY_ID=server.access_key,
            AWS_SECRET_ACCESS_KEY=server.secret_key,
            AWS_REGION=server.region,
        )
        assert passed(output) == PROMISES, output[-12000:]
        # AND without it the server is not believed, and the error says what is missing
        output = run_suite(
            "s3::the_probe_accepts_it",
            {"s3": {"endpoint": server.endpoint, "allow_http": False}},
            LAKE_WRITER_TEST_S3_URL=f"{bucket}/tests",
            AWS_ACCESS_KEY_ID=server.access_key,
            AWS_SECRET_ACCESS_KEY=server.secret_key,
            AWS_REGION=server.region,
        )
        assert "kind: Unfit" in output, output[-12000:]
        assert "UnknownIssuer" in output, output[-12000:]
        assert server.secret_key not in output
    finally:
        server.stop()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("protection", ["authentication", "privacy"])
def test_hdfs_keeps_its_promises_with_kerberos(tmp_path: Path, protection: str) -> None:
    # GIVEN a realm, a file system that asks for its tickets, and a folder of the writer's own
    state = State(tmp_path)
    realm = Kdc(state, die_with_parent=True)
    realm.start()
    hdfs = Hdfs(state, kdc=realm, protection=protection, die_with_parent=True)
    try:
        hdfs.start()
        owner = realm.ticket("hdfs")
        hdfs.shell("-mkdir", "-p", "/lake", environment=owner)
        hdfs.shell("-chown", "writer", "/lake", environment=owner)
        place = {"LAKE_WRITER_TEST_HDFS_URL": f"{hdfs.url}/lake", **hdfs.client_environment}
        keytab = {"kerberos_principal": f"writer@{REALM}", "kerberos_keytab": str(realm.keytab("writer"))}
        # WHEN the suite runs with the writer's keytab THEN every promise is kept
        output = run_suite("hdfs::", {"hdfs": keytab}, **place)
        assert passed(output) == PROMISES, output[-12000:]
        # AND without any ticket it is told what is wrong, soon
        place["KRB5CCNAME"] = f"FILE:{tmp_path}/none"
        output = run_suite("hdfs::the_probe_accepts_it", {}, **place)
        assert "kind: Denied" in output, output[-12000:]
        # AND without Hadoop's configuration, too, although all the server does is to hang up
        del place["HADOOP_CONF_DIR"]
        output = run_suite("hdfs::the_probe_accepts_it", {"call_timeout_ms": 10_000}, **place)
        assert "if it wants Kerberos" in output, output[-12000:]
    finally:
        hdfs.stop()
        realm.stop()


def run_suite(which: str, store: dict[str, object], **environment: str) -> str:
    """Runs the suite's tests whose names contain `which`; what they print."""
    # All of the workspace: for one package alone dependencies have other features, and are compiled again.
    command = ["cargo", "test", "--locked", "--profile", "quick", "--workspace", "--test", "store_conformance"]
    target = os.environ.get("CARGO_TARGET_DIR") or str(cache_dir() / "target")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KRB5"))}
    done = subprocess.run(
        [*command, "--", "--ignored", which],
        cwd=ROOT,
        env={**inherited, "CARGO_TARGET_DIR": target, "LAKE_WRITER_TEST_STORE": json.dumps(store), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def passed(output: str) -> int:
    """How many tests passed, when all did."""
    return sum(int(number) for number in re.findall(r"test result: ok\. (\d+) passed", output))
