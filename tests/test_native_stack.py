"""The servers that all other tests stand on: they start, stop, survive, and do what the writer relies on.

hadoop/stack.py, native_stack -> real Kafka, HDFS, S3, MongoDB -> what is promised in hadoop/README.md
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo
import pytest
from confluent_kafka import KafkaException

from harness.kafka_cluster import KafkaCluster
from harness.programs import ROOT, wait_until
from harness.storage import HdfsStorage, S3Storage
from native_stack import S3, MissingTool, NotRunning, PortTaken, Stack, StackError, State, artifacts

STACK = [sys.executable, str(ROOT / "hadoop" / "stack.py")]
REGION = "Provence-Alpes-Côte d'Azur"


def stack_command(*arguments: object, code: int = 0) -> str:
    done = subprocess.run([*STACK, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


# -- the command line -----------------------------------------------------------------------------


def test_up_twice_status_env_and_down(tmp_path: Path) -> None:
    folder = ("--dir", tmp_path / "instance")
    few = ("--only", "s3,mongodb")
    try:
        # GIVEN an instance that was never started
        assert "does not run" in stack_command("status", *folder, *few, code=3)

        # WHEN it is brought up twice
        assert stack_command("up", *folder, *few).count("started at") == 2
        before = json.loads((tmp_path / "instance" / "stack.json").read_text())["servers"]
        assert stack_command("up", *folder, *few).count("runs already at") == 2

        # THEN the second one left the same processes alone, and everybody is told where they are
        after = json.loads((tmp_path / "instance" / "stack.json").read_text())["servers"]
        assert before == after
        assert {"pid", "endpoint", "log"} <= after["s3"].keys()
        assert "s3       runs at http://127.0.0.1:" in stack_command("status", *folder, *few)
        exports = stack_command("env", *folder)
        assert "export AWS_ENDPOINT_URL=http://127.0.0.1:" in exports
        assert "export MONGODB_URI='mongodb://127.0.0.1:" in exports
        assert "KAFKA" not in exports

        # AND down stops them, twice as well
        assert "stopped s3, mongodb" in stack_command("down", *folder)
        assert "nothing was running" in stack_command("down", *folder)
        assert not any(Path(f"/proc/{entry['pid']}/exe").exists() for entry in after.values())
        stack_command("status", *folder, *few, code=3)
    finally:
        stack_command("down", *folder, "--wipe")
    assert not (tmp_path / "instance").exists()


def test_two_ups_at_once_make_one_server(tmp_path: Path) -> None:
    arguments = ("up", "--dir", tmp_path / "instance", "--only", "s3")
    try:
        # WHEN two programs bring up the same folder in the same moment
        with ThreadPoolExecutor() as pool:
            outputs = [job.result() for job in [pool.submit(stack_command, *arguments) for _ in range(2)]]
        # THEN one of them started the server and the other found it
        assert sorted("runs already" in output for output in outputs) == [False, True]
    finally:
        stack_command("down", "--dir", tmp_path / "instance", "--wipe")


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    assert "'oracle' is not one of kafka, hdfs, s3, mongodb" in stack_command("up", "--only", "oracle", code=2)
    assert f"there is no instance in {tmp_path / 'none'}" in stack_command("env", "--dir", tmp_path / "none", code=1)


def test_everything_missing_is_named_at_once_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a machine with an empty cache and no tools
    monkeypatch.setenv("LAKE_WRITER_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(artifacts, "_SYSTEM_FOLDERS", ())
    # WHEN everything is asked for THEN one message says what to install, before any download
    with pytest.raises(MissingTool) as raised:
        artifacts.install(["kafka", "hdfs", "s3", "mongodb"])
    for what in ("`java`", "openjdk-17-jre-headless", "`mvn`", "apt-get install maven", "`go`", "https://go.dev/dl/"):
        assert what in str(raised.value)
    assert not any(tmp_path.iterdir())


def test_wipe_spares_a_folder_that_is_not_an_instance(tmp_path: Path) -> None:
    # GIVEN somebody's folder
    (tmp_path / "thesis.txt").write_text("years of work")
    # WHEN it is given by mistake THEN it stays
    assert "is not deleted" in stack_command("down", "--dir", tmp_path, "--wipe", code=1)
    assert (tmp_path / "thesis.txt").exists()


# -- processes ------------------------------------------------------------------------------------


def test_a_reused_pid_is_not_signalled(tmp_path: Path) -> None:
    # GIVEN a state file whose pid belongs to somebody else by now
    server = S3(State(tmp_path))
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            server.state.record(
                "s3", {"pid": stranger.pid, "start_ticks": 1, "argv": ["versitygw"], "log": str(tmp_path / "log")}
            )
            # WHEN the server is stopped or killed THEN the stranger lives on
            assert not server.running()
            with pytest.raises(NotRunning):
                server.kill()
            server.stop()
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_port_that_somebody_took_is_named(tmp_path: Path) -> None:
    # GIVEN an instance whose port is used by another program
    server = S3(State(tmp_path))
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.ports["s3"]))
        other.listen()
        # WHEN it starts THEN the error names the port and what to do
        with pytest.raises(PortTaken, match=f"owns port {server.ports['s3']}.*another --dir"):
            server.start()


def test_servers_of_a_killed_test_run_do_not_stay(tmp_path: Path) -> None:
    # GIVEN a program that started a server for its own lifetime
    code = (
        "import sys, time; from native_stack import S3, State\n"
        f"s = S3(State({str(tmp_path)!r}), die_with_parent=True); s.start()\n"
        "print(s.process.pid, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "hadoop")}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        parent.stdout.readline()
        server = S3(State(tmp_path))
        assert server.running()
        # WHEN that program is killed
        parent.send_signal(signal.SIGKILL)
        # THEN the server ends too
        wait_until(lambda: not server.running(), "the end of the server", 10)


# -- what each server keeps and promises ----------------------------------------------------------


def test_kafka_keeps_messages_over_a_kill(kafka: KafkaCluster) -> None:
    # GIVEN acknowledged messages
    topic = kafka.create_topic(partitions=2)
    kafka.produce(topic, [f"{REGION} {number}" for number in range(1000)], partition=1, config={"acks": "all"})
    # WHEN the broker is killed and started again
    kafka.server.kill()
    kafka.server.start()
    # THEN they are all there, in order
    assert kafka.watermarks(topic) == {0: (0, 0), 1: (0, 1000)}
    assert kafka.values(topic)[-1].decode() == f"{REGION} 999"


def test_a_frozen_broker_answers_when_it_goes_on(kafka: KafkaCluster) -> None:
    topic = kafka.create_topic()
    # GIVEN a broker that stands still
    kafka.server.freeze()
    try:
        with pytest.raises(KafkaException):
            kafka.admin.list_topics(timeout=1.0)
    finally:
        # WHEN it goes on THEN it knows everything
        kafka.server.resume()
    wait_until(lambda: topic in kafka.topics(), "the topic", 30)


def test_kafka_makes_no_topic_by_accident(kafka: KafkaCluster) -> None:
    with pytest.raises(StackError, match="already exists"):
        kafka.server.create_topic(kafka.create_topic("made-once"))
    kafka.delete_topic("made-once")
    kafka.admin.list_topics("never-made", timeout=10)
    assert "never-made" not in kafka.topics()


def test_hdfs_keeps_files_over_kills_of_both_nodes(hdfs: HdfsStorage) -> None:
    # GIVEN a file written through Hadoop's own shell
    folder = hdfs.make_folder().removeprefix(hdfs.url)
    hdfs.server.shell("-put", str(ROOT / "LICENSE"), f"{folder}/{REGION}")
    # WHEN both nodes are killed and started again
    hdfs.server.kill()
    assert not hdfs.server.running()
    hdfs.server.start()
    # THEN it reads the same, by two clients
    expected = (ROOT / "LICENSE").read_bytes()
    assert hdfs.server.shell("-cat", f"{folder}/{REGION}").encode() == expected
    assert hdfs.read(f"{hdfs.url}{folder}/{REGION}") == expected
    assert hdfs.files(f"{hdfs.url}{folder}") == {REGION: len(expected)}


def test_hdfs_with_a_killed_data_node_reads_again_once_it_is_back(hdfs: HdfsStorage) -> None:
    folder = hdfs.make_folder()
    hdfs.write(f"{folder}/file", b"kept")
    (node,) = hdfs.server.datanodes
    node.kill()
    with pytest.raises(OSError):
        hdfs.read(f"{folder}/file")
    node.start()
    assert hdfs.read(f"{folder}/file") == b"kept"


def test_s3_conditional_put_has_one_winner(s3: S3Storage) -> None:
    # GIVEN eight clients that put the same hundred names at once
    bucket = s3.make_bucket().removeprefix("s3://")

    def race(client: int) -> list[int]:
        path = f"/{bucket}/log"
        return [
            s3.server.request("PUT", f"{path}/{name:04}", f"{client}".encode(), {"If-None-Match": "*"})[0]
            for name in range(100)
        ]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(race, range(8)))
    # THEN each name has one winner, told so, and it is the winner's bytes that are kept
    for name, statuses in enumerate(zip(*answers, strict=True)):
        assert sorted(statuses)[0] == 200 and sorted(statuses)[1] >= 400, statuses
        assert s3.read(f"s3://{bucket}/log/{name:04}") == f"{statuses.index(200)}".encode()


def test_s3_keeps_objects_and_open_uploads_over_a_kill(s3: S3Storage) -> None:
    # GIVEN an object and a multipart upload with its part sent
    url = s3.make_bucket()
    bucket = url.removeprefix("s3://")
    key = f"data/region={REGION}/part 1.parquet"
    s3.write(f"{url}/{key}", b"rows")
    upload = s3.client.create_multipart_upload(Bucket=bucket, Key="data/late.parquet")["UploadId"]
    part = s3.client.upload_part(Bucket=bucket, Key="data/late.parquet", UploadId=upload, PartNumber=1, Body=b"later")
    # WHEN the server is killed and started again
    s3.server.kill()
    s3.server.start()
    # THEN the object is there, the upload invisible and still to be completed
    assert s3.files(f"{url}/data") == {key.removeprefix("data/"): 4}
    assert s3.uploads(url) == ["data/late.parquet"]
    s3.client.complete_multipart_upload(
        Bucket=bucket, Key="data/late.parquet", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )  # fmt: skip
    assert s3.read(f"{url}/data/late.parquet") == b"later"


def test_mongodb_transaction_is_all_or_nothing(database: pymongo.database.Database) -> None:
    client = database.client
    database.create_collection("sales")
    database.create_collection("checkpoint")
    # WHEN a transaction is aborted THEN nothing of it is there
    with client.start_session() as session, session.start_transaction():
        database.sales.insert_one({"_id": 1}, session=session)
        database.checkpoint.insert_one({"_id": "topic-0", "next": 1}, session=session)
        session.abort_transaction()
    assert database.sales.count_documents({}) == database.checkpoint.count_documents({}) == 0
    # WHEN it is committed THEN all of it is
    with client.start_session() as session, session.start_transaction():
        database.sales.insert_many([{"_id": 1, "region": REGION}, {"_id": 2}], session=session)
        database.checkpoint.insert_one({"_id": "topic-0", "next": 2}, session=session)
    assert (database.sales.count_documents({}), database.checkpoint.find_one()["next"]) == (2, 2)


def test_mongodb_keeps_acknowledged_documents_over_a_kill(database: pymongo.database.Database, stack: Stack) -> None:
    sales = database.get_collection("sales", write_concern=pymongo.WriteConcern(w="majority", j=True))
    sales.insert_many([{"_id": number} for number in range(500)])
    stack.mongodb.kill()
    stack.mongodb.start()
    assert database.sales.count_documents({}) == 500
