"""How a workbook uses a column: as it is, aggregated or cut to a step of time, under a name that says which.

Owns the names of derivations. The schema of workbooks (XSD) takes any text for one, so what fits what is said here.
"""

from __future__ import annotations

from dataclasses import dataclass

# What stands before the column in the name of a use, by derivation.
PREFIXES = {
    "None": "none", "User": "usr", "Sum": "sum", "Avg": "avg", "Min": "min", "Max": "max", "Count": "cnt",
    "CountD": "ctd", "Year-Trunc": "tyr", "Month-Trunc": "tmn", "Week-Trunc": "twk", "Day-Trunc": "tdy",
    "Hour-Trunc": "thr",
}  # fmt: skip
# What stands behind it, by the type of the use.
SUFFIXES = {"nominal": "nk", "ordinal": "ok", "quantitative": "qk"}

NUMBERS = frozenset({"integer", "real"})
MOMENTS = frozenset({"date", "datetime"})
ANY = NUMBERS | MOMENTS | {"string", "boolean"}
# The types of columns that a derivation can be of; User is for calculations that aggregate by themselves.
FITTING = {
    "None": ANY, "Sum": NUMBERS, "Avg": NUMBERS, "Min": ANY, "Max": ANY, "Count": ANY, "CountD": ANY, "User": ANY,
    "Year-Trunc": MOMENTS, "Month-Trunc": MOMENTS, "Week-Trunc": MOMENTS, "Day-Trunc": MOMENTS,
    "Hour-Trunc": frozenset({"datetime"}),
}  # fmt: skip
AGGREGATES = {"Sum": "sum", "Avg": "avg", "Min": "min", "Max": "max", "Count": "count", "CountD": "count_distinct"}
# Tableau's own fields: no column of the table stands behind them.
GENERATED = frozenset({"[Latitude (generated)]", "[Longitude (generated)]", "[Geometry (generated)]"})
MEASURE_NAMES, MEASURE_VALUES = "[:Measure Names]", "[Multiple Values]"


@dataclass(frozen=True)
class Use:
    """A column as it is used, Tableau's "column instance"."""

    # With brackets, as in the file: [amount].
    column: str
    derivation: str
    type: str

    @property
    def name(self) -> str:
        """Such as [sum:amount:qk]."""
        return f"[{PREFIXES[self.derivation]}:{self.column[1:-1]}:{SUFFIXES[self.type]}]"
