"""What the pieces of a mirrored sale cost mongod: document, indexes, validation, rollups.

    made-up sales -> transactions of one client -> mongod, replica set of one -> CPU of mongod, a sale

Each case writes the same sales with something more or less of what the mirror writes, so that differences are the price
of that. CPU is user plus system time of mongod, as the kernel accounts it; the client's own is left out.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "hadoop"))

from mirror import cpu_seconds  # noqa: E402

from native_stack import Stack, artifacts  # noqa: E402

pymongo = artifacts.pymongo()
from bson import Decimal128, Int64  # noqa: E402

PARTITIONS = 8
DAY, MINUTE = 86_400, 60
REGIONS = [f"Région {number}" for number in range(13)]
PRODUCTS = [f"Produit {number}" for number in range(30)]
TYPES = {"sale_id": "string", "sold_at": "date", "region": "string", "product_name": "string", "quantity": "int",
         "unit_price": "decimal", "amount": "decimal", "customer_id": "string", "payment_method": "string"}  # fmt: skip
TRUNCATE = {"minute": {"second": 0, "microsecond": 0}, "day": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}}


@dataclass(frozen=True)
class Case:
    """What is written, and how."""

    name: str
    documents: bool = True
    indexes: int = 3
    validation: bool = True
    grains: tuple[str, ...] = ("minute", "day")
    rollup_indexes: int = 3
    lanes: int = PARTITIONS
    batch: int = 1_000
    seconds: int = DAY
    asks_first: bool = False


CASES = [
    Case("documents", indexes=0, validation=False, grains=()),
    Case("documents, 3 indexes", validation=False, grains=()),
    Case("documents, 3 indexes, validation", grains=()),
    Case("rollups of a minute, none there", documents=False, grains=("minute",)),
    Case("the same without their 3 indexes", documents=False, grains=("minute",), rollup_indexes=0),
    Case("rollups of a day, most there", documents=False, grains=("day",)),
    Case("a day, a transaction a partition"),
    Case("a day, 4 lanes, asks first", lanes=4, batch=4_000, asks_first=True),
    Case("a minute, a transaction a partition", seconds=MINUTE),
    Case("a minute, 4 lanes, asks first", lanes=4, batch=4_000, asks_first=True, seconds=MINUTE),
]


def sales(count: int, seconds: int) -> list[dict]:
    """Sales spread evenly over a time, their partitions by turns."""
    chance = random.Random(7)
    start = datetime(2026, 1, 30)

    def money() -> Decimal128:
        return Decimal128(f"{chance.randrange(300)}.{chance.randrange(100):02}")

    return [
        {
            "_id": {"partition": number % PARTITIONS, "offset": Int64(number // PARTITIONS)},
            "sale_id": f"{chance.getrandbits(128):032x}", "sold_at": start + timedelta(seconds=number * seconds / count),
            "region": chance.choice(REGIONS), "product_name": chance.choice(PRODUCTS), "quantity": chance.randrange(1, 5),
            "unit_price": money(), "amount": money(), "customer_id": f"{chance.randrange(10_000)}",
            "payment_method": "card",
        }
        for number in range(count)
    ]  # fmt: skip


def collections(database, case: Case) -> None:
    """The collections of a case, empty."""
    schema = {
        "bsonType": "object",
        "required": list(TYPES),
        "properties": {k: {"bsonType": v} for k, v in TYPES.items()},
    }
    database.create_collection("sales", **({"validator": {"$jsonSchema": schema}} if case.validation else {}))
    for name, time, indexes in [
        ("sales", "sold_at", case.indexes),
        *((g, "bucket", case.rollup_indexes) for g in TRUNCATE),
    ]:
        for key in [[(time, 1)], [("region", 1), (time, 1)], [("product_name", 1), (time, 1)]][:indexes]:
            database[name].create_index(key)


def groups_of(batch: list[dict], grain: str, part: int) -> list[dict]:
    """The rollups that these sales change, each with its sums."""
    groups: dict[tuple, dict] = {}
    for sale in batch:
        by = (sale["sold_at"].replace(**TRUNCATE[grain]), sale["region"], sale["product_name"])
        sums = groups.setdefault(by, {"count": Int64(0), "amount": 0, "quantity": Int64(0)})
        sums["count"] = Int64(sums["count"] + 1)
        sums["amount"] += sale["amount"].to_decimal()
        sums["quantity"] = Int64(sums["quantity"] + sale["quantity"])
    return [
        {
            "id": {"bucket": bucket, "by": {"region": region, "product_name": product}, "part": part},
            "fixed": {"bucket": bucket, "region": region, "product_name": product},
            "sums": sums | {"amount": Decimal128(sums["amount"])},
        }
        for (bucket, region, product), sums in groups.items()
    ]


def add_up(database, session, grain: str, groups: list[dict], *, asks_first: bool) -> None:
    """Adds sums to rollups: by upserts, or after asking which are there."""
    new = []
    if asks_first:
        query = {"_id": {"$in": [group["id"] for group in groups]}}
        command = {"find": grain, "filter": query, "projection": {"_id": 1}, "batchSize": len(groups) + 1}
        found = database.command(command, session=session)["cursor"]["firstBatch"]
        there = {repr(document["_id"]) for document in found}
        new = [group for group in groups if repr(group["id"]) not in there]
        groups = [group for group in groups if repr(group["id"]) in there]
    if new:
        documents = [{"_id": group["id"], **group["fixed"], **group["sums"]} for group in new]
        database.command({"insert": grain, "documents": documents}, session=session)
    if groups:
        updates = [
            {"q": {"_id": group["id"]}, "u": {"$inc": group["sums"], "$setOnInsert": group["fixed"]}, "upsert": True}
            for group in groups
        ]
        database.command({"update": grain, "updates": updates}, session=session)


def write(client, database, case: Case, wanted: list[dict]) -> int:
    """All sales, by transactions; returns how many sums were added to rollups."""
    added = 0
    concern = pymongo.WriteConcern("majority", j=True)
    lanes = [[sale for sale in wanted if sale["_id"]["partition"] % case.lanes == lane] for lane in range(case.lanes)]
    for at in range(0, max(map(len, lanes)), case.batch):
        for lane, mine in enumerate(lanes):
            batch = mine[at : at + case.batch]
            with client.start_session() as session, session.start_transaction(write_concern=concern):
                if case.documents:
                    database.command({"insert": "sales", "documents": batch}, session=session)
                for grain in case.grains:
                    groups = groups_of(batch, grain, lane)
                    added += len(groups)
                    add_up(database, session, grain, groups, asks_first=case.asks_first)
    return added


def main() -> None:
    """Runs every case once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=80_000, help="sales of a case")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        stack = Stack(Path(temporary) / "servers", die_with_parent=True)
        try:
            stack.mongodb.start()
            mongod = stack.state.recorded("mongodb")["pid"]
            print(f"{'case':<40} {'mongod, CPU-us a sale':>22} {'rollups a sale':>15}")
            with pymongo.MongoClient(stack.mongodb.uri) as client:
                for number, case in enumerate(CASES):
                    database = client[f"pieces_{number}"]
                    collections(database, case)
                    wanted = sales(arguments.count, case.seconds)
                    before = cpu_seconds(mongod)
                    added = write(client, database, case, wanted)
                    micros = (cpu_seconds(mongod) - before) / arguments.count * 1e6
                    print(f"{case.name:<40} {micros:22.1f} {added / arguments.count:15.2f}", flush=True)
                    client.drop_database(database)
        finally:
            stack.down()


if __name__ == "__main__":
    main()
