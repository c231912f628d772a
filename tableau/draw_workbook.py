#!/usr/bin/env python3
"""Draws the dashboard of a workbook without Tableau, from the lake's Parquet files: one picture for each layout.

    sales.twb, rows of the lake -> the workbook's own queries on DuckDB -> <name>-desktop.png, <name>-phone.png

    python tableau/draw_workbook.py tableau/sales.twb --lake /tmp/lake/sales --to pictures [--choose region=Corse …]

Needs duckdb and matplotlib (PyPI). --sql prints the queries, and draws nothing.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

import duckdb

from workbook.choose import ChoiceError, Period, chosen
from workbook.drawing import dashboard
from workbook.reading import sheets
from workbook.sql import QueryError, query

LAYOUTS = {"desktop": "", "phone": "Phone"}


def table_of(lake: Path) -> str:
    """SQL for the rows of a table on local disk."""
    quoted = str(lake / "data" / "**" / "*.parquet").replace("'", "''")
    # Fields of the schema are inside the files; the path says null and the empty string alike.
    return f"read_parquet('{quoted}', hive_partitioning = false)"


def choices(texts: Iterable[str]) -> dict[str, list[str]]:
    """Members by field, of texts such as region=Corse. Raises ChoiceError."""
    found: dict[str, list[str]] = {}
    for text in texts:
        field, equals, member = text.partition("=")
        if not equals:
            raise ChoiceError(f"{text}: write FIELD=MEMBER")
        found.setdefault(field, []).append(member)
    return found


def period(begin: str | None, end: str | None) -> Period | None:
    """From midnight of a day to the last second of another. Raises ValueError."""
    if not begin or not end:
        return None
    first, last = (datetime.date.fromisoformat(day) for day in (begin, end))
    return (
        datetime.datetime.combine(first, datetime.time.min),
        datetime.datetime.combine(last, datetime.time(23, 59, 59)),
    )


def draw(workbook: ET.Element, table: str, to: Path, name: str, layouts: Iterable[str]) -> list[Path]:
    """Draws some layouts."""
    pictures = []
    with duckdb.connect() as connection:
        for layout in layouts:
            path = to / f"{name}-{layout}.png"
            # Without the program's version, the same rows give the same bytes.
            dashboard(workbook, connection, table, LAYOUTS[layout]).savefig(path, metadata={"Software": None})
            pictures.append(path)
    return pictures


def main() -> int:
    """Parses the arguments and says what was drawn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workbook", type=Path, help="a .twb made by make_workbook.py")
    parser.add_argument("--lake", type=Path, required=True, metavar="FOLDER", help="the table, on local disk")
    parser.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="where the pictures go [here]")
    parser.add_argument("--layout", choices=LAYOUTS, help="only this one")
    parser.add_argument("--choose", action="append", default=[], metavar="FIELD=MEMBER", help="may be repeated")
    parser.add_argument("--from", dest="begin", metavar="DAY", help="first day of the period, with --until")
    parser.add_argument("--until", dest="end", metavar="DAY", help="its last day")
    parser.add_argument("--sql", action="store_true", help="print the queries, and draw nothing")
    arguments = parser.parse_args()
    if bool(arguments.begin) != bool(arguments.end):
        parser.error("--from and --until go together")
    try:
        workbook = ET.parse(arguments.workbook).getroot()
        workbook = chosen(workbook, choices(arguments.choose), period(arguments.begin, arguments.end))
        if arguments.sql:
            for sheet in sheets(workbook):
                print(f"-- {sheet}\n{query(workbook, sheet, table_of(arguments.lake)).sql};\n")
            return 0
        layouts = [arguments.layout] if arguments.layout else list(LAYOUTS)
        for path in draw(workbook, table_of(arguments.lake), arguments.to, arguments.workbook.stem, layouts):
            print(path)
    except (OSError, ET.ParseError, ValueError, ChoiceError, QueryError, duckdb.Error) as error:
        print(f"draw_workbook: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
