"""Drains a topic into Parquet on local disk, as a whole process, and says what it cost.

    sales-producer -> real Kafka -> lake-writer run --until-end -> data/**/*.parquet -> DuckDB checks

CPU is the process's own user and system time as the kernel accounts it (wait4), so what the broker
uses beside it does not count; the wall clock does include it. Another program, a careful consumer in
Python, drains the same topic in the same call, turn by turn, because the ratio of two runs on one
machine says more than seconds on an unknown one.

Run it through `make bench`, or see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "hadoop"))

from native_stack import Stack  # noqa: E402

PARTITIONS = 8


@dataclass(frozen=True)
class Case:
    """One kind of topic and how it is drained."""

    name: str
    producer: tuple[str, ...] = ()
    days: int = 2
    rows: float = 1.0  # share of --rows
    format: str = "json"
    compression: str = "lz4"
    schema: Path = ROOT / "schemas" / "sale.avsc"
    partition_by: tuple[str, ...] = ("date(sold_at)", "region")
    nested: bool = False


CASES = {
    case.name: case
    for case in [
        Case("json"),
        Case("avro", ("--format", "avro"), format="avro"),
        Case("json-2210-partitions", days=170),
        Case("json-shuffled-keys", ("--json-style", "shuffled"), rows=0.5),
        Case("json-escaped", ("--json-style", "escaped"), rows=0.5),
        Case("json-mixed-nulls", ("--json-style", "mixed"), rows=0.5),
        Case("json-zstd", compression="zstd"),
        Case(
            "json-nested",
            rows=0.25,
            schema=HERE / "nested.avsc",
            partition_by=("date(at)", "region"),
            nested=True,
        ),
    ]
}


@dataclass(frozen=True)
class Run:
    """What one drain cost."""

    wall_s: float
    cpu_s: float
    user_s: float
    sys_s: float
    peak_rss_mib: float
    files: int
    bytes: int


def measure(command: list[str], table: Path, environment: dict[str, str], log: Path) -> Run:
    """Runs a drain to its end and accounts for it."""
    began = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}, see {log}")
    files = list((table / "data").rglob("*.parquet"))
    return Run(
        wall_s=wall,
        cpu_s=usage.ru_utime + usage.ru_stime,
        user_s=usage.ru_utime,
        sys_s=usage.ru_stime,
        peak_rss_mib=usage.ru_maxrss / 1024,
        files=len(files),
        bytes=sum(file.stat().st_size for file in files),
    )


class Bench:
    """The servers, the programs and a folder to write into."""

    def __init__(self, arguments: argparse.Namespace, stack: Stack, folder: Path) -> None:
        self.arguments = arguments
        self.stack = stack
        self.folder = folder

    def fill(self, case: Case) -> tuple[str, int]:
        """A topic with the case's messages. Returns its name and the number of messages."""
        count = int(self.arguments.rows * case.rows)
        topic = f"bench-{case.name}-{count}-{time.time_ns()}"
        config = {"compression.type": "producer", "retention.ms": "-1"}
        self.stack.kafka.create_topic(topic, partitions=PARTITIONS, config=config)
        options = ["--count", str(count), "--seed", "7", "--from", "2026-01-30", "--days", str(case.days)]
        options += ["--key", "sale", *case.producer]
        if case.nested:
            self._fill_nested(topic, count, options)
            return topic, count
        bootstrap = self.stack.kafka.bootstrap
        command = [self.arguments.producer, "--bootstrap", bootstrap, "--topic", topic, "--rate", "max", "--quiet"]
        subprocess.run([*command, *options, "-X", f"compression.codec={case.compression}"], check=True)
        return topic, count

    def _fill_nested(self, topic: str, count: int, options: list[str]) -> None:
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.stack.kafka.bootstrap, "compression.codec": "lz4"})
        command = [self.arguments.producer, "--to-stdout", "--quiet", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as sales:
            for number, line in enumerate(sales.stdout):
                sale = json.loads(line)
                message = {
                    "at": sale["sold_at"],
                    "region": sale["region"],
                    "store": {"id": sale["store_id"], "channel": sale["channel"]},
                    "lines": [{"product": sale["product_name"], "amount": sale["amount"]}] * (1 + number % 3),
                    "labels": {"category": sale["category"], "currency": sale["currency"]},
                }
                value = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
                while True:
                    try:
                        producer.produce(topic, value, partition=number % PARTITIONS)
                        break
                    except BufferError:
                        producer.poll(0.1)
                producer.poll(0)
        if producer.flush(60):
            sys.exit("not all nested messages were delivered")

    def drain(self, case: Case, topic: str, count: int, turn: int) -> Run:
        """lake-writer over the whole topic, into a new table."""
        table = self.folder / f"{case.name}-{turn}"
        config = self.folder / f"{case.name}-{turn}.toml"
        config.write_text(
            f"""
[source.kafka]
bootstrap_servers = "{self.stack.kafka.bootstrap}"
topic = "{topic}"
group_id = "{topic}-{turn}"
format = "{case.format}"
[table]
url = "{table.as_uri()}"
schema = "{case.schema}"
partition_by = {json.dumps(case.partition_by)}
""",
            encoding="utf-8",
        )
        command = [self.arguments.writer, "run", "--until-end", "--quiet", "--config", str(config)]
        run = measure(command, table, dict(os.environ), self.folder / f"{case.name}.log")
        check(table, count)
        shutil.rmtree(table)
        return run

    def baseline(self, case: Case, topic: str, count: int, turn: int) -> Run:
        """The Python consumer over the same topic."""
        table = self.folder / f"python-{case.name}-{turn}"
        command = [sys.executable, str(HERE / "python_consumer.py"), self.stack.kafka.bootstrap, topic, str(table)]
        run = measure(command, table, dict(os.environ), self.folder / "python.log")
        check(table, count)
        shutil.rmtree(table)
        return run


def check(table: Path, count: int) -> None:
    """A figure of a drain that lost or doubled a row is worth nothing."""
    glob = table / "data" / "**" / "*.parquet"
    query = f"SELECT count(*), count(DISTINCT (kafka_partition, kafka_offset)) FROM read_parquet('{glob}')"
    rows = duckdb.sql(query).fetchall()[0]
    if rows != (count, count):
        sys.exit(f"{table}: {count} messages became {rows[0]} rows, {rows[1]} of them different")


def report(case: Case, count: int, runs: list[Run], baseline: list[Run]) -> dict:
    """Prints a line and returns the figures."""
    per_million = [run.cpu_s / count * 1e6 for run in runs]
    best = min(runs, key=lambda run: run.cpu_s)
    line = (
        f"{case.name:22} {count:>9} rows  CPU-s/M min {min(per_million):.2f} median {statistics.median(per_million):.2f}"
        f"  (user {best.user_s:.2f} sys {best.sys_s:.2f})  wall {best.wall_s:.1f} s  RSS {max(run.peak_rss_mib for run in runs):.0f} MiB"
        f"  {best.files} files  {best.bytes / count:.1f} B/row"
    )
    figures = {"case": case.name, "rows": count, "cpu_s_per_million": per_million, "runs": [asdict(run) for run in runs]}
    if baseline:
        ratios = [other.cpu_s / own.cpu_s for own, other in zip(runs, baseline, strict=True)]
        line += f"  Python/lake-writer CPU {statistics.median(ratios):.1f}"
        figures |= {"python_runs": [asdict(run) for run in baseline], "python_cpu_ratio": ratios}
    print(line, flush=True)
    return figures


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
    parser.add_argument("--rows", type=int, default=2_000_000, help="messages of the main cases [2,000,000]")
    parser.add_argument("--runs", type=int, default=3, help="drains of each case [3]")
    parser.add_argument("--cases", default=",".join(CASES), help=f"some of {', '.join(CASES)}")
    parser.add_argument("--baseline", default="json", help="cases that the Python consumer drains too [json]")
    parser.add_argument("--writer", default=str(target / "lake-writer"))
    parser.add_argument("--producer", default=str(target / "sales-producer"))
    parser.add_argument("--stack", help="folder of a running stack; one is started otherwise")
    parser.add_argument("--folder", help="where tables are written [a temporary folder]")
    parser.add_argument("--json", help="write the figures into this file")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.cases.split(",") if name not in CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]}; there are {', '.join(CASES)}")
    return arguments


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        stack = Stack(arguments.stack or folder / "stack", only=["kafka"], die_with_parent=not arguments.stack)
        stack.kafka.start()
        bench = Bench(arguments, stack, folder)
        figures = []
        try:
            for name in arguments.cases.split(","):
                case = CASES[name]
                topic, count = bench.fill(case)
                runs, baseline = [], []
                for turn in range(arguments.runs):
                    runs.append(bench.drain(case, topic, count, turn))
                    if name in arguments.baseline.split(","):
                        baseline.append(bench.baseline(case, topic, count, turn))
                figures.append(report(case, count, runs, baseline))
        finally:
            if not arguments.stack:
                stack.down()
        if arguments.json:
            Path(arguments.json).write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
