"""The two programs under test, as processes: run to the end, or started, signalled and watched.

    binary + arguments -> Program.run -> exit code and output
                       -> Program.start -> RunningProgram -> kill, freeze, terminate, wait

Owns finding the binaries and writing configuration files. Does not own what they do.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from native_stack.artifacts import cache_dir
from native_stack.process import stopped

from .lake import Lake

ROOT = Path(__file__).resolve().parent.parent.parent
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec a child should do as little as it can.
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Finished:
    """A program that has ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    def json(self) -> object:
        """Standard output of a run with `--output json`."""
        return json.loads(self.stdout)

    def json_lines(self) -> list[object]:
        """Standard output of a run that prints a JSON document a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def built(name: str) -> Path:
    """A binary of the workspace: $LAKE_WRITER_BIN or $SALES_PRODUCER_BIN, or what `make test-build` has built."""
    variable = f"{name.upper().replace('-', '_')}_BIN"
    target = Path(os.environ.get("CARGO_TARGET_DIR") or cache_dir() / "target")
    binary = Path(os.environ.get(variable) or target / "quick" / name)
    if not binary.is_file():
        pytest.fail(f"{binary} is missing: run `make test-build`, or set {variable}", pytrace=False)
    return binary


class Program:
    """One of the workspace's binaries."""

    def __init__(self, binary: Path, logs: Path) -> None:
        self.binary = binary
        self.logs = logs
        self._runs = 0

    def run(
        self, *arguments: object, env: Mapping[str, str] | None = None, timeout_s: float = 300, code: int | None = 0
    ) -> Finished:
        """Runs to the end. Fails the test unless the exit code is `code` (None: whatever it is)."""
        began = time.monotonic()
        done = subprocess.run(
            self._argv(arguments), env=clean_environment(env), cwd=ROOT, timeout=timeout_s,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
            preexec_fn=_end_with_parent,
        )  # fmt: skip
        finished = Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
        if code is not None and done.returncode != code:
            raise AssertionError(
                f"`{self.binary.name} {' '.join(map(str, arguments))}` ended with {done.returncode}, not {code}\n"
                f"--- stdout\n{done.stdout[-4000:]}\n--- stderr\n{done.stderr[-8000:]}"
            )
        return finished

    def start(self, *arguments: object, env: Mapping[str, str] | None = None) -> RunningProgram:
        """Starts in the background; use as a context manager, which kills what still runs at the end."""
        self._runs += 1
        log = self.logs / f"{self.binary.name}-{self._runs}.log"
        return RunningProgram(self._argv(arguments), clean_environment(env), log)

    def _argv(self, arguments: tuple[object, ...]) -> list[str]:
        return [str(self.binary), *map(str, arguments)]


class RunningProgram:
    """A program in the background; its standard output and error are in `log`."""

    def __init__(self, argv: list[str], environment: dict[str, str], log: Path) -> None:
        self.log_path = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                argv, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, preexec_fn=_end_with_parent,
            )  # fmt: skip

    def __enter__(self) -> RunningProgram:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    @property
    def log(self) -> str:
        """Everything printed so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def terminate(self, timeout_s: float = 60) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(10)

    def freeze(self) -> None:
        """SIGSTOP; returns once every thread stands still. Nothing to wait for if it has ended."""
        self.process.send_signal(signal.SIGSTOP)
        if self.running():
            wait_until(lambda: stopped(self.process.pid) or not self.running(), "the writer to stand still", 30)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def wait(self, timeout_s: float = 300, code: int | None = None) -> int:
        """Waits for the end; with `code` fails the test unless it is the exit code."""
        try:
            ended_with = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"still running after {timeout_s} s; its log ends:\n{self.log[-6000:]}") from error
        if code is not None:
            assert ended_with == code, f"ended with {ended_with}, not {code}; its log ends:\n{self.log[-6000:]}"
        return ended_with

    def wait_for_log(self, text: str, timeout_s: float = 60) -> None:
        """Waits until `text` is printed; fails the test if the program ends before."""
        wait_until(
            lambda: text in self.log or not self.running(),
            f"{text!r} in the log of {self.log_path.name}", timeout_s,
        )  # fmt: skip
        assert text in self.log, f"ended before printing {text!r}; its log ends:\n{self.log[-6000:]}"


def wait_until(condition: object, what: str, timeout_s: float = 60) -> None:
    """Waits for an event that can only be asked for; fails the test when it does not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.05)


def write_config(path: Path, lake: Lake, bootstrap: str, topic: str, **tables: dict) -> Path:
    """Writes a configuration for one table. `tables` are laid over it: `rotation={"max_rows": 1000}`."""
    settings = {
        "source": {"kafka": {"bootstrap_servers": bootstrap, "topic": topic, "group_id": f"lake-{topic}"}},
        "table": {"url": lake.url, "schema": str(ROOT / "schemas" / "sale.avsc")},
    }
    for layer in (lake.settings, tables):
        _lay_over(settings, layer)
    path.write_text(to_toml(settings), encoding="utf-8")
    return path


def to_toml(settings: Mapping, prefix: str = "") -> str:
    """Nested mappings as TOML. JSON's strings, numbers, booleans and lists are TOML's."""
    plain = {key: value for key, value in settings.items() if not isinstance(value, Mapping)}
    lines = [f"{json.dumps(key)} = {json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]
    text = f"[{prefix}]\n" if prefix and lines else ""
    text += "".join(f"{line}\n" for line in lines)
    for key, value in settings.items():
        if isinstance(value, Mapping):
            text += to_toml(value, f"{prefix}.{json.dumps(key)}" if prefix else json.dumps(key))
    return text


def _lay_over(settings: dict, layer: Mapping) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(settings.get(key), dict):
            _lay_over(settings[key], value)
        else:
            settings[key] = value


def clean_environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of a program under test."""
    # What the machine is set up for must not decide a test: only what the test says reaches the program.
    foreign = ("AWS_", "HADOOP_", "LAKE_WRITER_", "KRB5")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **(extra or {})}


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
