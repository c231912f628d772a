"""Many writers of one group on one table: how often they meet at the log's head, and what it costs them.

    sales-producer (steady) -> real Kafka, a partition for each writer -> N lake-writer run -> /metrics of each

Each writer commits by itself every --age milliseconds, so N writers append N records in that time to one log. A
record that another writer put first is a lost race: it costs one read and one more put, never another file.

Run it through `make bench-contention`, or see README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "hadoop"))

from native_stack import Stack  # noqa: E402


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def table(stack: Stack, store: str, folder: Path) -> tuple[str, str, dict[str, str]]:
    """URL of a new table on a store, its settings as TOML, and what the environment needs."""
    if store == "hdfs":
        stack.hdfs.start()
        return f"{stack.hdfs.url}/lake", f'[store.hdfs]\nconf_dir = "{stack.hdfs.conf_dir}"\n', {}
    if store == "s3":
        stack.s3.start()
        server = stack.s3
        settings = f'[store.s3]\nendpoint = "{server.endpoint}"\nregion = "{server.region}"\nallow_http = true\n'
        keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        return f"{server.make_bucket(f'contention-{folder.name}')}/lake", settings, keys
    return (folder / "lake").as_uri(), "", {}


def scrape(port: int) -> str:
    """The metrics of one writer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        return response.read().decode()


def figure(text: str, name: str, labels: str = "") -> float:
    """A sample's value; 0 where there is none yet."""
    found = re.search(rf"^lake_writer_{name}\{{{labels}[^}}]*\}} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def measure(arguments: argparse.Namespace, stack: Stack, folder: Path, writers: int) -> str:
    """Lets so many writers run for a while and says how they fared."""
    topic = f"contention-{writers}-{time.time_ns()}"
    stack.kafka.create_topic(topic, partitions=writers)
    place = folder / str(writers)
    place.mkdir()
    url, settings, keys = table(stack, arguments.store, place)
    ports = [free_port() for _ in range(writers)]
    running = []
    try:
        for number, port in enumerate(ports):
            config = place / f"{number}.toml"
            config.write_text(
                f'[source.kafka]\nbootstrap_servers = "{stack.kafka.bootstrap}"\ntopic = "{topic}"\n'
                f'group_id = "{topic}"\n'
                f'[table]\nurl = "{url}-{writers}"\nschema = "{ROOT / "schemas" / "sale.avsc"}"\n'
                f"[rotation]\nmax_age_ms = {arguments.age}\n"
                f'[telemetry]\nlisten = "127.0.0.1:{port}"\n{settings}',
                encoding="utf-8",
            )
            with open(place / f"{number}.log", "wb") as log:
                command = [arguments.writer, "--config", str(config), "run"]
                running.append(subprocess.Popen(command, env={**os.environ, **keys}, stdout=log, stderr=log))
        rate = ["--rate", str(arguments.rate), "--count", str(arguments.rate * arguments.seconds)]
        sales = [arguments.producer, "--bootstrap", stack.kafka.bootstrap, "--topic", topic, "--quiet", *rate]
        subprocess.run([*sales, "--from", "2026-01-30", "--days", "1", "--key", "sale"], check=True)
        texts = [scrape(port) for port in ports]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)
    commits = sum(figure(text, "commits_total") for text in texts)
    lost = sum(figure(text, "log_races_lost_total") for text in texts)
    phase = 'table="[^"]*",phase="record"'
    seconds = [figure(text, "phase_duration_seconds_sum", phase) for text in texts]
    counts = [figure(text, "phase_duration_seconds_count", phase) for text in texts]
    means = [1000 * total / count for total, count in zip(seconds, counts, strict=True) if count]
    return (
        f"{arguments.store:6} {writers:3} writers  {commits:5.0f} commits in {arguments.seconds} s  "
        f"{lost:4.0f} races lost ({lost / max(commits, 1):.2f} a commit)  "
        f"record: mean {statistics.mean(means):.1f} ms, slowest writer's mean {max(means):.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
    parser.add_argument("--writers", default="1,4,16", help="numbers of writers [1,4,16]")
    parser.add_argument("--store", choices=["local", "hdfs", "s3"], default="local")
    parser.add_argument("--seconds", type=int, default=30, help="how long sales flow [30]")
    parser.add_argument("--rate", type=int, default=2_000, help="sales a second, over all partitions [2,000]")
    parser.add_argument("--age", type=int, default=1_000, help="milliseconds between commits of a writer [1,000]")
    parser.add_argument("--writer", default=str(target / "lake-writer"))
    parser.add_argument("--producer", default=str(target / "sales-producer"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stack = Stack(folder / "stack", only=["kafka", *{arguments.store} - {"local"}], die_with_parent=True)
        stack.kafka.start()
        try:
            for writers in arguments.writers.split(","):
                print(measure(arguments, stack, folder, int(writers)), flush=True)
        finally:
            stack.down()


if __name__ == "__main__":
    main()
