"""A table with its configuration, and the commands over it.

    lake + topic of sales -> filled -> Table -> verify, where, repair, backfill as JSON

Owns what the tests of these commands have in common.
"""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from .programs import Finished, write_config
from .sales import send

MISMATCH = 8


class Table:
    """A table with its configuration, and the commands over it."""

    def __init__(self, lake_writer, lake, config: Path) -> None:
        self.lake_writer = lake_writer
        self.lake = lake
        self.config = config

    def write(self) -> None:
        """Everything that the topic has."""
        self.run("run", "--until-end")

    def run(self, *arguments: object, code: int | None = 0) -> Finished:
        """A command on this table, with JSON output."""
        return self.lake_writer.run(
            "--config", self.config, "--output", "json", *arguments, env=self.lake.environment, code=code
        )

    def verify(self, *options: object, code: int | None = 0) -> dict:
        """The report of a verification that ends with `code`."""
        return self.run("verify", "--findings", 1_000_000, *options, code=code).json()

    def findings(self, *options: object) -> tuple[Counter, Counter]:
        """Kinds and files, and kinds and offsets, of a verification that finds something."""
        report = self.verify(*options, code=MISMATCH)
        assert not report["clean"]
        about_files, about_offsets = Counter(), Counter()
        for finding in report["findings"]:
            if "path" in finding:
                about_files[finding["kind"], finding["path"]] += 1
            else:
                for offset in range(finding["start"], finding["next"]):
                    about_offsets[finding["kind"], finding["partition"], offset] += 1
        return about_files, about_offsets

    def where(self, *question: object, code: int | None = 0) -> dict:
        """The answer to a question."""
        return self.run("where", *question, code=code).json()

    def data_file(self) -> tuple[str, bytes]:
        """A file of rows below a folder with an accent, and its bytes."""
        name = min(name for name in self.lake.files("data") if "Île-de-France" in name)
        return f"data/{name}", self.lake.read(f"data/{name}")


def places(data: bytes) -> list[tuple[int, int]]:
    """Source partition and offset of each row of a Parquet file."""
    rows = pq.read_table(io.BytesIO(data), columns=["kafka_partition", "kafka_offset"])
    return list(zip(rows["kafka_partition"].to_pylist(), rows["kafka_offset"].to_pylist(), strict=True))


def filled(lake, kafka, sales_producer, lake_writer, tmp_path) -> Table:
    """A table of sales, dead letters and tombstones in several commits."""
    sales = send(sales_producer, kafka, tmp_path, 6_000, "--malformed-ratio", "0.02")
    kafka.produce(sales.topic, [None, None], key=b"tombstone")
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic, rotation={"max_rows": 2_500})
    table = Table(lake_writer, lake, config)
    table.sales = sales
    table.write()
    return table
