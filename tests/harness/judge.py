"""DuckDB as the judge of a table: what a reader sees who only globs `data/**/*.parquet`.

    Lake.fetch -> Judge -> rows, counts, sums

Owns the questions every test asks; anything else goes through `query`.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb


class Judge:
    """Reads a local copy of a table as it was when the copy was made."""

    def __init__(self, table: Path) -> None:
        self.table = table
        self.connection = duckdb.connect()

    @property
    def glob(self) -> str:
        """The pattern of a naive reader."""
        return str(self.table / "data" / "**" / "*.parquet")

    def query(self, sql: str) -> list[tuple]:
        """Rows of a query in which `lake` stands for all files under data/."""
        relation = f"read_parquet('{self.glob}', hive_partitioning = true)"
        return self.connection.sql(f"WITH lake AS (SELECT * FROM {relation}) {sql}").fetchall()

    def is_empty(self) -> bool:
        """Whether there is no file at all; DuckDB's glob fails on none."""
        return not any((self.table / "data").rglob("*.parquet"))

    def rows(self) -> int:
        """How many rows."""
        return 0 if self.is_empty() else self.query("SELECT count(*) FROM lake")[0][0]

    def sum(self, column: str) -> Decimal:
        """Exact sum of a decimal column."""
        return self.query(f'SELECT sum("{column}") FROM lake')[0][0]

    def distinct(self, column: str) -> int:
        """How many different values."""
        return self.query(f'SELECT count(DISTINCT "{column}") FROM lake')[0][0]

    def offsets(self) -> dict[int, tuple[int, int, int]]:
        """For each Kafka partition: rows, different offsets, and the last offset."""
        found = self.query(
            "SELECT kafka_partition, count(*), count(DISTINCT kafka_offset), max(kafka_offset) FROM lake GROUP BY 1"
        )
        return {partition: (rows, different, last) for partition, rows, different, last in found}

    def partitions(self, *columns: str) -> dict[tuple, int]:
        """Rows by partition columns."""
        names = ", ".join(f'"{column}"' for column in columns)
        return {row[:-1]: row[-1] for row in self.query(f"SELECT {names}, count(*) FROM lake GROUP BY ALL")}
