"""The servers as a company runs them: Kafka with SASL_SSL, S3 with TLS, HDFS with Kerberos.

native_stack with its options -> refused without, served with, the right secret
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import SSLError
from confluent_kafka import KafkaError, Producer

from harness.kafka_cluster import KafkaCluster
from harness.programs import ROOT, wait_until
from harness.storage import S3Storage
from native_stack import S3, Hdfs, Kafka, Kdc, StackError, State


@pytest.fixture(scope="module")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    server = Kafka(
        State(tmp_path_factory.mktemp("sasl")), scram_users={"writer": "à propos"}, heap_mib=256, die_with_parent=True
    )
    server.start()
    yield server
    server.stop()


def test_sasl_ssl_lets_the_right_password_in(secured_kafka: Kafka) -> None:
    # GIVEN a client with the right password WHEN it sends THEN the messages are there for both listeners
    cluster = KafkaCluster(secured_kafka, secured_kafka.sasl_client("writer", "à propos"))
    topic = cluster.create_topic(partitions=1)
    cluster.produce(topic, ["Île-de-France"])
    assert KafkaCluster(secured_kafka).values(topic) == ["Île-de-France".encode()]


def test_sasl_ssl_refuses_a_wrong_password(secured_kafka: Kafka) -> None:
    # GIVEN a client with a wrong password
    errors: list[KafkaError] = []
    client = Producer({**secured_kafka.sasl_client("writer", "wrong"), "error_cb": errors.append})

    # WHEN it goes on trying, as librdkafka does for ever THEN the reason is in its error callback alone
    def told() -> bool:
        client.poll(0.1)
        return any(error.code() == KafkaError._AUTHENTICATION for error in errors)

    wait_until(told, "an authentication error", 30)


def test_sasl_ssl_is_not_believed_without_its_authority(secured_kafka: Kafka) -> None:
    errors: list[KafkaError] = []
    properties = secured_kafka.sasl_client("writer", "à propos")
    del properties["ssl.ca.location"]
    client = Producer({**properties, "error_cb": errors.append})

    def told() -> bool:
        client.poll(0.1)
        return any(error.code() == KafkaError._SSL for error in errors)

    wait_until(told, "a certificate error", 30)


def test_sasl_users_survive_a_kill(secured_kafka: Kafka) -> None:
    secured_kafka.kill()
    secured_kafka.start()
    cluster = KafkaCluster(secured_kafka, secured_kafka.sasl_client("writer", "à propos"))
    assert cluster.create_topic() in cluster.topics()


def test_s3_over_tls(tmp_path: Path) -> None:
    # GIVEN an S3 server with a certificate of its own authority
    server = S3(State(tmp_path), tls=True, die_with_parent=True)
    server.start()
    try:
        storage = S3Storage(server)
        # WHEN a client knows the authority THEN it is served, conditional put included
        url = storage.make_bucket()
        path = f"/{url.removeprefix('s3://')}/key"
        assert [server.request("PUT", path, b"1", {"If-None-Match": "*"})[0] for _ in range(2)] == [200, 412]
        assert storage.read(f"{url}/key") == b"1"
        # AND one that does not know it refuses to talk
        stranger = boto3.client(
            "s3", endpoint_url=server.endpoint, aws_access_key_id="x", aws_secret_access_key="y",
            region_name="us-east-1", verify=True,
        )  # fmt: skip
        with pytest.raises(SSLError):
            stranger.list_buckets()
    finally:
        server.stop()


def test_kerberised_hdfs(tmp_path: Path) -> None:
    # GIVEN a realm and a file system that asks for its tickets
    state = State(tmp_path)
    realm = Kdc(state, die_with_parent=True)
    realm.start()
    hdfs = Hdfs(state, kdc=realm, protection="privacy", die_with_parent=True)
    try:
        hdfs.start()
        # WHEN a client has no ticket THEN it is refused
        with pytest.raises(StackError, match="Client cannot authenticate"):
            hdfs.shell("-ls", "/", environment={"KRB5CCNAME": f"FILE:{tmp_path}/none"})
        # WHEN it has one, by keytab THEN it writes and reads, and the owner is the principal
        ticket = realm.ticket("hdfs")
        hdfs.shell("-mkdir", "/lake", environment=ticket)
        hdfs.shell("-put", str(ROOT / "LICENSE"), "/lake/Île-de-France", environment=ticket)
        assert hdfs.shell("-cat", "/lake/Île-de-France", environment=ticket).encode() == (ROOT / "LICENSE").read_bytes()
        assert " hdfs " in hdfs.shell("-ls", "/lake", environment=ticket)
        # AND another user has a ticket, but not the right to write there
        with pytest.raises(StackError, match="Permission denied: user=writer"):
            hdfs.shell("-touchz", "/lake/mine", environment=realm.ticket("writer"))
    finally:
        hdfs.stop()
        realm.stop()


def test_no_secret_is_on_a_command_line(secured_kafka: Kafka) -> None:
    # Everybody on a machine can read command lines.
    password = secured_kafka.certificates.keystore_password
    shown = Path(f"/proc/{secured_kafka.process.pid}/cmdline").read_text()
    assert "server.properties" in shown
    assert password not in shown
    assert "à propos" not in shown
