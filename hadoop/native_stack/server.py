"""What every single-process server of the stack can do, for tests and for the command line.

    Kafka | NameNode | DataNode | S3 | MongoDb | Kdc -> Server -> Process

Owns the order of a start: folders and files first, then the process, then readiness.
Does not own any server's configuration.
"""

from __future__ import annotations

import os
import socket
import urllib.request
from pathlib import Path

from .errors import PortTaken
from .process import Process
from .state import State, is_free

LOOPBACK = "127.0.0.1"


class Server:
    """Base of a server with one process. Subclasses give command, environment and readiness."""

    start_timeout_s = 180.0

    def __init__(self, state: State, name: str, die_with_parent: bool = False) -> None:
        self.state = state
        self.name = name
        self.directory: Path = state.directory / name
        self.process = Process(state, name, die_with_parent)

    # -- for subclasses -----------------------------------------------------------------------

    def ports_wanted(self) -> dict[str, int | None]:
        """Names of the ports this server listens on, each with the one preferred or None."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Writes configuration and formats storage; called before every start, must be repeatable."""

    def command(self) -> list[str]:
        """The command line."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The environment of the process."""
        return dict(os.environ)

    def is_ready(self) -> bool:
        """Whether the server, just started, answers now."""
        raise NotImplementedError

    def after_start(self) -> None:
        """What is done once the server answers, at every start."""

    @property
    def endpoint(self) -> str:
        """Where clients find the server, in the form that they take."""
        raise NotImplementedError

    # -- life ---------------------------------------------------------------------------------

    @property
    def ports(self) -> dict[str, int]:
        """The ports given to this server, the same for the life of the instance."""
        return self.state.ports(self.name, self.ports_wanted())

    def start(self) -> bool:
        """Starts the server and waits until it answers. False if it was running already."""
        if self.running():
            return False
        for what, port in self.ports.items():
            if not is_free(port):
                raise PortTaken(
                    f"{self.name} of {self.state.directory} owns port {port} ({what}), but another program uses it; "
                    "stop that program or start with another --dir"
                )
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self._log_start = self.process.log.stat().st_size if self.process.log.exists() else 0
        self.process.start(
            self.command(), self.environment(), self.is_ready, self.start_timeout_s, endpoint=self.endpoint
        )
        self.after_start()
        return True

    def stop(self) -> None:
        """Stops the server in good order; what it stores stays."""
        self.process.stop()

    def kill(self) -> None:
        """Kills the server at once (SIGKILL)."""
        self.process.kill()

    def freeze(self) -> None:
        """Stops the server where it stands (SIGSTOP)."""
        self.process.freeze()

    def resume(self) -> None:
        """Lets a frozen server go on (SIGCONT)."""
        self.process.resume()

    def restart(self) -> None:
        """Stops the server if it runs, and starts it again on the same ports and data."""
        self.stop()
        self.start()

    def running(self) -> bool:
        """Whether the process lives."""
        return self.process.running()

    # -- readiness ----------------------------------------------------------------------------

    def logged_since_start(self, text: str) -> bool:
        """Whether this run of the server (not an earlier one) has logged `text`."""
        with open(self.process.log, "rb") as log:
            log.seek(self._log_start)
            return text.encode() in log.read()


def accepts_connections(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


def http_get(url: str, timeout_s: float = 5.0) -> bytes:
    """Body of a GET that goes past any proxy of the environment: the servers are on this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout_s) as response:
        return response.read()
