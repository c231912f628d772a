"""One server process: started apart from the terminal, found again later, signalled safely.

    command line -> Process.start -> pid in stack.json -> stop | kill | freeze | resume

Owns the life of a process and its log file. Does not own what the process is: `kafka`, `hdfs`,
`s3`, `mongodb` and `kerberos` give the command line and say when it is ready.

A pid from a file may belong to somebody else by now (they wrap at 32,768 on small machines), and a
killed process can stay a zombie. So a process is known by pid, start time and command line
together, and is signalled through a descriptor opened before that comparison.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import NotRunning, ServerFailed, StackError
from .state import State

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec a child should do as little as it can.
_LIBC = ctypes.CDLL(None)
_POLL_S = 0.05


def stopped(pid: int) -> bool:
    """Whether every thread of a process stands still by SIGSTOP. False when the process is gone."""
    states = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            stat = (task / "stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended meanwhile
        states.append(stat.rpartition(")")[2].split()[0])
    return bool(states) and all(state in "TZX" for state in states)


def wait_until_stopped(pid: int, timeout_s: float = 30.0) -> None:
    """Waits until a process that was sent SIGSTOP stands still."""
    deadline = time.monotonic() + timeout_s
    while not stopped(pid):
        if time.monotonic() > deadline:
            raise StackError(f"the process {pid} still runs {timeout_s:.0f} s after SIGSTOP")
        time.sleep(0.002)


class Process:
    """A server process of one instance, under one name."""

    def __init__(self, state: State, name: str, die_with_parent: bool = False) -> None:
        if not sys.platform.startswith("linux"):
            raise StackError("the native stack needs Linux (/proc and pidfd); use compose.yaml elsewhere")
        self.state = state
        self.name = name
        self.die_with_parent = die_with_parent
        self.log = state.directory / "logs" / f"{name}.log"
        self._child: subprocess.Popen | None = None

    # -- life ---------------------------------------------------------------------------------

    def start(
        self,
        argv: list[str],
        environment: Mapping[str, str],
        ready: Callable[[], bool],
        timeout_s: float,
        **facts: object,
    ) -> None:
        """Starts the process and waits until `ready`. `facts` are kept in the state file with it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log, open(os.devnull, "rb") as nothing:
            self._child = subprocess.Popen(
                argv,
                stdin=nothing,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.state.directory,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_end_with_parent if self.die_with_parent else None,
            )
        pid = self._child.pid
        self.state.record(
            self.name,
            {"pid": pid, "start_ticks": _start_ticks(pid), "argv": argv, "log": str(self.log), **facts},
        )
        try:
            self._wait_until_ready(ready, timeout_s)
        except BaseException:
            # A server that is not ready is of no use to anybody and would hold its ports.
            self._signal((signal.SIGKILL,), wait_s=10.0)
            self.state.forget(self.name)
            raise

    def stop(self, timeout_s: float = 20.0) -> None:
        """Asks the process to end and waits; kills it after `timeout_s`. Nothing to do if it is gone."""
        for signals, patience_s in (((signal.SIGCONT, signal.SIGTERM), timeout_s), ((signal.SIGKILL,), 10.0)):
            if self._signal(signals, wait_s=patience_s):
                break
        else:
            raise StackError(f"{self.name} (pid {self.pid}) did not end after SIGKILL; see {self.log}")
        self.state.forget(self.name)

    def kill(self) -> None:
        """Ends the process without a chance to clean up (SIGKILL) and waits until it is gone."""
        self._require_running()
        self._signal((signal.SIGKILL,), wait_s=10.0)

    def freeze(self) -> None:
        """Stops the process where it stands (SIGSTOP); its sockets stay open and answer nothing.

        Returns once every thread stands: the kernel stops them one by one, and on a busy machine a
        server of a hundred threads answers for a while after the signal was sent.
        """
        self._require_running()
        pid = self.pid
        self._signal((signal.SIGSTOP,))
        wait_until_stopped(pid)

    def resume(self) -> None:
        """Lets a frozen process go on (SIGCONT)."""
        self._require_running()
        self._signal((signal.SIGCONT,))

    # -- what is known ------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The process id last recorded, whether the process still lives or not."""
        entry = self.state.recorded(self.name)
        return entry["pid"] if entry else None

    def running(self) -> bool:
        """Whether the very process that was recorded is alive (a zombie is not)."""
        if self._child is not None:
            self._child.poll()  # reaps our own child, so that it does not stay a zombie
        entry = self.state.recorded(self.name)
        return entry is not None and _is_same(entry)

    def log_tail(self, lines: int = 25) -> str:
        """The end of the log, for error messages."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    # -- inside -------------------------------------------------------------------------------

    def _wait_until_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running():
                raise ServerFailed(f"{self.name} ended while starting; the end of {self.log}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"{self.name} was not ready within {timeout_s:.0f} s; the end of {self.log}:\n{self.log_tail()}"
                )
            time.sleep(_POLL_S)

    def _require_running(self) -> None:
        if not self.running():
            raise NotRunning(f"{self.name} is not running; start it first (log: {self.log})")

    def _signal(self, signals: tuple[int, ...], wait_s: float | None = None) -> bool:
        """Sends `signals` if the recorded process lives; with `wait_s` says whether it has ended by then."""
        entry = self.state.recorded(self.name)
        if entry is None:
            return True
        try:
            descriptor = os.pidfd_open(entry["pid"])
        except ProcessLookupError:
            return True
        try:
            # The descriptor pins the process: if it is ours now, the signal cannot reach another.
            if not _is_same(entry):
                return True
            for number in signals:
                signal.pidfd_send_signal(descriptor, number)
            if wait_s is None:
                return False
            ended, _, _ = select.select([descriptor], [], [], wait_s)
            return bool(ended)
        except ProcessLookupError:
            return True
        finally:
            os.close(descriptor)
            if self._child is not None:
                self._child.poll()


def _end_with_parent() -> None:
    """Runs in the child before exec: a test run that is killed must not leave servers behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_same(entry: dict) -> bool:
    """Whether the pid of a record still is the process that was recorded."""
    pid = entry["pid"]
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The name of the program is in parentheses and may hold spaces: fields are counted after it.
    fields = status.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return False
    same_command = cmdline.decode(errors="replace").split("\0")[:-1] == entry["argv"]
    return same_command and int(fields[19]) == entry["start_ticks"]


def _start_ticks(pid: int) -> int:
    """When the process began, in clock ticks since boot: field 22 of /proc/PID/stat."""
    status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return int(status.rpartition(")")[2].split()[19])
