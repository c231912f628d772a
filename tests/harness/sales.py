"""A topic full of sales, and the table they must become.

    sales-producer --summary-file -> Sales (the producer's own totals) -> Sales.expect(judge)

Owns the comparison of a table with what the producer says it has sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from .judge import Judge
from .kafka_cluster import KafkaCluster
from .programs import Program


@dataclass(frozen=True)
class Sales:
    """What was sent to a topic, as the producer counted it."""

    topic: str
    totals: dict

    @property
    def rows(self) -> int:
        """Messages that are sales."""
        return self.totals["rows"]

    def expect(self, judge: Judge) -> None:
        """The table holds every sale once: by count, identity, exact sum, and offset by offset."""
        assert judge.rows() == self.rows
        assert judge.distinct("sale_id") == self.totals["distinct_sale_ids"]
        assert judge.sum("amount") == Decimal(self.totals["amount"])
        for partition, (rows, different, _) in judge.offsets().items():
            assert rows == different, f"partition {partition} has offsets twice"


def send(producer: Program, kafka: KafkaCluster, folder: Path, count: int, *options: object, **topic: object) -> Sales:
    """Makes a topic and sends `count` messages to it as fast as they go."""
    name = str(topic.pop("topic", None) or kafka.create_topic(partitions=4, **topic))
    return send_more(producer, kafka, folder, name, count, *options)


def send_more(producer: Program, kafka: KafkaCluster, folder: Path, topic: str, count: int, *options: object) -> Sales:
    """Sends `count` messages to a topic that is there."""
    summary = folder / f"{topic}-{count}-{len(list(folder.iterdir()))}.json"
    producer.run(
        "--bootstrap", kafka.bootstrap, "--topic", topic, "--count", count, "--rate", "max", "--quiet",
        "--from", "2026-01-30", "--days", 2, "--key", "sale", "--summary-file", summary, *_seeded(options),
    )  # fmt: skip
    return Sales(topic, json.loads(summary.read_text(encoding="utf-8")))


def _seeded(options: tuple[object, ...]) -> tuple[object, ...]:
    return options if "--seed" in options else (*options, "--seed", 7)
