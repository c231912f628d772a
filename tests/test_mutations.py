"""The planted bugs themselves: each says what it breaks, still applies, and stands in the documents.

Whether the tests find them is asked by `make mutations`, which takes hours.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from harness.programs import ROOT

PATCHES = sorted((ROOT / "tests/mutations").glob("*.patch"))


def listed() -> list[tuple[str, ...]]:
    """Name, suite and what is broken, as `run-mutations --list` says it."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests/run-mutations", "--list"], capture_output=True, text=True, check=True
    )
    return [tuple(line.split(maxsplit=2)) for line in done.stdout.splitlines()]


def test_the_documents_name_them_all() -> None:
    assert len(PATCHES) >= 8
    table = re.findall(r"^\| `([a-z-]+)` \| ([a-z-]+) \| (.+) \|$", (ROOT / "docs/testing.md").read_text("utf-8"), re.M)
    assert [(name, suite, breaks) for name, suite, breaks in listed()] == table
    assert [name for name, *_ in table] == [patch.stem for patch in PATCHES]


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_planted_bug_applies(patch) -> None:
    done = subprocess.run(["git", "apply", "--check", patch], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\nthe code has changed: plant the bug anew"
