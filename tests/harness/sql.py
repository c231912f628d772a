"""A running lake-sql, and how one connects to it.

    users + configuration -> SqlEndpoint -> psycopg connections, JDBC and ODBC addresses
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg

from native_stack import artifacts

from .programs import ROOT, Program, RunningProgram, clean_environment

USER, PASSWORD = "anna", "pass word: ü'\"$"
DRIVERS = ROOT / "tests" / "drivers"


def add_user(program: Program, users: Path, name: str = USER, password: str = PASSWORD) -> None:
    """Adds a user as an administrator does."""
    subprocess.run(
        [program.binary, "add-user", "--users", users, name],
        input=f"{password}\n", text=True, check=True, env=clean_environment(None), capture_output=True,
    )  # fmt: skip


class SqlEndpoint:
    """A server and its address; a context that kills it at the end."""

    def __init__(
        self, program: Program, folder: Path, config: Path, *options: object, env: Mapping[str, str] | None = None
    ) -> None:
        self.program, self.folder, self.config, self.options, self.env = program, folder, config, options, env
        self.users = folder / "users"
        if not self.users.exists():
            add_user(program, self.users)
        self.start()

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self.running: RunningProgram = self.program.start(
            "--config", self.config, "--users", self.users, "--listen", "127.0.0.1:0", *self.options, env=self.env
        )
        self.running.wait_for_log("listening at ")
        self.port = int(self.running.log.split("listening at ")[1].split()[0].rpartition(":")[2])

    def __enter__(self) -> SqlEndpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.running.__exit__()

    def connect(self, **options: object) -> psycopg.Connection:
        """A connection by psycopg, with autocommit unless told otherwise."""
        told = {"host": "127.0.0.1", "port": self.port, "dbname": "lake", "user": USER, "password": PASSWORD,
                "autocommit": True, **options}  # fmt: skip
        return psycopg.connect(**told)

    def place(self, **options: str) -> str:
        """A connection string as libpq and tokio-postgres read it."""
        told = {"host": "127.0.0.1", "port": str(self.port), "dbname": "lake", "user": USER, "password": PASSWORD,
                **options}  # fmt: skip
        quoted = {name: value.replace("\\", r"\\").replace("'", r"\'") for name, value in told.items()}
        return " ".join(f"{name}='{value}'" for name, value in quoted.items())

    def rows(self, query: str, *parameters: object) -> list[tuple]:
        """What a query answers on a connection of its own."""
        with self.connect() as connection:
            return connection.execute(query, parameters or None).fetchall()

    def java(self, program: str, *arguments: object, **options: str) -> list[dict]:
        """Runs a program of tests/drivers with pgjdbc and reads the JSON lines that it prints."""
        url = f"jdbc:postgresql://127.0.0.1:{self.port}/lake"
        if options:
            url += "?" + "&".join(f"{name}={value}" for name, value in options.items())
        jars = os.pathsep.join(map(str, artifacts.pgjdbc_jars().glob("*.jar")))
        classes = compiled(self.folder, jars)
        done = subprocess.run(
            ["java", "-cp", f"{jars}{os.pathsep}{classes}", program, url, USER, PASSWORD, *map(str, arguments)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    def psql(self, *commands: str, code: int | None = 0) -> str:
        """What psql prints; errors too."""
        words = [word for command in commands for word in ("-c", command)]
        done = subprocess.run(
            ["psql", "--no-psqlrc", "-v", "VERBOSITY=verbose", "-P", "pager=off",
             f"host=127.0.0.1 port={self.port} dbname=lake user={USER}", *words],
            capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PGPASSWORD": PASSWORD},
        )  # fmt: skip
        assert code is None or done.returncode == code, done.stderr
        return done.stdout + done.stderr


def compiled(folder: Path, jars: str) -> Path:
    """The Java programs, compiled once a folder."""
    classes = folder / "classes"
    if not classes.exists():
        sources = [str(path) for path in DRIVERS.glob("*.java")]
        subprocess.run(["javac", "-cp", jars, "-d", classes, *sources], check=True, capture_output=True, text=True)
    return classes
