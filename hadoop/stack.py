#!/usr/bin/env python3
"""Starts and stops the real servers on this machine: see `stack.py --help` and README.md beside this file."""

import sys

if sys.version_info < (3, 10):  # noqa: UP036 (said before an import fails on newer syntax)
    sys.exit("stack.py needs Python 3.10 or newer")

from native_stack.cli import main

if __name__ == "__main__":
    sys.exit(main())
