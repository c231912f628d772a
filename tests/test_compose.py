"""compose.yaml against what the native stack and the programs really take; no container engine is needed.

compose.yaml, Dockerfiles, hadoop/conf -> the same commands run natively -> they agree
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import tomllib
import yaml

from harness.kafka_cluster import KafkaCluster
from harness.programs import ROOT, Program, RunningProgram, wait_until
from native_stack import S3, Stack, State, artifacts, versions
from native_stack.config_files import CONF, read_hadoop, read_properties, write_hadoop
from native_stack.mongodb import REPLICA_SET
from native_stack.server import http_get
from native_stack.state import is_free

PROFILES = ("s3", "mongodb", "sql", "tools")


@pytest.fixture(scope="module")
def compose() -> dict:
    """The file as it is written, merge keys resolved."""
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def free_ports(state: State, *names: str) -> dict[str, int]:
    return state.ports("compose", dict.fromkeys(names))


# -- the file itself ------------------------------------------------------------------------------


def test_docker_compose_takes_the_file(compose: dict) -> None:
    flags = [word for profile in PROFILES for word in ("--profile", profile)]
    done = subprocess.run(
        ["docker-compose", *flags, "config", "--services"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(compose["services"])


def test_every_image_is_pinned_to_what_is_tested(compose: dict) -> None:
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert images["kafka"] == images["topic"] == f"apache/kafka:{versions.KAFKA}"
    assert images["s3"] == images["s3-bucket"] == f"versity/versitygw:v{versions.VERSITYGW}"
    assert {images[name] for name in images if name.startswith(("namenode", "datanode", "hdfs"))} == {
        f"lake-writer/hdfs:{versions.HADOOP}"
    }
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert images["lake-writer"] == images["lake-writer-s3"] == images["mirror"] == f"lake-writer/lake-writer:{version}"
    assert images["sales-producer"] == f"lake-writer/sales-producer:{version}"
    assert images["dashboard"] == f"lake-writer/lake-dashboard:{version}"
    assert images["lake-sql"] == images["sql-user"] == f"lake-writer/lake-sql:{version}"
    # MongoDB has no 8.0 in a package registry, so the native one is older; the series is pinned all the same.
    assert re.fullmatch(r"mongo:8\.0\.\d+", images["mongodb"])


def test_servers_ask_for_their_health_and_keep_their_data(compose: dict) -> None:
    keeping = {"kafka", "namenode", "datanode-1", "datanode-2", "s3", "mongodb"}
    for name in keeping | {"lake-writer", "lake-writer-s3", "mirror", "dashboard", "lake-sql"}:
        assert compose["services"][name]["healthcheck"]["test"], name
    for name in keeping:
        named = [mount for mount in compose["services"][name]["volumes"] if not mount.startswith("./")]
        assert [mount.partition(":")[0] for mount in named] == [name]
    assert set(compose["volumes"]) == keeping | {"lake-sql"}


def test_what_a_service_waits_for_can_come(compose: dict) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            # What is waited for belongs to every profile that the service does, or to all.
            profiles, others = (set(services[it].get("profiles", [])) for it in (name, other))
            assert not others or (profiles and profiles <= others), f"{name} waits for {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for {other}'s health"
            else:
                assert "restart" not in services[other], f"{name} waits for the end of {other}"


def test_mounted_files_are_there(compose: dict) -> None:
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            if mount.startswith("./"):
                assert (ROOT / mount.partition(":")[0]).exists(), mount


# -- the images -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "hadoop/Dockerfile"])
def test_images_are_pinned_and_not_root(dockerfile: str) -> None:
    text = (ROOT / dockerfile).read_text()
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?", text, re.MULTILINE)
    names = {name for _, name in stages}
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", text, re.MULTILINE))
    for written, _ in stages:
        image = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], written)
        assert image in names or re.fullmatch(r"\w+:\d+\.\d+(\.\d+)?-\w+", image), image
    # The last user of what is shipped.
    assert re.findall(r"^USER (\w+)", text, re.MULTILINE)[-1] in ("lake", "hadoop")


def test_rust_of_the_image_is_that_of_the_toolchain() -> None:
    channel = re.search(r'channel = "(.+)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    assert f"FROM rust:{channel}-bookworm AS build" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "hadoop/Dockerfile"])
def test_what_images_copy_is_sent_to_the_engine(dockerfile: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", (ROOT / dockerfile).read_text(), re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.partition("/")[0] in allowed, f"{source} is kept back by .dockerignore"


# -- Kafka ----------------------------------------------------------------------------------------


def test_kafka_listens_where_compose_says(compose: dict) -> None:
    service = compose["services"]["kafka"]
    properties = read_properties(CONF / "server.properties")
    listening = dict(re.findall(r"(\w+)://:(\d+)", properties["listeners"]))
    advertised = dict(re.findall(r"(\w+)://([\w.:]+)", properties["advertised.listeners"]))
    # Inside by the service's name, from the host by the published port.
    assert advertised["PLAINTEXT"] == f"kafka:{listening['PLAINTEXT']}"
    assert advertised["HOST"] == f"localhost:{listening['HOST']}"
    assert service["ports"] == [f"127.0.0.1:{listening['HOST']}:{listening['HOST']}"]
    assert service["healthcheck"]["test"][-2:] == ["kafka", listening["PLAINTEXT"]]
    assert properties["controller.quorum.voters"] == f"1@kafka:{listening['CONTROLLER']}"
    assert service["hostname"] == "kafka"
    # And the volume is where it writes.
    assert f"kafka:{properties['log.dirs']}" in service["volumes"]


def test_the_topic_is_made_by_a_command_that_kafka_takes(compose: dict, kafka: KafkaCluster) -> None:
    # GIVEN the service's command with this broker instead
    program, *arguments = compose["services"]["topic"]["command"]
    assert program.endswith("/kafka-topics.sh") and arguments[:2] == ["--bootstrap-server", "kafka:9092"]
    kafka.delete_topic("sales") if "sales" in kafka.topics() else None
    # WHEN it runs at every start of the whole THEN the topic is there once, with its partitions
    for _ in range(2):
        kafka.server.topic_tool(*arguments[2:])
    assert len(kafka.watermarks("sales")) == int(arguments[arguments.index("--partitions") + 1])
    kafka.delete_topic("sales")


# -- HDFS -----------------------------------------------------------------------------------------


class Composed:
    """HDFS as compose runs it: the entry point and configuration of the image, on this machine's ports."""

    def __init__(self, folder: Path, compose: dict) -> None:
        self.folder = folder
        self.services = compose["services"]
        self.state = State(folder)
        nodes = [f"{node}-{what}" for node in ("datanode-1", "datanode-2") for what in ("data", "ipc", "http")]
        self.ports = free_ports(self.state, "rpc", "http", *nodes)

    def configuration(self, service: str) -> Path:
        """hadoop/conf with nothing changed but hosts, ports and folders."""
        conf = self.folder / f"{service}-conf"
        write_hadoop(
            conf / "core-site.xml",
            read_hadoop(CONF / "core-site.xml") | {"fs.defaultFS": f"hdfs://127.0.0.1:{self.ports['rpc']}"},
        )
        hdfs = read_hadoop(CONF / "hdfs-site.xml") | {
            "dfs.namenode.name.dir": f"file://{self.folder}/name",
            "dfs.namenode.rpc-address": f"127.0.0.1:{self.ports['rpc']}",
            "dfs.namenode.http-address": f"127.0.0.1:{self.ports['http']}",
            "dfs.datanode.data.dir": f"file://{self.folder}/{service}",
            "dfs.datanode.hostname": "127.0.0.1",
        }
        for what, key in (("data", "address"), ("ipc", "ipc.address"), ("http", "http.address")):
            if service.startswith("datanode"):
                hdfs[f"dfs.datanode.{key}"] = f"0.0.0.0:{self.ports[f'{service}-{what}']}"
        write_hadoop(conf / "hdfs-site.xml", hdfs)
        (conf / "log4j.properties").write_bytes((CONF / "log4j.properties").read_bytes())
        return conf

    def environment(self, service: str) -> dict[str, str]:
        return {
            **os.environ,
            "HADOOP_JARS": str(artifacts.hadoop_jars()),
            "HADOOP_CONF_DIR": str(self.configuration(service)),
            "HDFS_NAME_DIR": f"{self.folder}/name",
            "HADOOP_USER_NAME": "hadoop",
            "HDFS_HEAP": "160m",
        }

    def argv(self, service: str) -> list[str]:
        return [str(ROOT / "hadoop" / "compose" / "hdfs"), *self.services[service]["command"]]

    def start(self, service: str) -> RunningProgram:
        log = self.folder / f"{service}-{time.monotonic_ns()}.log"
        return RunningProgram(self.argv(service), self.environment(service), log)

    def run(self, service: str, *arguments: str) -> str:
        argv = [self.argv(service)[0], *(arguments or self.argv(service)[1:])]
        done = subprocess.run(
            argv, env=self.environment(service), capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_healthy(self, service: str) -> bool:
        """The question of the service's health check, at this machine's port."""
        test = " ".join(self.services[service]["healthcheck"]["test"])
        path = re.search(r"http://127\.0\.0\.1:\d+(/jmx\?qry=[\w:=,]+)", test)[1]
        expected = (re.findall(r"grep -q (\w+)", test) or [""])[0]
        port = self.ports["http" if service == "namenode" else f"{service}-http"]
        try:
            return expected in http_get(f"http://127.0.0.1:{port}{path}").decode()
        except (OSError, urllib.error.URLError):
            return False


@pytest.fixture
def composed(tmp_path: Path, compose: dict) -> Iterator[Composed]:
    yield Composed(tmp_path, compose)


def test_hdfs_starts_from_the_images_entry_point_and_again(composed: Composed) -> None:
    nodes = ("datanode-1", "datanode-2")
    with ExitStack() as running:
        # GIVEN name node and data nodes, started as compose does, each once the one before is healthy
        namenode = running.enter_context(composed.start("namenode"))
        wait_until(lambda: composed.is_healthy("namenode"), f"the name node\n{namenode.log[-3000:]}", 120)
        for node in nodes:
            running.enter_context(composed.start(node))
        for node in nodes:
            wait_until(lambda node=node: composed.is_healthy(node), node, 120)
        # WHEN the preparing service runs
        composed.run("hdfs-prepare")
        # THEN the writer's user has a folder of its own, and files get two copies
        composed.run("hdfs-shell", "fs", "-put", str(ROOT / "LICENSE"), "/lake/LICENSE")
        assert " lake " in composed.run("hdfs-shell", "fs", "-ls", "-d", "/lake")
        assert composed.run("hdfs-shell", "fs", "-stat", "%r", "/lake/LICENSE").strip() == "2"

        # AND after a restart of the name node nothing is formatted away, and preparing again does no harm
        namenode.terminate()
        again = running.enter_context(composed.start("namenode"))
        wait_until(lambda: composed.is_healthy("namenode"), f"the name node\n{again.log[-3000:]}", 120)
        composed.run("hdfs-prepare")
        assert "/lake/LICENSE" in composed.run(
            "hdfs-shell", *composed.services["hdfs-shell"]["command"][:0], "fs", "-ls", "/lake"
        )


def test_hdfs_addresses_agree_with_compose(compose: dict) -> None:
    core, hdfs = read_hadoop(CONF / "core-site.xml"), read_hadoop(CONF / "hdfs-site.xml")
    services = compose["services"]
    host, port = core["fs.defaultFS"].removeprefix("hdfs://").split(":")
    assert services[host]["hostname"] == host == "namenode"
    assert hdfs["dfs.namenode.rpc-address"] == f"{host}:{port}"
    http_port = hdfs["dfs.namenode.http-address"].rpartition(":")[2]
    assert services["namenode"]["ports"] == [f"127.0.0.1:{http_port}:{http_port}"]
    assert f":{http_port}/jmx" in services["namenode"]["healthcheck"]["test"][-1]
    # 9864 is where a data node serves its beans unless told otherwise.
    assert "dfs.datanode.http.address" not in hdfs
    assert ":9864/jmx" in services["datanode-1"]["healthcheck"]["test"][-1]
    assert f"namenode:{hdfs['dfs.namenode.name.dir'].removeprefix('file://')}" in services["namenode"]["volumes"]
    for node in ("datanode-1", "datanode-2"):
        assert f"{node}:{hdfs['dfs.datanode.data.dir'].removeprefix('file://')}" in services[node]["volumes"]
    assert int(hdfs["dfs.replication"]) == 2


# -- S3 and MongoDB -------------------------------------------------------------------------------


def test_s3_runs_with_the_command_of_compose(tmp_path: Path, compose: dict) -> None:
    # GIVEN the store as compose starts it, with this machine's port and folder
    service = compose["services"]["s3"]
    server = S3(State(tmp_path))
    port = server.ports["s3"]
    assert is_free(port)
    bucket = compose["services"]["s3-bucket"]["entrypoint"]
    assert bucket[:2] == ["mkdir", "-p"]
    (tmp_path / "data" / Path(bucket[2]).name).mkdir(parents=True)
    words = {":7070": f"127.0.0.1:{port}", "/data": str(tmp_path / "data")}
    argv = [str(artifacts.versitygw()), *(words.get(word, word) for word in service["command"])]
    environment = {**os.environ, "ROOT_ACCESS_KEY": server.access_key, "ROOT_SECRET_KEY": server.secret_key}
    assert set(service["environment"]) == {"ROOT_ACCESS_KEY", "ROOT_SECRET_KEY"}
    with RunningProgram(argv, environment, tmp_path / "s3.log") as running:
        # WHEN its health check asks THEN it answers
        health = re.search(r"http://127\.0\.0\.1:7070(/\w+)", service["healthcheck"]["test"][-1])[1]

        def healthy() -> bool:
            try:
                http_get(f"http://127.0.0.1:{port}{health}")
            except (OSError, urllib.error.URLError):
                return False
            return True

        wait_until(healthy, f"the S3 server\n{running.log}", 30)
        # AND the folder made beforehand is a bucket, in which a conditional put has one winner
        path = f"/{Path(bucket[2]).name}/sales/log/1"
        assert [server.request("PUT", path, b"1", {"If-None-Match": "*"})[0] for _ in range(2)] == [200, 412]


def test_mongodb_is_the_same_replica_set(compose: dict) -> None:
    service = compose["services"]["mongodb"]
    # mongod's own parser is the judge of the options.
    options = [word for word in service["command"] if word != "--bind_ip_all"] + ["--bind_ip_all"]
    done = subprocess.run([artifacts.mongod(), *options, "--outputConfig"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = yaml.safe_load(done.stdout)
    assert shown["replication"]["replSet"] == REPLICA_SET
    assert shown["net"]["port"] == 27017
    assert f"_id: '{REPLICA_SET}'" in service["healthcheck"]["test"][-1]
    assert f"host: '{service['hostname']}:27017'" in service["healthcheck"]["test"][-1]


# -- the programs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["lake-writer", "lake-writer-s3"])
def test_the_writer_takes_its_configuration(service: str, compose: dict, lake_writer: Program) -> None:
    # GIVEN the service's command and environment, and the image's files where they lie here
    composed = compose["services"][service]
    flag, inside = composed["command"][-2:]
    mounted = {mount.split(":")[1]: mount.split(":")[0] for mount in composed["volumes"]}
    here = {
        "LAKE_WRITER__TABLE__SCHEMA": str(ROOT / "schemas" / "sale.avsc"),
        "LAKE_WRITER__STORE__HDFS__CONF_DIR": str(CONF),
    }
    environment = {**composed["environment"], **here}
    # WHEN the writer is asked what it makes of them
    lake_writer.run("config", "check", flag, ROOT / mounted[inside], env=environment)
    printed = lake_writer.run("config", "print", flag, ROOT / mounted[inside], env=environment).stdout
    # THEN it takes every word, and means the services of compose
    assert 'bootstrap_servers = "kafka:9092"' in printed
    expected = "s3://lake/sales" if service.endswith("s3") else "hdfs://namenode:9000/lake/sales"
    assert f'url = "{expected}"' in printed
    assert 'listen = "0.0.0.0:9464"' in printed
    assert "127.0.0.1:9464/readyz" in composed["healthcheck"]["test"][-1]
    # AND the command itself is one
    assert flag in lake_writer.run(composed["command"][0], "--help").stdout


def test_mirror_and_dashboard_mean_the_same_database(compose: dict, lake_writer: Program) -> None:
    # GIVEN the mirror's command, and the image's files where they lie here
    composed = compose["services"]["mirror"]
    command, flag, inside = composed["command"]
    mounted = {mount.split(":")[1]: mount.split(":")[0] for mount in composed["volumes"]}
    config = ROOT / mounted[inside]
    environment = {"LAKE_WRITER__TABLE__SCHEMA": str(ROOT / "schemas" / "sale.avsc")}
    # WHEN the program is asked THEN it takes every word, and the command is one
    lake_writer.run("config", "check", flag, config, env=environment)
    assert flag in lake_writer.run(command, "--help").stdout
    # AND the dashboard looks where the mirror writes
    mirrored = tomllib.loads(config.read_text(encoding="utf-8"))["mirror"]["mongodb"]
    shown = tomllib.loads((ROOT / "hadoop" / "compose" / "dashboard.toml").read_text(encoding="utf-8"))["mongodb"]
    assert {key: mirrored[key] for key in shown} == shown


@pytest.mark.usefixtures("mongodb")
def test_the_sql_endpoint_runs_with_the_command_of_compose(
    compose: dict, lake_sql: Program, stack: Stack, tmp_path: Path
) -> None:
    # GIVEN the services' commands, with this machine's folders, port and database
    services = compose["services"]
    composed, user = services["lake-sql"], services["sql-user"]
    mounted = {mount.split(":")[1]: mount.split(":")[0] for mount in composed["volumes"]}
    port = free_ports(State(tmp_path), "sql")["sql"]
    config = "/etc/lake-sql/mirror.toml"
    words = {
        "/users/users": str(tmp_path / "users"),
        "0.0.0.0:5433": f"127.0.0.1:{port}",
        config: ROOT / mounted[config],
    }
    here = {
        "LAKE_WRITER__TABLE__SCHEMA": str(ROOT / "schemas" / "sale.avsc"),
        "LAKE_WRITER__TABLE__URL": f"file://{tmp_path}/lake",
        "LAKE_WRITER__MIRROR__MONGODB__URI": stack.mongodb.uri,
    }
    assert composed["environment"]["LAKE_WRITER__STORE__HDFS__CONF_DIR"] == "/etc/hadoop" in mounted
    assert composed["ports"] == ["127.0.0.1:5433:5433"]
    # WHEN a user is added as its service does it
    program, *arguments = [words.get(word, word) for word in user["entrypoint"] + user["command"]]
    assert program == lake_sql.binary.name and user["volumes"] == composed["volumes"]
    subprocess.run([lake_sql.binary, *arguments], input="a password\n", text=True, check=True, capture_output=True)
    # AND the endpoint starts
    probe = [word.replace("/5433", f"/{port}") for word in composed["healthcheck"]["test"][1:]]
    assert subprocess.run(probe, check=False, capture_output=True).returncode != 0
    with lake_sql.start(
        *(words.get(word, word) for word in composed["command"]), env={**composed["environment"], **here}
    ) as running:
        running.wait_for_log("listening at ")
        # THEN its health check says so, and the user sees the tables of lake and mirror
        subprocess.run(probe, check=True, timeout=10)
        place = f"host=127.0.0.1 port={port} dbname=lake user={user['command'][0]} password='a password'"
        with psycopg.connect(place) as connection:
            found = connection.execute("SELECT table_name FROM information_schema.tables").fetchall()
        assert {"sales", "sales_lake", "sales_live"} <= {name for (name,) in found}


def test_the_image_has_the_schema_that_the_configuration_names() -> None:
    config = (ROOT / "hadoop" / "compose" / "lake-writer.toml").read_text()
    named = Path(re.search(r'^schema = "(.+)"', config, re.MULTILINE)[1])
    assert f"COPY schemas {named.parent}\n" in (ROOT / "Dockerfile").read_text()
    assert (ROOT / "schemas" / named.name).exists()


def test_the_producer_takes_its_command(compose: dict, sales_producer: Program, kafka: KafkaCluster) -> None:
    # GIVEN the service's command, but for a few sales to this broker
    command = compose["services"]["sales-producer"]["command"]
    topic = kafka.create_topic(partitions=8)
    words = {"kafka:9092": kafka.bootstrap, "sales": topic}
    # WHEN it runs THEN the sales are there, and are what the writer expects
    sales_producer.run(*(words.get(word, word) for word in command), "--count", "50")
    assert kafka.count(topic) == 50
    assert all("region" in json.loads(value) for value in kafka.values(topic))
