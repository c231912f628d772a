"""The whole stack of one folder: Kafka, HDFS, S3 and MongoDB together.

    folder (+ which servers) -> Stack.up -> endpoints and environment -> lake-writer, tests, people

Owns which servers belong to an instance and what a client of it has in its environment.
Does not own any single server.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import artifacts
from .errors import StackError
from .hdfs import Hdfs
from .kafka import Kafka
from .mongodb import MongoDb
from .s3 import S3
from .state import State

ALL = ("kafka", "hdfs", "s3", "mongodb")
_WELL_KNOWN_PORTS = {"kafka": 9092, "hdfs": 9000, "s3": 7070, "mongodb": 27017}


class Stack:
    """One instance. `well_known_ports` takes 9092, 9000, 7070 and 27017 where they are free."""

    def __init__(
        self,
        directory: Path | str,
        only: Sequence[str] = ALL,
        *,
        well_known_ports: bool = False,
        die_with_parent: bool = False,
    ) -> None:
        unknown = [name for name in only if name not in ALL]
        if unknown:
            raise StackError(f"unknown server {', '.join(unknown)}; the stack has {', '.join(ALL)}")
        self.state = State(directory)
        self.die_with_parent = die_with_parent
        self.directory = self.state.directory
        self.only = tuple(name for name in ALL if name in only)
        port = _WELL_KNOWN_PORTS if well_known_ports else dict.fromkeys(ALL)
        self.kafka = Kafka(self.state, preferred_port=port["kafka"], die_with_parent=die_with_parent)
        self.hdfs = Hdfs(self.state, preferred_port=port["hdfs"], die_with_parent=die_with_parent)
        self.s3 = S3(self.state, preferred_port=port["s3"], die_with_parent=die_with_parent)
        self.mongodb = MongoDb(self.state, preferred_port=port["mongodb"], die_with_parent=die_with_parent)

    def server(self, name: str) -> Kafka | Hdfs | S3 | MongoDb:
        """One server by name."""
        return {"kafka": self.kafka, "hdfs": self.hdfs, "s3": self.s3, "mongodb": self.mongodb}[name]

    def up(self) -> dict[str, bool]:
        """Installs what is missing and starts what does not run, at once. True for what was started now."""
        artifacts.install(list(self.only))
        with self.state.exclusive("up-down.lock"):
            if self.die_with_parent:
                # The kernel takes the thread that forked for the parent, so it must be one that stays.
                return {name: self.server(name).start() for name in self.only}
            return self._start_at_once()

    def _start_at_once(self) -> dict[str, bool]:
        with ThreadPoolExecutor() as pool:
            started = {name: pool.submit(self.server(name).start) for name in self.only}
            return {name: job.result() for name, job in started.items()}

    def down(self) -> list[str]:
        """Stops what runs; the names of what was stopped."""
        with self.state.exclusive("up-down.lock"):
            recorded = self.state.read()["servers"]
            running = [name for name in self.only if _has_process(name, recorded)]
            for name in running:
                self.server(name).stop()
            return running

    def running(self) -> dict[str, bool]:
        """For each server whether all its processes live."""
        return {name: self.server(name).running() for name in self.only}

    def environment(self) -> dict[str, str]:
        """What a client of this instance has in its environment."""
        values = {}
        if "kafka" in self.only:
            values["KAFKA_BOOTSTRAP_SERVERS"] = self.kafka.bootstrap
        if "hdfs" in self.only:
            values |= self.hdfs.client_environment
        if "s3" in self.only:
            values |= self.s3.client_environment
        if "mongodb" in self.only:
            values["MONGODB_URI"] = self.mongodb.uri
        return values


def _has_process(name: str, recorded: dict) -> bool:
    return any(process == name or process.startswith(f"{name}-") for process in recorded)
