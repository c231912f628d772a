"""What a commit costs: requests, as the store's server counts them, bytes of the log, and CPU of the writer.

    sales -> real Kafka -> lake-writer run --until-end, with few commits and with many -> the difference, a commit

CPU: the same run with the log kept in the writer's own memory (a program built with the feature `simulation`), by
turns. S3: the access log of the server. HDFS: the name node's own counters of calls. What a start costs falls out, since
both runs start once. One day of sales and 13 regions: 13 files a commit.

Run it through `make bench-commit-cost`, or see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "hadoop"), str(HERE)]

from contention import table  # noqa: E402

from native_stack import Stack  # noqa: E402

FEW, MANY = 10, 60


def requests_of_s3(access_log: Path) -> Counter:
    """Requests so far by operation and folder of the table, `PutObject log` for example."""
    counts: Counter = Counter()
    for line in access_log.read_text(encoding="utf-8").splitlines():
        # … request id, s3_<operation>, key, URI, status …
        if asked := re.search(r" s3_(\w+) (.*)", line):
            folder = re.search(r"(?:/|%2F)(log|data|dead|stage)\b", asked.group(2))
            counts[f"{asked.group(1)} {folder.group(1) if folder else ''}"] += 1
    return counts


def requests_of_hdfs(stack: Stack) -> Counter:
    """Calls to the name node so far, by name."""
    port, rpc = stack.hdfs.namenode.ports["http"], stack.hdfs.url.rpartition(":")[2]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://127.0.0.1:{port}/jmx?qry=Hadoop:service=NameNode,name=RpcDetailedActivityForPort{rpc}"
    with opener.open(url, timeout=10) as answer:
        [bean] = json.load(answer)["beans"]
    calls = {name.removesuffix("NumOps"): value for name, value in bean.items() if name.endswith("NumOps") and not name.startswith("Overall")}
    # What data nodes say to the name node by themselves.
    own = ("SendHeartbeat", "BlockReport", "BlockReceivedAndDeleted", "VersionRequest", "RegisterDatanode")
    return Counter({name: value for name, value in calls.items() if name not in own})


def bytes_of_log(stack: Stack, url: str) -> int:
    """Bytes of all records."""
    if url.startswith("s3://"):
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        folder = stack.s3.directory / "buckets" / bucket / prefix / "log"
        return sum(path.stat().st_size for path in folder.glob("*.json"))
    listed = stack.hdfs.shell("-du", "-s", f"{url}/log")
    return int(listed.split()[0])


def prepare(
    arguments: argparse.Namespace, stack: Stack, folder: Path, name: str, commits: int
) -> tuple[str, list[str], dict[str, str]]:
    """A table for a run of so many commits: its URL, the command and the environment."""
    place = folder / name
    place.mkdir()
    url, settings, keys = table(stack, arguments.store, place)
    url = f"{url}-{name}"
    config = place / "w.toml"
    config.write_text(
        f'[source.kafka]\nbootstrap_servers = "{stack.kafka.bootstrap}"\ntopic = "cost"\ngroup_id = "{url}"\n'
        f'[table]\nurl = "{url}"\nschema = "{ROOT / "schemas" / "sale.avsc"}"\n'
        f"[rotation]\nmax_rows = {arguments.rows // commits}\n[log]\ncheckpoint_after_records = 1000000\n{settings}",
        encoding="utf-8",
    )
    command = [arguments.writer, "--config", str(config), "--output", "json", "--quiet", "run", "--until-end"]
    return url, command, {**os.environ, **keys}


def run(arguments: argparse.Namespace, stack: Stack, folder: Path, commits: int) -> tuple[Counter, int]:
    """One run of so many commits: requests and bytes of the log."""
    url, command, environment = prepare(arguments, stack, folder, str(commits), commits)
    access_log = Path(os.environ["VGW_ACCESS_LOG"])
    count = (lambda: requests_of_s3(access_log)) if arguments.store == "s3" else (lambda: requests_of_hdfs(stack))
    before = count()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    time.sleep(1)  # the access log is written a moment later
    made = json.loads(done.stdout)["commits"]
    requests = count() - before
    requests["commits"] = made
    return requests, bytes_of_log(stack, url)


def cpu_of_log(arguments: argparse.Namespace, stack: Stack, folder: Path) -> None:
    """CPU-seconds of the writer with the log in the store and in memory, by turns; best and median of each."""
    seconds: dict[str, list[float]] = {"in the store": [], "in memory": []}
    for turn in range(arguments.turns):
        for where, taken in seconds.items():
            name = f"cpu-{turn}-{where.split()[-1]}"
            _, command, environment = prepare(arguments, stack, folder, name, MANY)
            if where == "in memory":
                environment["LAKE_WRITER_LOG_IN_MEMORY"] = "1"
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            written = json.load(process.stdout)
            _, status, usage = os.wait4(process.pid, 0)
            assert status == 0 and written["rows"] == arguments.rows, written
            taken.append(usage.ru_utime + usage.ru_stime)
    for where, taken in seconds.items():
        print(f"{arguments.store}: log {where}: {min(taken):.2f} CPU-s at best, {statistics.median(taken):.2f} by median")
    best = [min(taken) for taken in seconds.values()]
    print(f"  {(best[0] - best[1]) / MANY * 1000:.1f} CPU-ms a commit, {best[0] / best[1]:.2f} times as much, {MANY} commits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
    parser.add_argument("--store", choices=["hdfs", "local", "s3"], default="s3")
    parser.add_argument("--cpu", action="store_true", help="compare CPU with a log in memory, and count nothing")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--writer", default=str(target / "lake-writer"))
    parser.add_argument("--producer", default=str(target / "sales-producer"))
    arguments = parser.parse_args()
    if arguments.store == "local" and not arguments.cpu:
        parser.error("nobody counts the requests of a local disk: give --cpu, or another --store")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["VGW_ACCESS_LOG"] = str(folder / "access.log")
        servers = ["kafka"] if arguments.store == "local" else ["kafka", arguments.store]
        stack = Stack(folder / "stack", only=servers, die_with_parent=True)
        stack.kafka.start()
        try:
            stack.kafka.create_topic("cost", partitions=4)
            sales = [arguments.producer, "--bootstrap", stack.kafka.bootstrap, "--topic", "cost", "--quiet"]
            days = ["--from", "2026-01-30", "--days", "1", "--key", "sale", "--rate", "max"]
            subprocess.run([*sales, *days, "--count", str(arguments.rows)], check=True)
            if arguments.cpu:
                cpu_of_log(arguments, stack, folder)
                return
            few, few_bytes = run(arguments, stack, folder, FEW)
            many, many_bytes = run(arguments, stack, folder, MANY)
        finally:
            stack.down()
    commits = many.pop("commits") - few.pop("commits")
    print(f"{arguments.store}: {(many_bytes - few_bytes) / commits:,.0f} bytes of log a commit")
    for name in sorted(many.keys() | few.keys()):
        each = (many[name] - few[name]) / commits
        if abs(each) >= 0.05:
            print(f"  {name:28} {each:6.1f}")


if __name__ == "__main__":
    main()
