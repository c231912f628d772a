"""A careful consumer in Python, to compare with: batches, orjson, pyarrow, zstd Parquet.

It writes the same columns into the same partitions, and keeps no commit log: what it costs is what a
script costs that is not safe against a crash.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

ROWS_PER_FLUSH = 1_000_000
SCHEMA = pa.schema(
    [
        ("sale_id", pa.string()),
        ("sold_at", pa.timestamp("us", tz="UTC")),
        ("region", pa.string()),
        ("store_id", pa.string()),
        ("product_id", pa.string()),
        ("product_name", pa.string()),
        ("category", pa.string()),
        ("quantity", pa.int32()),
        ("unit_price", pa.decimal128(18, 2)),
        ("amount", pa.decimal128(18, 2)),
        ("currency", pa.string()),
        ("customer_id", pa.string()),
        ("channel", pa.string()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
    ]
)


def decimals(values: list) -> pa.Array:
    """Two-digit decimals out of what JSON numbers became; rounded once, in text."""
    return pa.array([Decimal(f"{value:.2f}") if isinstance(value, float) else Decimal(value) for value in values], pa.decimal128(18, 2))


def to_table(rows: list[dict], partitions: list[int], offsets: list[int]) -> pa.Table:
    columns = []
    for field in SCHEMA:
        if field.name == "kafka_partition":
            columns.append(pa.array(partitions, field.type))
        elif field.name == "kafka_offset":
            columns.append(pa.array(offsets, field.type))
        elif pa.types.is_decimal(field.type):
            columns.append(decimals([row[field.name] for row in rows]))
        elif pa.types.is_timestamp(field.type):
            texts = pa.array([row[field.name].removesuffix("Z") for row in rows])
            columns.append(pc.assume_timezone(pc.cast(texts, pa.timestamp("us")), "UTC"))
        else:
            columns.append(pa.array([row.get(field.name) for row in rows], field.type))
    return pa.table(columns, schema=SCHEMA)


def flush(tables: list[pa.Table], folder: Path, number: int) -> None:
    table = pa.concat_tables(tables)
    table = table.append_column("date", pc.cast(table["sold_at"], pa.date32()))
    for keys in table.select(["date", "region"]).group_by(["date", "region"]).aggregate([]).to_pylist():
        chosen = pc.and_(pc.equal(table["date"], keys["date"]), pc.equal(table["region"], keys["region"]))
        place = folder / "data" / f"date={keys['date']}" / f"region={keys['region']}"
        place.mkdir(parents=True, exist_ok=True)
        part = table.filter(chosen).drop_columns(["date"])
        pq.write_table(part, place / f"part-{number}.parquet", compression="zstd", compression_level=1)


def main() -> None:
    bootstrap, topic, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "python", "enable.auto.commit": False})
    numbers = consumer.list_topics(topic).topics[topic].partitions
    left = {number: consumer.get_watermark_offsets(TopicPartition(topic, number))[1] for number in numbers}
    left = {number: high for number, high in left.items() if high > 0}
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in left])
    tables, held, flushes = [], 0, 0
    while left:
        messages = consumer.consume(10_000, 1.0)
        rows = [orjson.loads(message.value()) for message in messages]
        partitions = [message.partition() for message in messages]
        offsets = [message.offset() for message in messages]
        for partition, offset in zip(partitions, offsets, strict=True):
            if offset + 1 >= left.get(partition, 1 << 62):
                del left[partition]
        if rows:
            tables.append(to_table(rows, partitions, offsets))
            held += len(rows)
        if held >= ROWS_PER_FLUSH or (held and not left):
            flush(tables, folder, flushes)
            tables, held, flushes = [], 0, flushes + 1
    consumer.close()


if __name__ == "__main__":
    main()
