"""MongoDB: one mongod as a replica set of one, because transactions need a replica set.

    mongod --replSet -> replSetInitiate at the first start -> primary -> connection string

Owns the server and its replica set's making. Does not own databases.
"""

from __future__ import annotations

import time

from . import artifacts
from .errors import ServerFailed
from .server import LOOPBACK, Server, accepts_connections
from .state import State

REPLICA_SET = "rs0"
_ALREADY_INITIALIZED = 23
_ELECTION_TIMEOUT_S = 30.0


class MongoDb(Server):
    """A replica set of one."""

    def __init__(
        self,
        state: State,
        name: str = "mongodb",
        *,
        cache_gib: float = 0.25,
        preferred_port: int | None = None,
        die_with_parent: bool = False,
    ) -> None:
        super().__init__(state, name, die_with_parent)
        self.cache_gib = cache_gib
        self.preferred_port = preferred_port

    @property
    def endpoint(self) -> str:
        """The connection string."""
        return f"mongodb://{LOOPBACK}:{self.ports['mongodb']}/?replicaSet={REPLICA_SET}"

    uri = endpoint

    def ports_wanted(self) -> dict[str, int | None]:
        return {"mongodb": self.preferred_port}

    def prepare(self) -> None:
        (self.directory / "db").mkdir(exist_ok=True)

    def command(self) -> list[str]:
        return [
            str(artifacts.mongod()),
            "--replSet", REPLICA_SET,
            "--bind_ip", LOOPBACK,
            "--port", str(self.ports["mongodb"]),
            "--dbpath", str(self.directory / "db"),
            "--wiredTigerCacheSizeGB", str(self.cache_gib),
            "--setParameter", "diagnosticDataCollectionEnabled=false",
            # A socket file in /tmp would be shared by all instances of the machine.
            "--nounixsocket",
        ]  # fmt: skip

    def is_ready(self) -> bool:
        return accepts_connections(self.ports["mongodb"])

    def after_start(self) -> None:
        """Makes the replica set at the first start and waits until its member is primary."""
        pymongo = artifacts.pymongo()
        address = f"{LOOPBACK}:{self.ports['mongodb']}"
        with pymongo.MongoClient(address, directConnection=True, serverSelectionTimeoutMS=20_000) as client:
            try:
                member = {"_id": 0, "host": address}
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
            except pymongo.errors.OperationFailure as error:
                if error.code != _ALREADY_INITIALIZED:
                    raise
            deadline = time.monotonic() + _ELECTION_TIMEOUT_S
            while not client.admin.command("hello").get("isWritablePrimary"):
                if time.monotonic() > deadline:
                    raise ServerFailed(f"mongod did not become primary; the end of its log:\n{self.process.log_tail()}")
                time.sleep(0.05)
