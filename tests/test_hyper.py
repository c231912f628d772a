"""Tableau extracts from real tables on each store: every row of the snapshot once, and renewed without a full read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tableauhyperapi import Connection, HyperProcess, Telemetry

from harness.programs import ROOT, clean_environment
from harness.sales import send_more
from harness.table import filled

COLUMNS = ("kafka_partition", "kafka_offset", "sale_id", "sold_at", "region", "product_name", "quantity", "amount")


class Extract:
    """The script, and what it makes."""

    def __init__(self, table, path: Path) -> None:
        self.table, self.path = table, path

    def export(self, *options: object, code: int = 0) -> subprocess.CompletedProcess:
        """Runs the script on the table."""
        lake = self.table.lake
        places = []
        if lake.kind == "hdfs":
            places = ["--webhdfs", f"127.0.0.1:{lake.storage.server.namenode.ports['http']}"]
        if lake.kind == "s3":
            places = ["--s3-endpoint", lake.storage.server.endpoint]
        command = [
            sys.executable, ROOT / "tableau" / "export_hyper.py", "--to", self.path, "--config", self.table.config,
            "--lake-writer", self.table.lake_writer.binary, *places, *options,
        ]  # fmt: skip
        environment = clean_environment({**lake.environment, "AWS_EC2_METADATA_DISABLED": "true"})
        done = subprocess.run(
            [str(part) for part in command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done

    def done(self, *options: object) -> dict:
        """What the script says it did."""
        return json.loads(self.export(*options).stdout)

    def rows(self) -> list[tuple]:
        """Rows as the file has them, read back, with microseconds as DuckDB has them."""
        names = ", ".join(f'"{column}"' for column in COLUMNS)
        with (
            HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}) as hyper,
            Connection(hyper.endpoint, self.path) as connection,
        ):
            found = connection.execute_list_query(
                f'SELECT {names}, "date" FROM "Extract"."Extract" ORDER BY kafka_partition, kafka_offset'
            )
        return [tuple(_plain(value) for value in row) for row in found]


def _plain(value: object) -> object:
    """Hyper's own times and dates as Python's."""
    if hasattr(value, "to_datetime"):
        return value.to_datetime().replace(tzinfo=None)
    return value.to_date() if hasattr(value, "to_date") else value


def of_lake(judge) -> list[tuple]:
    """The same by DuckDB over the Parquet files."""
    # DuckDB's instants would come back through a package for time zones: as microseconds they need none.
    names = ", ".join(f'"{column}"' for column in COLUMNS)
    names = names.replace('"sold_at"', "make_timestamp(epoch_us(sold_at))")
    found = judge.query(f'SELECT {names}, "date" FROM lake ORDER BY kafka_partition, kafka_offset')
    return [(*row[:2], str(row[2]), *row[3:]) for row in found]


@pytest.fixture
def extract(lake, kafka, sales_producer, lake_writer, tmp_path):
    """An extract to be made of a table on each store in turn."""
    return Extract(filled(lake, kafka, sales_producer, lake_writer, tmp_path), tmp_path / "sales.hyper")


def test_an_extract_has_the_rows_of_the_lake_and_is_renewed(extract, judge, kafka, sales_producer, tmp_path):
    table = extract.table
    # WHEN an extract is made THEN it has each row of the lake, value by value
    done = extract.done()
    assert done["rows"] == table.sales.rows
    assert extract.rows() == of_lake(judge(table.lake))
    # AND made again it reads nothing
    again = extract.done()
    assert (again["files_added"], again["files_taken_out"]) == (0, 0)
    # GIVEN more sales, and a part of the table written again
    send_more(sales_producer, kafka, tmp_path, table.sales.topic, 1_000, "--seed", 8)
    table.write()
    table.run("backfill", "--partition", 1, "--from", 5, "--to", 6)
    # WHEN it is renewed THEN only those files are read, and it is the lake's again
    renewed = extract.done()
    assert 0 < renewed["files_taken_out"] < done["files"]
    assert 0 < renewed["files_added"] < renewed["files"]
    rows = extract.rows()
    assert rows == of_lake(judge(table.lake))
    # AND everything anew gives the same
    assert extract.done("--anew")["files_added"] == renewed["files"]
    assert extract.rows() == rows


def test_a_table_that_lacks_a_file_leaves_the_extract_as_it_was(local, kafka, sales_producer, lake_writer, tmp_path):
    # GIVEN an extract, and a new file of the table cut off
    table = filled(local, kafka, sales_producer, lake_writer, tmp_path)
    extract = Extract(table, tmp_path / "sales.hyper")
    extract.done()
    before = extract.path.read_bytes()
    there = set(table.lake.files("data"))
    send_more(sales_producer, kafka, tmp_path, table.sales.topic, 1_000, "--seed", 8)
    table.write()
    new = min(set(table.lake.files("data")) - there)
    content = table.lake.read(f"data/{new}")
    table.lake.write(f"data/{new}", content[: len(content) // 2])
    # WHEN it is renewed THEN that fails, and the old one is still there
    failed = extract.export(code=1)
    assert "export_hyper: " in failed.stderr
    assert extract.path.read_bytes() == before
    assert not list(tmp_path.glob(".sales.hyper-*"))
    # AND a configuration that is not there is named
    extract.table.config = tmp_path / "nowhere.toml"
    assert "nowhere.toml" in extract.export(code=1).stderr
