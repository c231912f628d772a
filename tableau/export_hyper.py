#!/usr/bin/env python3
"""A Tableau extract (.hyper) of a table, from one snapshot of its log, and brought up to date the same way.

    lake-writer files -> live files -> what the extract lacks or has too much -> Hyper -> <name>.hyper

The extract knows the files that it was made from. Run again, it reads only files that have come since and takes out
the rows of files that were replaced, so its rows are always those of one snapshot, each once. The new extract takes
the place of the old one in one step, after its rows were counted against the log; whatever fails leaves the old one.

    python tableau/export_hyper.py --config sales.toml --to sales.hyper

Needs tableauhyperapi (PyPI), for S3 also pyarrow. A table on HDFS is read through WebHDFS. S3 credentials are taken
from the environment, as lake-writer does.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tableauhyperapi import (
    Connection,
    CreateMode,
    HyperException,
    HyperProcess,
    Inserter,
    Nullability,
    SchemaName,
    SqlType,
    TableDefinition,
    TableName,
    Telemetry,
    escape_name,
    escape_string_literal,
)

# Where Tableau looks for the one table of an extract.
ROWS = TableName("Extract", "Extract")
FILES = TableName("lake", "files")
# Which file a row came from, by its number in FILES: how rows of a replaced file are found again.
FILE_COLUMN = "lake_file"
NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


class ExportError(Exception):
    """Says what is wrong and what to do about it."""


@dataclass(frozen=True)
class LiveFile:
    """A file of the snapshot: its path below the table, and what the log says of it."""

    path: str
    rows: int
    xxh3: str


@dataclass(frozen=True)
class Snapshot:
    """The table at one record of its log."""

    table: str
    files: dict[str, LiveFile]

    @property
    def rows(self) -> int:
        """Rows of all files, by the log."""
        return sum(file.rows for file in self.files.values())


def snapshot(writer: str, config: str | None) -> Snapshot:
    """Asks `lake-writer files`."""
    command = [writer, *(["--config", config] if config else []), "--output", "json", "files"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ExportError(f"`{writer}` is not there; give its path with --lake-writer") from error
    if done.returncode != 0:
        raise ExportError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    files = (LiveFile(file["path"], file["rows"], file["xxh3"]) for file in answer["files"])
    return Snapshot(answer["table"], {file.path: file for file in files})


class Fetcher:
    """Local copies of files of the table, wherever it lies."""

    def __init__(self, table: str, folder: Path, webhdfs: str | None, s3_endpoint: str | None) -> None:
        self.table, self.folder = table, folder
        self.webhdfs, self.s3_endpoint = webhdfs, s3_endpoint

    def local(self, path: str) -> Path:
        """Where a file can be read on this machine."""
        url = urllib.parse.urlsplit(self.table)
        if url.scheme == "file":
            return Path(self.table.removeprefix("file://")) / path
        copy = self.folder / "file.parquet"
        with open(copy, "wb") as target, self._open(url, path) as source:
            shutil.copyfileobj(source, target, 1 << 20)
        return copy

    def _open(self, url: urllib.parse.SplitResult, path: str):
        if url.scheme == "s3":
            from pyarrow import fs  # noqa: PLC0415 - wanted for S3 alone

            endpoint = {"endpoint_override": self.s3_endpoint} if self.s3_endpoint else {}
            return fs.S3FileSystem(**endpoint).open_input_stream(f"{url.netloc}{url.path}/{path}")
        if url.scheme == "hdfs":
            if not self.webhdfs:
                raise ExportError("a table on HDFS is read through WebHDFS: give its address, --webhdfs HOST:PORT")
            user = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
            query = urllib.parse.urlencode({"op": "OPEN", "user.name": user})
            # Not through a proxy that the environment names: it is an address of the cluster.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            return opener.open(f"http://{self.webhdfs}/webhdfs/v1{urllib.parse.quote(f'{url.path}/{path}')}?{query}")
        raise ExportError(f"no way to read {self.table}")


def partition_values(path: str) -> dict[str, str | None]:
    """Values in a path such as `data/date=2026-01-31/region=Corse/x.parquet`."""
    parts = (part.split("=", 1) for part in path.split("/")[1:-1])
    return {key: None if value == NULL_FOLDER else urllib.parse.unquote(value) for key, value in parts}


class Extract:
    """An open .hyper file."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        for schema in ("Extract", "lake"):
            connection.catalog.create_schema_if_not_exists(SchemaName(schema))
        big, text = SqlType.big_int(), SqlType.text()
        columns = [("number", big), ("path", text), ("rows", big), ("xxh3", text)]
        definition = [TableDefinition.Column(name, kind, Nullability.NOT_NULLABLE) for name, kind in columns]
        connection.catalog.create_table_if_not_exists(TableDefinition(FILES, definition))

    def files(self) -> dict[str, tuple[int, str]]:
        """Number and checksum of each file that the rows came from, by path."""
        found = self.connection.execute_list_query(f"SELECT path, number, xxh3 FROM {FILES}")
        return {path: (number, xxh3) for path, number, xxh3 in found}

    def rows(self) -> int:
        """How many rows there are."""
        if not self.connection.catalog.has_table(ROWS):
            return 0
        return self.connection.execute_scalar_query(f"SELECT COUNT(*) FROM {ROWS}")

    def take_out(self, numbers: Iterable[int]) -> None:
        """Removes the rows of some files."""
        listed = ", ".join(map(str, numbers))
        if listed:
            self.connection.execute_command(f"DELETE FROM {ROWS} WHERE {escape_name(FILE_COLUMN)} IN ({listed})")
            self.connection.execute_command(f"DELETE FROM {FILES} WHERE number IN ({listed})")

    def add(self, number: int, file: LiveFile, local: Path) -> None:
        """Adds the rows of a file."""
        source = f"external({escape_string_literal(str(local))}, FORMAT => 'parquet')"
        stored = {name.unescaped for name in self._columns(f"SELECT * FROM {source} LIMIT 0")}
        # A column that is stored counts; what is derived stands in the path alone.
        derived = {key: value for key, value in partition_values(file.path).items() if key not in stored}
        extra = [f"{_literal(key, value)} AS {escape_name(key)}" for key, value in derived.items()]
        select = ", ".join(["f.*", *extra, f"CAST({number} AS BIGINT) AS {escape_name(FILE_COLUMN)}"])
        query = f"SELECT {select} FROM {source} AS f"
        if self.connection.catalog.has_table(ROWS):
            self.connection.execute_command(f"INSERT INTO {ROWS} {query}")
        else:
            self.connection.execute_command(f"CREATE TABLE {ROWS} AS ({query})")
        with Inserter(self.connection, FILES) as inserter:
            inserter.add_row([number, file.path, file.rows, file.xxh3])
            inserter.execute()

    def _columns(self, query: str) -> list:
        with self.connection.execute_query(query) as result:
            return [column.name for column in result.schema.columns]


def _literal(key: str, value: str | None) -> str:
    kind = "DATE" if key == "date" else "TEXT"
    return f"CAST({'NULL' if value is None else escape_string_literal(value)} AS {kind})"


def bring_up_to_date(extract: Extract, now: Snapshot, fetcher: Fetcher) -> dict[str, int]:
    """Makes the extract's rows those of the snapshot."""
    there = extract.files()
    stale = {path for path, (_, xxh3) in there.items() if path not in now.files or now.files[path].xxh3 != xxh3}
    extract.take_out(there[path][0] for path in stale)
    new = [file for path, file in sorted(now.files.items()) if path not in there or path in stale]
    number = max((number for number, _ in there.values()), default=0)
    for done, file in enumerate(new, 1):
        extract.add(number + done, file, fetcher.local(file.path))
        if sys.stderr.isatty():
            print(f"\r{done} of {len(new)} files", end="", file=sys.stderr)
    if sys.stderr.isatty() and new:
        print(file=sys.stderr)
    rows = extract.rows()
    if rows != now.rows:
        raise ExportError(
            f"the extract would have {rows} rows, the log has {now.rows}: run `lake-writer verify`; nothing was changed"
        )
    return {"rows": rows, "files": len(now.files), "files_added": len(new), "files_taken_out": len(stale)}


def export(arguments: argparse.Namespace) -> dict[str, int]:
    """Makes or renews the extract."""
    target = Path(arguments.to)
    now = snapshot(arguments.lake_writer, arguments.config)
    if not now.files:
        raise ExportError(f"the table {now.table} has no rows yet: start with `lake-writer run`")
    # Beside the target, so that it can take its place in one step.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        folder = Path(temporary)
        copy = folder / target.name
        if target.exists() and not arguments.anew:
            shutil.copyfile(target, copy)
        fetcher = Fetcher(now.table, folder, arguments.webhdfs, arguments.s3_endpoint)
        with (
            HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}) as hyper,
            Connection(hyper.endpoint, copy, CreateMode.CREATE_IF_NOT_EXISTS) as connection,
        ):
            done = bring_up_to_date(Extract(connection), now, fetcher)
        copy.replace(target)
    return done


def main() -> int:
    """Parses the arguments and says how it went."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s --to FILE [options]"
    )
    parser.add_argument("--to", required=True, metavar="FILE", help="the extract, such as sales.hyper")
    parser.add_argument("--config", metavar="FILE", help="settings file of lake-writer")
    parser.add_argument("--lake-writer", default="lake-writer", metavar="PATH", help="the program [lake-writer]")
    parser.add_argument("--webhdfs", metavar="HOST:PORT", help="WebHDFS of a table on HDFS, port 9870 as a rule")
    parser.add_argument("--s3-endpoint", metavar="URL", help="endpoint of a table on an S3 store that is not AWS")
    parser.add_argument("--anew", action="store_true", help="read every file again")
    arguments = parser.parse_args()
    try:
        done = export(arguments)
    except ExportError as error:
        print(f"export_hyper: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"export_hyper: failed to read the table or to write {arguments.to}: {error}", file=sys.stderr)
        return 1
    except HyperException as error:
        print(f"export_hyper: {arguments.to}: {error}; --anew makes the extract from the beginning", file=sys.stderr)
        return 1
    print(json.dumps(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
