"""The state file of one instance: `stack.json` in its own folder.

    server starts -> State -> stack.json -> `status`, `env`, the next `up`, tests

Owns the ports an instance has been given and the identity of the processes it has started.
Does not own the processes themselves (`process`) nor what they store (their own folders).
The file is the one truth: a second program that opens the same folder sees the same servers.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

FORMAT_VERSION = 1

# Below the range from which Linux takes the ports of outgoing connections (32768 and up), so that
# no client's socket can sit on a server's port while that server restarts.
PORT_RANGE = range(20_000, 32_000)


class State:
    """Reads and writes `stack.json` under a lock; safe between processes."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.path = self.directory / "stack.json"

    def read(self) -> dict:
        """The file's content, or an empty instance when there is none yet."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"version": FORMAT_VERSION, "dir": str(self.directory), "ports": {}, "servers": {}}
        return content

    @contextlib.contextmanager
    def edit(self) -> Iterator[dict]:
        """Hands out the content to be changed and replaces the file in one step afterwards."""
        with self.exclusive("stack.json.lock"):
            content = self.read()
            yield content
            temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            temporary.replace(self.path)

    @contextlib.contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Holds a lock file of this folder; a second holder waits. Ends with the process at the latest."""
        with open(self.directory / name, "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def ports(self, server: str, wanted: dict[str, int | None]) -> dict[str, int]:
        """The ports of `server`, chosen at the first call and kept for the life of the folder.

        `wanted` maps the name of a port to the one preferred (taken if free) or to None.
        """
        with self.edit() as content:
            given = content["ports"].setdefault(server, {})
            taken = {port for ports in content["ports"].values() for port in ports.values()}
            for name, preferred in wanted.items():
                if name not in given:
                    given[name] = _free_port(preferred, taken)
                    taken.add(given[name])
            return dict(given)

    def record(self, server: str, entry: dict) -> None:
        """Writes down what is known about a running process."""
        with self.edit() as content:
            content["servers"][server] = entry

    def recorded(self, server: str) -> dict | None:
        """What was last written down about a process, running or not."""
        return self.read()["servers"].get(server)

    def forget(self, server: str) -> None:
        """Takes a stopped process out of the file."""
        with self.edit() as content:
            content["servers"].pop(server, None)


def is_free(port: int) -> bool:
    """Whether a server could bind `port` on this machine now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


def _free_port(preferred: int | None, taken: set[int]) -> int:
    if preferred is not None and preferred not in taken and is_free(preferred):
        return preferred
    # At random, so that instances that start in the same moment do not all try the same port.
    for port in random.sample(PORT_RANGE, len(PORT_RANGE)):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port between {PORT_RANGE.start} and {PORT_RANGE.stop}")
