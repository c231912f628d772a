"""A mirror of one topic: its settings, its commands, and what its collections hold.

    topic -> lake-writer mirror -> MongoDB -> Mirror.rollups, Mirror.sales <-> sums made here from messages

Owns what tests ask of a mirror. Does not own the database (see conftest).
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pymongo
from bson.codec_options import CodecOptions
from pymongo.errors import AutoReconnect

from .lake import local_lake
from .programs import Finished, RunningProgram, write_config

MISMATCH = 8
AWARE = CodecOptions(tz_aware=True, tzinfo=UTC)
SUMS = {"time": "sold_at", "by": ["region", "product_name"], "sum": ["amount", "quantity"]}


class Mirror:
    """A mirror of one topic: its settings, its commands, and what its collections hold."""

    def __init__(self, program, kafka, database, folder: Path, topic: str, *, uri: str, **settings: object) -> None:
        self.program, self.kafka, self.topic = program, kafka, topic
        self.database = database.with_options(codec_options=AWARE)
        place = {"uri": uri, "database": database.name, "rollup": SUMS, **settings}
        self.lake = local_lake(folder)
        self.config = write_config(
            folder / f"{topic}.toml", self.lake, kafka.bootstrap, topic, mirror={"mongodb": place}
        )  # fmt: skip

    def run(self, *arguments: object, code: int | None = 0) -> Finished:
        """A command with JSON output."""
        return self.program.run("--config", self.config, "--output", "json", *arguments, code=code)

    def catch_up(self) -> dict:
        """Mirrors what the topic has now; the summary."""
        return self.run("mirror", "--until-end").json()

    def start(self, *settings: str) -> RunningProgram:
        """A mirror in the background."""
        return self.program.start("--config", self.config, *[f"--set={s}" for s in settings], "mirror")

    def verify(self, code: int = 0) -> dict:
        """The report of a verification that ends with `code`."""
        return self.run("verify", "--mirror", code=code).json()

    def found(self) -> Counter:
        """Kinds and places of a verification that finds something."""
        report = self.verify(MISMATCH)
        assert not report["clean"]
        return Counter((f["kind"], f.get("partition"), f.get("offset")) for f in report["findings"])

    @property
    def sales(self) -> pymongo.collection.Collection:
        """The documents."""
        return self.database["sales"]

    @property
    def dead(self) -> pymongo.collection.Collection:
        """The dead letters."""
        return self.database["sales_dead"]

    def rollups(self, grain: str) -> dict:
        """By bucket, region and product: count, amount and pieces, parts added up."""
        sums: dict = defaultdict(lambda: (0, Decimal(0), 0))
        for rollup in self.database[f"sales_rollup_{grain}"].find():
            assert set(rollup) == {"_id", "bucket", "region", "product_name", "count", "amount", "quantity"}
            key = (rollup["bucket"], rollup["region"], rollup["product_name"])
            count, amount, pieces = sums[key]
            sums[key] = (
                count + rollup["count"], amount + rollup["amount"].to_decimal(), pieces + rollup["quantity"],
            )  # fmt: skip
        return {key: value for key, value in sums.items() if value != (0, Decimal(0), 0)}

    def expect_rollups(self, rows: list[dict]) -> None:
        """Rollups are the sums of these rows, to the cent."""
        for grain, length in (("minute", timedelta(minutes=1)), ("day", timedelta(days=1))):
            sums: dict = defaultdict(lambda: (0, Decimal(0), 0))
            for row in rows:
                at = moment(row["sold_at"])
                bucket = at - (at - datetime(1970, 1, 1, tzinfo=UTC)) % length
                key = (bucket, row["region"], row["product_name"])
                count, amount, pieces = sums[key]
                sums[key] = (count + 1, amount + Decimal(row["amount"]), pieces + row["quantity"])
            assert self.rollups(grain) == dict(sums)

    def complete(self) -> bool:
        """Whether the checkpoints stand at the ends of the topic."""
        ends = {number: end for number, (_, end) in self.kafka.watermarks(self.topic).items()}
        try:
            stands = {c["_id"]: c["next"] for c in self.database["sales_checkpoint"].find({"_id": {"$type": "int"}})}
        except AutoReconnect:
            return False
        return stands == ends


def moment(text: str) -> datetime:
    """A time of a message, down to the millisecond as MongoDB keeps it."""
    at = datetime.fromisoformat(text)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def sale(number: int = 0, **fields: object) -> dict:
    """A sale as a message has it."""
    return {
        "sale_id": str(uuid.UUID(int=number)), "sold_at": "2026-01-31T12:00:00.123456Z", "region": "Corse",
        "store_id": "S0001", "product_id": "P00001", "product_name": "Café", "category": "Épicerie",
        "quantity": 2, "unit_price": "6.10", "amount": "12.20", "currency": "EUR", "customer_id": None,
        "channel": "web", **fields,
    }  # fmt: skip
