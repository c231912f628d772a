"""The command line of the native stack.

    python3 hadoop/stack.py up|down|status|install|env -> Stack -> what happened, in words

Owns arguments, wording and exit codes: 0 done, 1 failed (the message says what to do), 2 wrong
arguments, 3 from `status` when something does not run.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import time
from pathlib import Path

from . import artifacts
from .errors import StackError
from .stack import ALL, Stack

EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if options.command == "hdfs":
        options.arguments = rest
    elif rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        return options.run(options)
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stack.py",
        description="Starts real Kafka, HDFS, S3 and MongoDB servers on this machine, without containers.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, text in (
        ("install", _install, "download the pinned servers into the cache ($LAKE_WRITER_CACHE, ~/.cache/lake-writer)"),
        ("up", _up, "install if needed and start; succeeds at once if everything runs"),
        ("down", _down, "stop; what the servers store stays"),
        ("status", _status, "say what runs and where; exit code 3 if something does not"),
        ("env", _env, 'print shell exports for clients: eval "$(python3 hadoop/stack.py env)"'),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument(
            "--only", type=_servers, default=list(ALL), metavar=",".join(ALL), help="these servers only"
        )
        if name != "install":
            command.add_argument(
                "--dir", type=Path, default=_default_dir(), help="folder of the instance (default: %(default)s)"
            )
        if name == "status":
            command.add_argument(
                "--output", choices=("text", "json"), default="text", help="how to print (default: text)"
            )
        if name == "down":
            command.add_argument("--wipe", action="store_true", help="also delete the folder and all it stores")
    _add_makers(commands)
    return parser


def _add_makers(commands: argparse._SubParsersAction) -> None:
    """The commands that make something inside a running instance."""
    topic = commands.add_parser("topic", help="make a Kafka topic")
    topic.set_defaults(run=_topic)
    topic.add_argument("topic", help="its name")
    topic.add_argument("--partitions", type=int, default=1, help="how many (default: 1)")
    topic.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="a property of the topic")
    bucket = commands.add_parser("bucket", help="make an S3 bucket, if it is not there")
    bucket.set_defaults(run=_bucket)
    bucket.add_argument("bucket", help="its name")
    shell = commands.add_parser("hdfs", help="run Hadoop's FsShell, as in: hdfs -ls /", allow_abbrev=False)
    shell.set_defaults(run=_hdfs)
    for command in (topic, bucket, shell):
        command.add_argument(
            "--dir", type=Path, default=_default_dir(), help="folder of the instance (default: %(default)s)"
        )
        command.set_defaults(only=list(ALL))


def _default_dir() -> Path:
    return artifacts.cache_dir() / "stack"


def _servers(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ALL:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(ALL)}")
    return names


def _stack(options: argparse.Namespace) -> Stack:
    return Stack(options.dir, options.only, well_known_ports=True)


def _install(options: argparse.Namespace) -> int:
    artifacts.install(options.only)
    print(f"installed in {artifacts.cache_dir()}: {', '.join(options.only)}")
    return 0


def _up(options: argparse.Namespace) -> int:
    stack = _stack(options)
    began = time.monotonic()
    started = stack.up()
    for name, now in started.items():
        print(f"{name:8} {'started' if now else 'runs already'} at {stack.server(name).endpoint}")
    print(f"ready after {time.monotonic() - began:.1f} s; folder {stack.directory}, endpoints in {stack.state.path}")
    print(f'for clients: eval "$(python3 hadoop/stack.py env --dir {shlex.quote(str(stack.directory))})"')
    return 0


def _down(options: argparse.Namespace) -> int:
    if not options.dir.exists():
        print(f"nothing to stop: there is no instance in {options.dir}")
        return 0
    if options.wipe and set(options.only) != set(ALL):
        raise StackError("--wipe deletes the whole folder: leave out --only")
    stack = _stack(options)
    stopped = stack.down()
    print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    if options.wipe:
        # Only a folder that is one of ours: a wrong --dir must not cost anybody their files.
        if not stack.state.path.exists():
            raise StackError(f"{stack.directory} has no stack.json, so it is not deleted")
        shutil.rmtree(stack.directory)
        print(f"deleted {stack.directory}")
    return 0


def _status(options: argparse.Namespace) -> int:
    stack = _stack_if_any(options)
    running = stack.running() if stack else dict.fromkeys(options.only, False)
    if options.output == "json":
        servers = stack.state.read()["servers"] if stack else {}
        print(json.dumps({"dir": str(options.dir), "running": running, "servers": servers}, indent=2))
    else:
        for name, alive in running.items():
            print(f"{name:8} {'runs at ' + stack.server(name).endpoint if stack and alive else 'does not run'}")
    return 0 if all(running.values()) else EXIT_NOT_RUNNING


def _env(options: argparse.Namespace) -> int:
    stack = _existing(options)
    recorded = stack.state.read()["servers"]
    stack.only = tuple(name for name in stack.only if any(process.startswith(name) for process in recorded))
    for name, value in stack.environment().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _topic(options: argparse.Namespace) -> int:
    config = dict(pair.partition("=")[::2] for pair in options.config)
    _existing(options).kafka.create_topic(options.topic, options.partitions, config)
    print(f"made topic {options.topic} with {options.partitions} partitions")
    return 0


def _bucket(options: argparse.Namespace) -> int:
    print(f"made {_existing(options).s3.make_bucket(options.bucket)}")
    return 0


def _hdfs(options: argparse.Namespace) -> int:
    print(_existing(options).hdfs.shell(*options.arguments), end="")
    return 0


def _existing(options: argparse.Namespace) -> Stack:
    stack = _stack_if_any(options)
    if stack is None:
        raise StackError(
            f"there is no instance in {options.dir}; start one with: python3 hadoop/stack.py up --dir {options.dir}"
        )
    return stack


def _stack_if_any(options: argparse.Namespace) -> Stack | None:
    return _stack(options) if (options.dir / "stack.json").exists() else None
