"""Pictures of the workbook's dashboard for the documentation: `make workbook-pictures`.

    the sales of the dashboard's screenshots -> Parquet as in a lake -> tableau/draw_workbook.py -> docs/images/*.png

Owns which choices are shown. The same sources, fonts and matplotlib give the same pictures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow
import pyarrow.parquet

from harness.mirrored_sales import MadeSales
from harness.screenshots import SEED, forty_days

ROOT = Path(__file__).resolve().parent.parent.parent
DECIMALS = ("unit_price", "amount")
# Name of the pictures and what is chosen in the filters.
VIEWS = {
    "tableau": ("--from", "2026-01-01", "--until", "2026-01-31"),
    "tableau-filtered": (
        "--layout", "desktop", "--from", "2026-01-01", "--until", "2026-01-31", "--choose", "region=Bretagne",
        "--choose", "region=Normandie",
    ),
}  # fmt: skip


def write_lake(sales: list[dict], folder: Path) -> None:
    """One file of sales, with the types that lake-writer gives them."""
    (folder / "data").mkdir(parents=True)
    columns = {name: [sale[name] for sale in sales] for name in sales[0] if name != "_id"}
    arrays = {}
    for name, values in columns.items():
        if name in DECIMALS:
            arrays[name] = pyarrow.array([value.to_decimal() for value in values], pyarrow.decimal128(18, 2))
        elif name == "sold_at":
            arrays[name] = pyarrow.array(values, pyarrow.timestamp("us", tz="UTC"))
        else:
            arrays[name] = pyarrow.array(values)
    pyarrow.parquet.write_table(pyarrow.table(arrays), folder / "data" / "sales.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    program = [sys.executable, str(ROOT / "tableau" / "draw_workbook.py")]
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        write_lake(forty_days(MadeSales(SEED)), lake)
        for name, choices in VIEWS.items():
            # Pictures are named after the workbook.
            workbook = Path(folder) / f"{name}.twb"
            workbook.write_bytes((ROOT / "tableau" / "sales.twb").read_bytes())
            command = [*program, str(workbook), "--lake", str(lake), "--to", str(arguments.out), *choices]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
