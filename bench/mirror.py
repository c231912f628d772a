"""How fast the mirror writes sales into one local mongod, rollups included, and what it costs.

    sales-producer -> real Kafka, 8 partitions -> lake-writer mirror --until-end -> mongod, replica set of one

Two cases: `live` are sales as they come, event times those of the clock, so that many meet in one minute's rollups;
`day` are those of a whole day at once, as after a long outage, where a rollup of a minute has hardly two.

Each drain goes into collections of its own, which pymongo counts afterwards: a drain that is not exact ends the
benchmark. CPU is user plus system time of each process, as the kernel accounts it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "hadoop"))

from native_stack import Stack, artifacts  # noqa: E402


def cpu_seconds(pid: int) -> float:
    """User and system time of a running process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drain(arguments: argparse.Namespace, stack: Stack, folder: Path, topic: str, number: int) -> dict:
    """One mirror of the whole topic; its figures."""
    database = f"bench_{topic.replace('-', '_')}_{number}"
    config = folder / "mirror.toml"
    config.write_text(
        f'[source.kafka]\nbootstrap_servers = "{stack.kafka.bootstrap}"\ntopic = "{topic}"\n'
        f'group_id = "{database}"\n[table]\nurl = "{(folder / "lake").as_uri()}"\n'
        f'schema = "{ROOT / "schemas" / "sale.avsc"}"\n[mirror.mongodb]\nuri = "{stack.mongodb.uri}"\n'
        f'database = "{database}"\ntransactions = {arguments.transactions}\n'
        f"batch_max_messages = {arguments.batch}\n"
        '[mirror.mongodb.rollup]\ntime = "sold_at"\nby = ["region", "product_name"]\nsum = ["amount", "quantity"]\n',
        encoding="utf-8",
    )
    mongod = stack.state.recorded("mongodb")["pid"]
    before, mongod_before, began = _children(), cpu_seconds(mongod), time.monotonic()
    done = subprocess.run(
        [arguments.lake_writer, "--config", config, "--output", "json", "--quiet", "mirror", "--until-end"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    took = time.monotonic() - began
    summary = json.loads(done.stdout)
    with artifacts.pymongo().MongoClient(stack.mongodb.uri) as client:
        expect_exact(client[database], summary["documents"])
        rollups = client[database]["sales_rollup_minute"].estimated_document_count()
        client.drop_database(database)
    millions = summary["documents"] / 1e6
    return {
        "sales_per_second": summary["documents"] / took,
        "mirror_cpu_s_per_million": (_children() - before) / millions,
        "mongod_cpu_s_per_million": (cpu_seconds(mongod) - mongod_before) / millions,
        "transactions": summary["transactions"],
        "minute_rollups": rollups,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


def expect_exact(database: object, documents: int) -> None:
    """As many documents as sales, and rollups of the same count and amount."""
    assert database["sales"].count_documents({}) == documents
    total = next(iter(database["sales"].aggregate([{"$group": {"_id": None, "sum": {"$sum": "$amount"}}}])))
    for grain in ("minute", "day"):
        group = {"_id": None, "count": {"$sum": "$count"}, "sum": {"$sum": "$amount"}}
        rollup = next(iter(database[f"sales_rollup_{grain}"].aggregate([{"$group": group}])))
        assert rollup["count"] == documents
        assert Decimal(str(rollup["sum"])) == Decimal(str(total["sum"]))


CASES = {"live": [], "day": ["--from", "2026-01-30", "--days", "1"]}


def drains(arguments: argparse.Namespace, stack: Stack, folder: Path, case: str) -> list[dict]:
    """Fills a topic with the sales of a case and mirrors it as often as asked."""
    topic = f"mirror-{case}-{time.time_ns()}"
    stack.kafka.create_topic(topic, partitions=8)
    subprocess.run(
        [arguments.sales_producer, "--bootstrap", stack.kafka.bootstrap, "--topic", topic, "--count",
         str(arguments.count), "--rate", "max", "--quiet", *CASES[case], "--key", "sale", "--seed", "7"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return [drain(arguments, stack, folder, topic, number) for number in range(arguments.runs)]


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Fills a topic and mirrors it as often as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake-writer", required=True, help="the program, built for release")
    parser.add_argument("--sales-producer", required=True, help="the producer")
    parser.add_argument("--count", type=int, default=1_000_000, help="sales in the topic")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="which sales; all unless given")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--transactions", type=int, default=2)
    parser.add_argument("--batch", type=int, default=20_000, help="messages in a transaction")
    parser.add_argument("--cache", type=float, default=2, help="GiB of mongod's cache; half of the memory by itself")
    parser.add_argument("--stack", help="folder of a running stack")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stack = Stack(arguments.stack or folder / "servers", die_with_parent=not arguments.stack)
        stack.mongodb.cache_gib = arguments.cache
        try:
            for server in (stack.kafka, stack.mongodb):
                server.start()
            figures = {case: drains(arguments, stack, folder, case) for case in arguments.cases}
        finally:
            if not arguments.stack:
                stack.down()
    for case, of_case in figures.items():
        print(f"{case}:")
        for name in of_case[0]:
            values = [run[name] for run in of_case]
            print(f"  {name:26} best {_best(name, values):12,.2f}   median {statistics.median(values):12,.2f}")


def _best(name: str, figures: list[float]) -> float:
    return max(figures) if name == "sales_per_second" else min(figures)


if __name__ == "__main__":
    main()
