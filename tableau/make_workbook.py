#!/usr/bin/env python3
"""Workbook and data source for Tableau, from the settings of a table and its Avro schema.

    workbook.toml, sale.avsc -> sales.twb, sales.tds        on the live endpoint
    … --extract sales.hyper -> the same on an extract; --package puts both into one sales.twbx

    python tableau/make_workbook.py --to FOLDER [--host HOST --port PORT --user USER | --extract FILE [--package]]

Every file is checked before it is written: what it uses is defined in it. Needs nothing but Python 3.11.
"""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from workbook.check import faults
from workbook.design import design
from workbook.document import Document, packaged, text
from workbook.settings import Settings, SettingsError, read
from workbook.source import Extract, Live, tds

HERE = Path(__file__).resolve().parent
PACKAGED_EXTRACT = "Data/{}.hyper"


def files(settings: Settings, place: Live | Extract, name: str, version: str) -> dict[str, bytes]:
    """The workbook and the data source, by file name."""
    shown = design(settings)
    return {
        f"{name}.twb": text(Document(settings, shown, place, version).element()),
        f"{name}.tds": text(tds(settings, shown, place, version)),
    }


def made(arguments: argparse.Namespace) -> dict[str, bytes]:
    """Everything that the arguments ask for, by file name."""
    settings = read(arguments.settings)
    name = arguments.name or settings.name
    if not arguments.extract:
        place = Live(
            arguments.host, arguments.port, arguments.database, arguments.user, table=arguments.table,
            sslmode=arguments.sslmode,
        )  # fmt: skip
        return files(settings, place, name, arguments.tableau_version)
    if not arguments.package:
        return files(settings, Extract(str(arguments.extract)), name, arguments.tableau_version)
    inside = PACKAGED_EXTRACT.format(settings.name)
    workbook = files(settings, Extract(inside), name, arguments.tableau_version)[f"{name}.twb"]
    return {f"{name}.twbx": packaged(name, workbook, arguments.extract.read_bytes(), inside)}


def main() -> int:
    """Parses the arguments and says what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where the files are written")
    parser.add_argument("--settings", type=Path, default=HERE / "workbook.toml", metavar="FILE", help="[workbook.toml]")
    parser.add_argument("--name", help="of the files, without an ending [that of the settings]")
    parser.add_argument("--host", default=Live.host, help="of the endpoint [localhost]")
    parser.add_argument("--port", type=int, default=Live.port, help="[5433]")
    parser.add_argument("--database", default=Live.database, help="[lake]")
    parser.add_argument("--table", default=Live.table, help="another one with the same columns, such as sales_live")
    parser.add_argument("--user", default=Live.user, help="Tableau asks for the password [lake]")
    parser.add_argument("--sslmode", default=Live.sslmode, choices=["", "require"], help="require: TLS or nothing")
    parser.add_argument("--extract", type=Path, metavar="FILE", help="a .hyper file in place of the endpoint")
    parser.add_argument("--package", action="store_true", help="with --extract: one .twbx with the extract inside")
    parser.add_argument("--tableau-version", default="26.1", help="oldest Tableau that opens it [26.1]")
    arguments = parser.parse_args()
    if arguments.package and not arguments.extract:
        parser.error("--package needs --extract")
    try:
        written = made(arguments)
    except (OSError, SettingsError) as error:
        print(f"make_workbook: {error}", file=sys.stderr)
        return 1
    arguments.to.mkdir(parents=True, exist_ok=True)
    for name, content in written.items():
        # What is in a package was made and checked as a workbook.
        found = faults(ET.fromstring(content)) if not name.endswith(".twbx") else []
        if found:
            print(f"make_workbook: {name} would not be sound:\n" + "\n".join(found), file=sys.stderr)
            return 1
        (arguments.to / name).write_bytes(content)
        print(arguments.to / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
