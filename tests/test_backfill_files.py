"""`backfill --file` on real Kafka and each store: rows of files are in the table once, whatever happens on the way."""

from __future__ import annotations

import signal
from pathlib import Path

import duckdb
import pytest

from harness.failpoints import STORES
from harness.judge import Judge
from harness.programs import Program
from harness.table import filled

# Calls that change something in the store.
CHANGING = ("prepare", "put_if_absent", "stage", "write", "finish", "publish", "delete")
SALES = """
    SELECT sale_id, sold_at::TIMESTAMPTZ AS sold_at, region, store_id, product_id, product_name, category, quantity,
        unit_price::DECIMAL(18, 2) AS unit_price, amount::DECIMAL(18, 2) AS amount, currency, customer_id, channel
    FROM read_json('{path}', format = 'newline_delimited', maximum_depth = 1, columns = {{
        sale_id: 'VARCHAR', sold_at: 'VARCHAR', region: 'VARCHAR', store_id: 'VARCHAR', product_id: 'VARCHAR',
        product_name: 'VARCHAR', category: 'VARCHAR', quantity: 'INTEGER', unit_price: 'VARCHAR', amount: 'VARCHAR',
        currency: 'VARCHAR', customer_id: 'VARCHAR', channel: 'VARCHAR'}})"""
TOTALS = "SELECT count(*), sum(amount), sum(quantity), count(DISTINCT sale_id), max(epoch_us(sold_at)) FROM"


@pytest.fixture
def table(lake, kafka, sales_producer, lake_writer, tmp_path):
    """A table of sales from a topic, on each store in turn."""
    return filled(lake, kafka, sales_producer, lake_writer, tmp_path)


@pytest.fixture
def local_table(local, kafka, sales_producer, lake_writer, tmp_path):
    """The same on local disk."""
    return filled(local, kafka, sales_producer, lake_writer, tmp_path)


class Files:
    """Sales in files of each format, and what they add up to."""

    def __init__(self, producer: Program, folder: Path) -> None:
        self.producer, self.folder = producer, folder
        self.connection = duckdb.connect()
        self.connection.sql("SET TimeZone = 'UTC'")

    def sales(self, name: str, count: int, seed: int, options: str = "") -> Path:
        """A file of sales that no other seed has, in the format of its name."""
        lines = self.folder / f"{name}-{seed}.lines"
        made = self.producer.run(
            "--to-stdout", "--count", count, "--seed", seed, "--from", "2026-01-30", "--days", 2, "--quiet"
        )
        lines.write_text(made.stdout, encoding="utf-8")
        path = self.folder / name
        if path.suffix == ".ndjson":
            path.write_text(made.stdout, encoding="utf-8")
        else:
            self.connection.sql(f"COPY ({SALES.format(path=lines)}) TO '{path}' ({options or 'HEADER'})")
        return path

    def totals(self, *sources: tuple[str, int]) -> tuple:
        """Count, sums, identities and last moment of the sales of some files."""
        each = " UNION ALL ".join(SALES.format(path=self.folder / f"{name}-{seed}.lines") for name, seed in sources)
        return self.connection.sql(f"{TOTALS} ({each})").fetchall()[0]


@pytest.fixture
def files(sales_producer, tmp_path) -> Files:
    """Makes files."""
    folder = tmp_path / "files"
    folder.mkdir()
    return Files(sales_producer, folder)


def of_files(judge: Judge) -> tuple:
    """The same figures of the rows that came from files."""
    return judge.query(f"{TOTALS} lake WHERE kafka_partition < 0")[0]


def test_files_of_each_format_are_in_the_table_once(table, files, judge):
    # GIVEN sales in three formats, and rows that are none in one of them
    paths = [
        files.sales("été 2025.csv", 1_500, 21),
        files.sales("b.ndjson", 1_400, 22),
        files.sales("c.parquet", 1_300, 23, "FORMAT parquet"),
    ]
    with paths[1].open("a", encoding="utf-8") as lines:
        lines.write('{"sale_id": 5}\nnot JSON\n')
    command = ("backfill", "--name", "history", "--file", *paths)

    # WHEN asked what would be written THEN nothing is
    before = table.lake.files()
    planned = table.run(*command, "--dry-run").json()["files"]
    assert [(file["rows"], file["dead_letters"]) for file in planned] == [(1_500, 0), (1_400, 2), (1_300, 0)]
    assert table.lake.files() == before

    # WHEN they are written THEN every row is there, and the topic's as they were
    written = table.run(*command).json()["files"]
    assert [(file["rows"], file["dead_letters"]) for file in written] == [(1_500, 0), (1_400, 2), (1_300, 0)]
    wanted = files.totals(("été 2025.csv", 21), ("b.ndjson", 22), ("c.parquet", 23))
    found = judge(table.lake)
    assert of_files(found) == wanted
    assert found.query("SELECT count(*) FROM lake WHERE kafka_partition >= 0")[0][0] == table.sales.rows
    report = table.verify()
    assert report["clean"] and any("4200 rows were read from files" in word for word in report["unproved"])

    # WHEN they are written again THEN nothing is added; another file under a name replaces what it had become
    again = table.run(*command).json()["files"]
    assert [file["rows"] for file in again] == [0, 0, 0]
    assert [file["written_before"] for file in again] == [1_500, 1_402, 1_300]
    files.sales("b.ndjson", 900, 24)
    replaced = table.run("backfill", "--name", "history", "--file", paths[1]).json()["files"][0]
    assert replaced["rows"] == 900 and replaced["replaced"] > 0
    assert of_files(judge(table.lake)) == files.totals(("été 2025.csv", 21), ("b.ndjson", 24), ("c.parquet", 23))
    assert table.verify()["clean"]

    # AND a row can be traced
    number = written[0]["kafka_partition"]
    assert table.where("--partition", number, "--offset", 3)["answer"] == "row"


def test_a_killed_backfill_of_files_goes_on(table, files, judge, tmp_path):
    # GIVEN the steps that a backfill of a file passes, in three records
    environment = dict(table.lake.environment)
    path = files.sales("a.csv", 3_000, 31)
    command = (
        "--config", table.config, "--set", "rotation.max_rows=1000", "--output", "json", "backfill", "--file", path,
        "--again", "--name", "history",
    )  # fmt: skip
    trace = tmp_path / "trace"
    environment["LAKE_WRITER_FAILPOINT_TRACE"] = str(trace)
    table.lake_writer.run(*command, env=environment)
    del environment["LAKE_WRITER_FAILPOINT_TRACE"]
    steps = list(dict.fromkeys(trace.read_text(encoding="utf-8").split()))
    changing = [step for step in steps if step.split(".")[0] in CHANGING and step.split(".")[1] != "probe"]
    assert {step.split(".")[0] for step in changing} >= {"finish", "put_if_absent", "publish"}, steps
    go_on = tuple(word for word in command if word != "--again")
    # WHEN it is killed at some of them, in its second record
    for number, step in enumerate(changing[STORES.index(table.lake.kind) :: len(STORES)]):
        files.sales("a.csv", 3_000, 40 + number)
        killed = table.lake_writer.run(
            *command, env={**environment, "LAKE_WRITER_FAILPOINT": f"{step}@2=kill"}, code=None
        )
        assert killed.code in (0, -signal.SIGKILL), killed.stderr
        # THEN the same command goes on, and every row of the file is there once
        table.lake_writer.run(*go_on, env=environment)
        assert table.verify()["clean"], step
        assert of_files(judge(table.lake)) == files.totals(("a.csv", 40 + number)), step
    table.write()
    assert judge(table.lake).query("SELECT count(*) FROM lake WHERE kafka_partition >= 0")[0][0] == table.sales.rows


def test_what_cannot_be_read_is_said_and_nothing_is_written(local_table, files):
    before = local_table.lake.files()
    sales = files.sales("sales.csv", 10, 51, "HEADER, DELIMITER ';'")
    renamed = files.folder / "renamed.csv"
    renamed.write_text(sales.read_text(encoding="utf-8").replace("sold_at", "Vendu le"), encoding="utf-8")
    data = files.folder / "sales.data"
    data.write_bytes(sales.read_bytes())
    command = ("backfill", "--name", "history", "--file")
    for arguments, words in [
        ((sales,), ["no column for sale_id", "--map COLUMN=FIELD"]),
        ((renamed, "--delimiter", ";"), ["sold_at", "Vendu le"]),
        ((renamed, "--delimiter", ";", "--map", "Vendu=sold_at"), ["no such column", "Vendu le"]),
        ((data,), ["--format csv"]),
        ((files.folder / "absent.csv",), ["absent.csv", "No such file"]),
        ((sales, "--from", 3), ["cannot be used with"]),
        ((sales, files.folder / ".." / "files" / "sales.csv"), ["two files are named"]),
    ]:
        refused = local_table.run(*command, *arguments, code=2).stderr
        assert all(word in refused for word in words), refused
    assert "--name" in local_table.run("backfill", "--file", sales, code=2).stderr
    assert local_table.lake.files() == before
    # AND what was meant is taken
    meant = (renamed, "--delimiter", ";", "--map", "Vendu le=sold_at")
    assert local_table.run(*command, *meant).json()["files"][0]["rows"] == 10
    # AND the same bytes under another name are not taken a second time
    assert "renamed.csv` of backfill history" in local_table.run(
        "backfill", "--name", "other", "--file", *meant, code=2
    ).stderr
