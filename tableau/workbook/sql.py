"""What a worksheet asks for, as SQL for DuckDB or for Tableau's Hyper: from the workbook's file alone.

    <workbook>, sheet, table -> fields on the shelves, filters in Tableau's order, sort -> SELECT

Filters of all sheets come first (they are in the context), then the sheet's own (the best N of what is left), then
sums. Times are cut in UTC. What is not understood is an error.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from .fields import AGGREGATES, GENERATED, MEASURE_NAMES, MEASURE_VALUES
from .formula import parse
from .reading import Instance, Scope, references, scopes, shared_filters, sheets, slices

# An instant as a time in UTC, whatever the zone of the session is.
DUCKDB_INSTANT = "make_timestamp(epoch_us({}))"
HYPER_INSTANT = "({} AT TIME ZONE 'UTC')"


class QueryError(Exception):
    """Says what has no SQL."""


@dataclass(frozen=True)
class Shown:
    """A column of the answer."""

    instance: Instance
    caption: str
    # Of the column: integer, real, string, datetime.
    datatype: str


@dataclass(frozen=True)
class Query:
    """What to ask, and what the columns of the answer are: dimensions first, then measures."""

    sql: str
    dimensions: tuple[Shown, ...]
    measures: tuple[Shown, ...]


def query(workbook: ET.Element, sheet: str, table: str, instant: str = DUCKDB_INSTANT) -> Query:
    """The query of a worksheet. `table` is SQL for the rows, such as read_parquet(…). Raises QueryError."""
    found = sheets(workbook).get(sheet)
    if found is None:
        raise QueryError(f"there is no sheet {sheet}")
    return _Sheet(workbook, found, table, instant).query()


class _Sheet:
    def __init__(self, workbook: ET.Element, sheet: ET.Element, table: str, instant: str) -> None:
        self.sheet, self.table, self.instant = sheet, table, instant
        self.view = sheet.find("table/view")
        declared = scopes(self.view)
        if len(declared) != 1:
            raise QueryError("a sheet on several data sources")
        self.scope: Scope = next(iter(declared.values()))
        self.shared = shared_filters(workbook)

    def query(self) -> Query:
        dimensions, measures = self._shown()
        grouped = [self._instance(it) for it in dimensions]
        columns = [f'{sql} AS "{it.name}"' for it, sql in zip(dimensions, grouped, strict=True)]
        columns += [f'{self._instance(it)} AS "{it.name}"' for it in measures]
        source, weight = self._ordered()
        order = [*(['"_weight" DESC NULLS LAST'] if weight else []), *grouped]
        parts = [
            f"WITH context AS (SELECT * FROM {self.table}{self._where(self._context())})",
            f"rows AS (SELECT * FROM context{self._where(self._own())})",
        ]
        text = f"{', '.join(parts)} SELECT {', '.join(columns)} FROM {source}"
        if grouped:
            text += f" GROUP BY {', '.join([*grouped, *weight])} ORDER BY {', '.join(order)}"
        return Query(text, tuple(map(self._caption, dimensions)), tuple(map(self._caption, measures)))

    def _shown(self) -> tuple[list[Instance], list[Instance]]:
        texts = [self.sheet.findtext(f"table/{shelf}") for shelf in ("rows", "cols")]
        texts += [it.get("column") for it in self.sheet.findall("table/panes/pane/encodings/*")]
        names = [name for text in texts for _, name in references(text)]
        if MEASURE_NAMES in names:
            buckets = [bucket.text for bucket in self.view.findall("manual-sort/dictionary/bucket")]
            names += [name for text in buckets for _, name in references(text)]
        skipped = GENERATED | {MEASURE_NAMES, MEASURE_VALUES}
        used = [self.scope.instances[name] for name in dict.fromkeys(names) if name not in skipped]
        aggregated = {"User", *AGGREGATES}
        return (
            [it for it in used if it.derivation not in aggregated],
            [it for it in used if it.derivation in aggregated],
        )

    def _caption(self, instance: Instance) -> Shown:
        column = self.scope.columns[instance.column]
        return Shown(instance, column.caption, column.datatype)

    def _column(self, name: str) -> str:
        column = self.scope.columns[name]
        if column.formula is not None:
            return parse(column.formula).sql(self._column)
        quoted = f'"{name[1:-1]}"'
        return self.instant.format(quoted) if column.datatype == "datetime" else quoted

    def _instance(self, it: Instance) -> str:
        column = self._column(it.column)
        if it.derivation in ("None", "User"):
            return column
        if it.derivation.endswith("-Trunc"):
            return f"date_trunc('{it.derivation.removesuffix('-Trunc').lower()}', {column})"
        if it.derivation == "CountD":
            return f"count(DISTINCT {column})"
        if it.derivation in AGGREGATES:
            return f"{AGGREGATES[it.derivation]}({column})"
        raise QueryError(f"the derivation {it.derivation} has no SQL")

    def _where(self, conditions: list[str]) -> str:
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def _context(self) -> list[str]:
        chosen = [self.shared[column] for column in slices(self.view) if column in self.shared]
        return [condition for element in chosen for condition in self._conditions(element)]

    def _own(self) -> list[str]:
        own = [element for element in self.view.findall("filter") if MEASURE_NAMES not in element.get("column", "")]
        return [condition for element in own for condition in self._conditions(element)]

    def _conditions(self, element: ET.Element) -> list[str]:
        column = self._instance(self.scope.instances[references(element.get("column"))[0][1]])
        if element.get("class") == "categorical":
            condition = self._group(element.find("groupfilter"), column)
            return [condition] if condition else []
        included = element.get("included-values")
        if element.get("class") == "quantitative" and included == "all":
            return []
        if element.get("class") == "quantitative" and included == "in-range":
            least, most = (_literal(element.findtext(end, "")) for end in ("min", "max"))
            return [f"{column} BETWEEN {least} AND {most}"]
        raise QueryError(f"a filter of the class {element.get('class')} with {included} has no SQL")

    def _group(self, group: ET.Element, column: str) -> str | None:
        function = group.get("function")
        if function == "level-members":
            return None
        if function == "member":
            return f"{column} = {_literal(group.get('member', ''))}"
        if function == "union":
            parts = [self._group(inner, column) for inner in group.findall("groupfilter")]
            return None if None in parts else f"({' OR '.join(parts) or 'false'})"
        if function == "end" and group.get("end") == "top":
            order = group.find("groupfilter")
            by = parse(order.get("expression", "")).sql(self._column)
            best = f"SELECT {column} FROM context GROUP BY 1 ORDER BY {by} {order.get('direction')}, 1"
            return f"{column} IN ({best} LIMIT {int(group.get('count', ''))})"
        raise QueryError(f"a filter with {function} has no SQL")

    def _ordered(self) -> tuple[str, list[str]]:
        order = self.view.find("computed-sort")
        if order is None:
            return "rows", []
        if order.get("direction") != "DESC":
            raise QueryError(f"an order {order.get('direction')} has no SQL")
        member, by = (
            self._instance(self.scope.instances[references(order.get(attribute))[0][1]])
            for attribute in ("column", "using")
        )
        # Of each member as a whole, though the sheet may divide it further.
        weights = f'SELECT {member} AS "_member", {by} AS "_weight" FROM rows GROUP BY 1'
        return f'rows LEFT JOIN ({weights}) ON {member} IS NOT DISTINCT FROM "_member"', ['"_weight"']


def _literal(text: str) -> str:
    if text.startswith("#") and text.endswith("#"):
        return f"TIMESTAMP '{text[1:-1]}'"
    if text.startswith('"') and text.endswith('"'):
        return "'" + text[1:-1].replace("'", "''") + "'"
    raise QueryError(f"{text} has no SQL")
