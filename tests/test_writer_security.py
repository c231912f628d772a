"""The writer against servers as a company runs them: SASL_SSL and SCRAM, S3 with TLS, Kerberised HDFS."""

from __future__ import annotations

import pytest

from harness.judge import Judge
from harness.kafka_cluster import KafkaCluster
from harness.lake import Lake, s3_lake
from harness.programs import write_config
from harness.sales import send
from harness.storage import S3Storage
from native_stack import S3, Hdfs, Kafka, Kdc, State

PASSWORD = "geheim-à-propos"


def test_a_broker_with_sasl_ssl(local, sales_producer, lake_writer, judge, tmp_path):
    server = Kafka(State(tmp_path / "sasl"), scram_users={"writer": PASSWORD}, heap_mib=256, die_with_parent=True)
    server.start()
    try:
        # GIVEN sales on a broker whose clients must log in over TLS
        sales = send(sales_producer, KafkaCluster(server), tmp_path, 5_000)
        client = server.sasl_client("writer", PASSWORD)
        bootstrap = client.pop("bootstrap.servers")
        secret = tmp_path / "password"
        secret.write_text(client.pop("sasl.password"), encoding="utf-8")
        client["sasl.password_file"] = str(secret)
        config = write_config(tmp_path / "w.toml", local, bootstrap, sales.topic, source={"kafka": {"client": client}})
        # WHEN the writer has the password, from a file THEN it reads everything, and never shows it
        done = lake_writer.run("--config", config, "-v", "run", "--until-end")
        sales.expect(judge(local))
        shown = lake_writer.run("--config", config, "config", "print").stdout
        assert PASSWORD not in done.stdout + done.stderr + shown
        # WHEN it is wrong THEN the error says that it is about the login, and ends
        secret.write_text("wrong", encoding="utf-8")
        refused = lake_writer.run("--config", config, "run", "--until-end", code=3, timeout_s=120)
        assert "uthentication" in refused.stderr
    finally:
        server.stop()


def test_an_s3_server_with_tls(kafka, sales_producer, lake_writer, judge, tmp_path):
    server = S3(State(tmp_path / "s3"), tls=True, die_with_parent=True)
    server.start()
    try:
        lake = s3_lake(S3Storage(server))
        sales = send(sales_producer, kafka, tmp_path, 5_000)
        config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic)
        lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
        sales.expect(judge(lake))
        # WHEN the authority is not trusted THEN nothing is written and the error says why
        del lake.settings["store"]["s3"]["ca_file"]
        stranger = write_config(tmp_path / "stranger.toml", lake, kafka.bootstrap, sales.topic)
        refused = lake_writer.run(
            "--config", stranger, "run", "--until-end", env=lake.environment, code=4, timeout_s=180
        )
        assert "certificate" in refused.stderr.lower()
        # WHEN the key is wrong THEN the error says so, and does not show it
        wrong = {**lake.environment, "AWS_SECRET_ACCESS_KEY": "not-the-right-key"}
        refused = lake_writer.run("--config", config, "run", "--until-end", env=wrong, code=4, timeout_s=180)
        assert "credentials" in refused.stderr and "not-the-right-key" not in refused.stderr
    finally:
        server.stop()


@pytest.mark.parametrize("protection", ["authentication", "privacy"])
def test_a_kerberised_hdfs(kafka, sales_producer, lake_writer, tmp_path, protection):
    state = State(tmp_path / "kerberos")
    realm = Kdc(state, die_with_parent=True)
    realm.start()
    hdfs = Hdfs(state, kdc=realm, protection=protection, die_with_parent=True)
    try:
        hdfs.start()
        ticket = realm.ticket("hdfs")
        hdfs.shell("-mkdir", "/lake", environment=ticket)
        sales = send(sales_producer, kafka, tmp_path, 5_000)
        settings = {"store": {"hdfs": {"conf_dir": str(hdfs.conf_dir)}}}
        lake = Lake("hdfs", f"{hdfs.url}/lake/sales", None, settings, ticket)  # WebHDFS would need SPNEGO
        config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic)
        # WHEN the writer has a ticket made from a keytab THEN it writes
        lake_writer.run("--config", config, "run", "--until-end", env=ticket)
        copy = tmp_path / "copy"
        hdfs.shell("-get", "/lake/sales", str(copy), environment=ticket)
        sales.expect(Judge(copy))
        # WHEN it has none THEN it says what to check
        none = {**ticket, "KRB5CCNAME": f"FILE:{tmp_path}/none"}
        refused = lake_writer.run("--config", config, "run", "--until-end", env=none, code=4, timeout_s=240)
        assert "erber" in refused.stderr or "GSS" in refused.stderr
    finally:
        hdfs.stop()
        realm.stop()
