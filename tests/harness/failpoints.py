"""Steps at which a writer can be killed or frozen: which there are, and which of them a run visits.

    tests/failpoints/<store>.txt -> cases -> LAKE_WRITER_FAILPOINT of one writer -> killed or frozen there

Owns the lists and the choice. What a step is stands in lake-writer/src/failpoint.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from native_stack.process import stopped

from .programs import RunningProgram, wait_until

LISTS = Path(__file__).resolve().parent.parent / "failpoints"
STORES = ("local", "hdfs", "s3")
# What a writer passes only when the group moves, a broker goes away or a cut is dropped, which happens to the listed
# runs on a busy machine alone. The simulation visits these.
BY_CHANCE = (
    "abandon.", "discard.data.", "discard.dead.", "release.", "poll.revoked.", "poll.lost.", "poll.away.", "poll.back.",
)  # fmt: skip
# What happens beside the work, once at least and more often as it happens: the first time is visited.
BESIDE = ("delete.log.", "read.log/checkpoints.")
# The whole matrix takes an hour; `make matrix` visits it, every other run a spread of it.
WHOLE = os.environ.get("LAKE_WRITER_MATRIX") == "whole"
# Of how many steps the spread visits one: a case takes two seconds on disk and S3, six on HDFS.
STRIDE = {"local": 1, "hdfs": 4, "s3": 2}


@dataclass(frozen=True)
class Step:
    """A step as it is listed. `often` is how often a run on a new table passes it; 0 for those that only a run passes
    that finds what a crash has left."""

    name: str
    often: int


@dataclass(frozen=True)
class Case:
    """One writer stopped at one step of one store."""

    store: str
    step: Step
    time: int
    action: str

    def __str__(self) -> str:
        return f"{self.store}-{self.step.name}@{self.time}-{self.action}"

    @property
    def environment(self) -> dict[str, str]:
        """What makes the writer stop there."""
        return {"LAKE_WRITER_FAILPOINT": f"{self.step.name}@{self.time}={self.action}"}


def listed(store: str) -> list[Step]:
    """The steps of a store, in order of their names."""
    lines = (LISTS / f"{store}.txt").read_text(encoding="utf-8").splitlines()
    return [Step(name, int(often)) for name, often in (line.split() for line in lines if line)]


def not_listed(store: str, passed: list[list[str]]) -> list[str]:
    """Steps that runs have passed and that no case visits."""
    steps = set().union(*passed) - {step.name for step in listed(store)}
    return sorted(step for step in steps if not step.startswith(BY_CHANCE))


def write_list(store: str, passed: list[list[str]]) -> None:
    """Lists what several runs have passed, the first of them on a new table."""
    first = Counter(passed[0])
    lines = [f"{name} {first[name]}\n" for name in sorted(set().union(*passed))]
    LISTS.mkdir(exist_ok=True)
    (LISTS / f"{store}.txt").write_text("".join(lines), encoding="utf-8")


def cases() -> list[Case]:
    """Every step of every store, killed and frozen, the first and the second time; or a spread of that."""
    return [case for number, store in enumerate(STORES) for case in _cases(number, store)]


def _cases(number: int, store: str) -> list[Case]:
    chosen = []
    stride = STRIDE[store]
    for place, step in enumerate(listed(store)):
        times = (1, 2) if step.often > 1 and not step.name.startswith(BESIDE) else (1,)
        if WHOLE:
            chosen += [Case(store, step, time, action) for time in times for action in ("kill", "freeze")]
        elif (place + place // stride) % stride == 0:
            # Neighbours in the list are the two moments of one call: each gets another action, and none
            # of the two is left out throughout.
            turn = len(chosen)
            action = ("kill", "freeze")[(turn + turn // 2 + number) % 2]
            chosen.append(Case(store, step, times[place // 4 % len(times)], action))
    return chosen


def frozen(writer: RunningProgram) -> bool:
    """Whether every thread of a writer stands still by SIGSTOP."""
    return stopped(writer.process.pid)


def wait_until_frozen(writer: RunningProgram, timeout_s: float = 60) -> bool:
    """Waits until a writer stands at its failpoint. False when it ended without passing there."""
    wait_until(lambda: frozen(writer) or not writer.running(), "the failpoint", timeout_s)
    return frozen(writer)
