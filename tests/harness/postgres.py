"""A real PostgreSQL in a folder of its own: the oracle of what the SQL endpoint answers.

    initdb, postgres (Debian's) -> Postgres -> psycopg connections
    rows of a lake -> Postgres.load -> the same table, in PostgreSQL's types
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa

from .programs import wait_until

# Types as PostgreSQL spells them, by Arrow's.
_NAMES = {"string": "text", "large_string": "text", "int32": "integer", "int64": "bigint", "bool": "boolean"}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Postgres:
    """A server that ends with the test run."""

    def __init__(self) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert binaries, "PostgreSQL is missing: run `make system-packages`"
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        # It refuses to run as root.
        self.user = "nobody" if os.getuid() == 0 else None
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.port = free_port()
        self._run(binaries[-1] / "initdb", "-D", self.folder / "data", "-U", "lake", "-A", "trust",
                  "-E", "UTF8", "--locale=C", "--lc-ctype=C.UTF-8", "--no-sync")  # fmt: skip
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
                   "timezone": "UTC", "autovacuum": "off"}  # fmt: skip
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self.log = open(self.folder / "log", "wb")  # noqa: SIM115
        self.process = subprocess.Popen(
            [binaries[-1] / "postgres", "-D", self.folder / "data", *settings],
            cwd=self.folder, user=self.user, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait_until(self._answers, "PostgreSQL to answer")
        with self.connect("postgres") as connection:
            connection.autocommit = True
            connection.execute("CREATE DATABASE lake")

    def _run(self, *argv: object) -> None:
        subprocess.run([str(word) for word in argv], cwd=self.folder, user=self.user, check=True, capture_output=True)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
        with contextlib.suppress(psycopg.OperationalError), self.connect("postgres"):
            return True
        return False

    def connect(self, database: str = "lake", **options: object) -> psycopg.Connection:
        """A connection; UTC unless told otherwise."""
        return psycopg.connect(host="127.0.0.1", port=self.port, user="lake", dbname=database, **options)

    def load(self, name: str, rows: pa.Table) -> None:
        """Makes a table of the rows."""
        columns = ", ".join(f'"{field.name}" {type_name(field.type)}' for field in rows.schema)
        with self.connect() as connection:
            connection.execute(f'CREATE TABLE "{name}" ({columns})')
            with connection.cursor().copy(f'COPY "{name}" FROM STDIN') as copy:
                for batch in rows.to_batches():
                    for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                        copy.write_row(row)
            connection.execute("ANALYZE")

    def stop(self) -> None:
        """Ends it and deletes its folder."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.folder)


def type_name(given: pa.DataType) -> str:
    """An Arrow type in PostgreSQL's words."""
    if pa.types.is_decimal(given):
        return f"numeric({given.precision},{given.scale})"
    if pa.types.is_timestamp(given):
        return "timestamptz" if given.tz else "timestamp"
    if pa.types.is_date(given):
        return "date"
    if pa.types.is_dictionary(given):
        return type_name(given.value_type)
    return _NAMES[str(given)]


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """A server for as long as the context lasts."""
    server = Postgres()
    try:
        yield server
    finally:
        server.stop()
