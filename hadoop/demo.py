#!/usr/bin/env python3
"""`make demo`: sales flow into a lake and onto a live page, from servers that this starts and stops.

    mongod (native_stack) -> lake-writer demo, with the mirror -> lake-dashboard -> a page to open
    no mongod to be had   -> lake-writer demo, the lake alone, and a line that says why

Owns what is started around the demo, and that it ends with it. The demo itself is `lake-writer demo`.
Arguments that are not named here are the demo's: `hadoop/demo.py --writer … --dashboard … --duration 2m`.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036 (said before an import fails on newer syntax)
    sys.exit("demo.py needs Python 3.10 or newer")

from native_stack import Stack, StackError
from native_stack.artifacts import cache_dir

BUILD_PAGE = Path(__file__).resolve().parent.parent / "dashboard" / "page" / "build"
# What `make dashboard` listens on, so that the address is the same; another one where that is taken.
ADDRESSES = ("127.0.0.1:8080", "127.0.0.1:0")
DATABASE = "demo"
# Where somebody looks, sales are made until Ctrl-C. A day is longer than anybody does.
WHILE_SOMEBODY_LOOKS = "24h"
MIRROR = {
    "mirror.mongodb.database": DATABASE,
    "mirror.mongodb.rollup.time": "sold_at",
    "mirror.mongodb.rollup.by": '["region", "product_name", "category"]',
    "mirror.mongodb.rollup.sum": '["amount", "quantity"]',
}


class NoDashboard(Exception):
    """There is none to be shown; the message says why."""


def main() -> int:
    """Runs the demo; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writer", type=Path, required=True, help="the program lake-writer")
    parser.add_argument("--dashboard", type=Path, required=True, help="the program lake-dashboard")
    parser.add_argument("--page", type=Path, required=True, help="folder to bundle the page into")
    parser.add_argument("--no-dashboard", action="store_true", help="show the lake alone")
    options, demo = parser.parse_known_args()
    # A terminal's Ctrl-C reaches the demo as well, which then comes to its end; this waits for that.
    signal.signal(signal.SIGINT, lambda *_: None)
    with contextlib.ExitStack() as scenery:
        settings: list[str] = []
        try:
            if options.no_dashboard:
                raise NoDashboard("it was not asked for")
            mongodb = scenery.enter_context(mongod())
            url = scenery.enter_context(dashboard(options, mongodb))
            values = {"mirror.mongodb.uri": mongodb, **MIRROR}
            settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
            say(f"the dashboard: {url}")
            if sys.stdin.isatty() and not any(word.startswith("--duration") for word in demo):
                demo += ["--duration", WHILE_SOMEBODY_LOOKS]
                say("sales are made until Ctrl-C")
        except NoDashboard as reason:
            say(f"no dashboard: {reason}\nthe lake alone:")
        return run([str(options.writer), "demo", *settings, *demo])


def say(text: str) -> None:
    """Prints at once, whatever standard output is."""
    print(text, flush=True)


def run(argv: list[str]) -> int:
    """Runs the demo to its end; a SIGTERM for this process ends it early, as Ctrl-C does."""
    process = subprocess.Popen(argv)
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    return process.wait()


@contextlib.contextmanager
def mongod() -> Iterator[str]:
    """A mongod of the demo's own, fetched if need be; gives its connection string and deletes it at the end."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="demo-", dir=cache_dir()) as folder:
        stack = Stack(folder, only=("mongodb",), die_with_parent=True)
        say("starting a MongoDB for the demo; the first time it is fetched")
        try:
            stack.up()
        except (StackError, OSError, subprocess.SubprocessError) as error:
            raise NoDashboard(f"no MongoDB is to be had here: {error}") from error
        try:
            yield stack.mongodb.uri
        finally:
            stack.down()


@contextlib.contextmanager
def dashboard(options: argparse.Namespace, mongodb: str) -> Iterator[str]:
    """The dashboard of that database; gives its address."""
    page = ["--page", str(options.page)] if built_page(options.page) else []
    with tempfile.TemporaryDirectory(prefix="demo-", dir=cache_dir()) as folder:
        config = Path(folder) / "dashboard.toml"
        config.write_text(f'[mongodb]\nuri = "{mongodb}"\ndatabase = "{DATABASE}"\n', encoding="utf-8")
        argv = [str(options.dashboard), "--config", str(config), *page]
        process, url = listening(argv, Path(folder) / "dashboard.log")
        try:
            yield url
        finally:
            process.terminate()
            process.wait(10)


def listening(argv: list[str], log: Path) -> tuple[subprocess.Popen, str]:
    """The dashboard on the first address that is free, and its URL."""
    for address in ADDRESSES:
        with open(log, "wb") as output:
            # Of a session of its own: a terminal's Ctrl-C must not end it before the demo.
            process = subprocess.Popen(
                [*argv, "--listen", address], stdout=output, stderr=output, start_new_session=True
            )
        while True:
            text = log.read_text(encoding="utf-8", errors="replace")
            found = re.search(r"the dashboard is served.*url=(\S+)", text)
            if found:
                return process, found[1]
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise NoDashboard(f"it ended at once: {text.strip()}")


def built_page(folder: Path) -> bool:
    """Bundles the page; says why where that cannot be done."""
    if shutil.which("npm") is None:
        say("the page of the dashboard needs Node.js 18 or newer with npm, which is not there; only its API is served")
        return False
    done = subprocess.run([str(BUILD_PAGE), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        say(f"the page of the dashboard could not be built; only its API is served:\n{done.stderr.strip()}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
