"""Whether a workbook means something: every field, calculation, filter and sheet that it uses is defined.

    <workbook> -> what is wrong, one line each

Tableau's schema for workbooks (XSD) checks the form; it takes any text for a field, a derivation or a sheet's name.
Sheets and fields are here, the dashboard and its actions in check_dashboard.py.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator

from .check_dashboard import dashboard_faults
from .fields import AGGREGATES, FITTING, GENERATED, MEASURE_NAMES, MEASURE_VALUES, PREFIXES, SUFFIXES, Use
from .formula import Formula, FormulaError, parse
from .reading import Column, Instance, Scope, columns, references, scopes, shared_filters, sheets, slices, sources


def faults(root: ET.Element) -> list[str]:
    """Everything that is wrong; empty for a sound workbook or, of a .tds file, a sound data source."""
    return list(_source_faults(root) if root.tag == "datasource" else _faults(root))


def _faults(workbook: ET.Element) -> Iterator[str]:
    known = sources(workbook)
    for name, source in known.items():
        yield from (f"data source {name}: {fault}" for fault in _source_faults(source))
    views = workbook.findall("shared-views/shared-view")
    for view in views:
        yield from (f"filters of all sheets: {fault}" for fault in _view_faults(view, known))
    for name, sheet in sheets(workbook).items():
        yield from (f"sheet {name}: {fault}" for fault in _sheet_faults(workbook, sheet, known))
    for part in [*workbook.findall("actions"), *workbook.findall("dashboards/dashboard")]:
        yield from (f"{part.get('name', part.tag)}: {fault}" for fault in _scope_faults(part, known))
    yield from dashboard_faults(workbook)
    doubled = Counter(it.get("uuid") for it in workbook.iter("simple-id"))
    yield from (f"the identity {uuid} is there {count} times" for uuid, count in doubled.items() if count > 1)


def _formula(text: str) -> Formula | str:
    try:
        return parse(text)
    except FormulaError as error:
        return str(error)


def _source_faults(source: ET.Element) -> Iterator[str]:
    defined = {column.name: column for column in columns(source)}
    doubled = Counter(column.name for column in columns(source))
    yield from (f"{name} is defined {count} times" for name, count in doubled.items() if count > 1)
    connections = {it.get("name") for it in source.findall("connection/named-connections/named-connection")}
    for relation in source.iter("relation"):
        if relation.get("connection") not in connections:
            yield f"a table is to come from the connection {relation.get('connection')}, which is not there"
    stored = {it.findtext("local-name", "") for it in source.iter("metadata-record")}
    yield from (f"the table's column {name} is not defined" for name in sorted(stored - set(defined)))
    for column in defined.values():
        if column.formula is None:
            if column.datatype != "table" and column.name not in stored:
                yield f"{column.name} is neither computed nor in the table"
            continue
        formula = _formula(column.formula)
        if isinstance(formula, str):
            yield f"the formula of {column.name}: {formula}"
            continue
        missing = formula.fields() - set(defined)
        yield from (f"the formula of {column.name} uses {name}, which is not defined" for name in sorted(missing))
        nested = [name for name in formula.fields() & set(defined) if defined[name].formula is not None]
        # One level is all that the design needs, and it cannot go round in circles.
        yield from (f"the formula of {column.name} uses {name}, which is computed itself" for name in nested)


def _scope_faults(part: ET.Element, known: dict[str, ET.Element]) -> Iterator[str]:
    for link in part.findall("datasources/datasource"):
        if link.get("name") not in known:
            yield f"the data source {link.get('name')} is not there"
    for name, scope in scopes(part).items():
        if name not in known:
            yield f"uses fields of {name}, which is not there"
            continue
        defined = {column.name: column for column in columns(known[name])}
        for column in scope.columns.values():
            if defined.get(column.name) != column:
                yield f"{column.name} is not defined as it is used"
            formula = _formula(column.formula) if column.formula else None
            if isinstance(formula, Formula):
                absent = formula.fields() - set(scope.columns)
                yield from (f"{it}, of the formula of {column.name}, is not declared" for it in sorted(absent))
        for instance in scope.instances.values():
            yield from _instance_faults(instance, scope.columns.get(instance.column))


def _instance_faults(it: Instance, column: Column | None) -> Iterator[str]:
    if column is None:
        yield f"{it.name} uses {it.column}, which is not declared"
        return
    if it.derivation not in PREFIXES:
        yield f"{it.name}: there is no derivation {it.derivation}"
        return
    if it.type not in SUFFIXES:
        yield f"{it.name}: there is no type {it.type}"
        return
    if it.name != Use(it.column, it.derivation, it.type).name:
        yield f"{it.name} should be {Use(it.column, it.derivation, it.type).name} by its derivation and type"
    if column.datatype not in FITTING[it.derivation]:
        yield f"{it.name}: {it.derivation} does not fit a column of type {column.datatype}"
    if it.type != "quantitative" and it.derivation in AGGREGATES:
        yield f"{it.name}: an aggregate is quantitative"
    formula = _formula(column.formula) if column.formula else None
    aggregates = isinstance(formula, Formula) and formula.aggregates()
    if aggregates != (it.derivation == "User"):
        kind = "aggregates" if aggregates else "does not aggregate"
        yield f"{it.name}: {it.derivation} is wrong, {column.name} {kind}"


def _view_faults(view: ET.Element, known: dict[str, ET.Element]) -> Iterator[str]:
    """Of what is the same for a sheet's view and the filters of all sheets: fields, filters, orders."""
    yield from _scope_faults(view, known)
    declared = scopes(view)
    for filtered in view.findall("filter"):
        yield from _use_faults(filtered.get("column"), declared, "filter")
        for group in filtered.iter("groupfilter"):
            yield from _group_faults(group, filtered.get("column", ""), declared)
        wanted = "qk" if filtered.get("class") in ("quantitative", "relative-date") else "nk"
        by = filtered.get("column", "")
        if MEASURE_NAMES not in by and not by.endswith(f":{wanted}]"):
            yield f"filter: {by} is no field for a filter of the class {filtered.get('class')}"
    for tag, attributes in (("computed-sort", ("column", "using")), ("manual-sort", ("column",))):
        for order in view.findall(tag):
            for attribute in attributes:
                yield from _use_faults(order.get(attribute), declared, "order")
    for bucket in view.iter("bucket"):
        yield from _use_faults(bucket.text, declared, "order")


def _group_faults(group: ET.Element, column: str, declared: dict[str, Scope]) -> Iterator[str]:
    source = (references(column) or [("", "")])[0][0]
    level = group.get("level")
    if level and f"[{source}].{level}" != column:
        yield f"filter of {column}: chooses members of {level}"
    if level == MEASURE_NAMES and group.get("member"):
        yield from _use_faults(group.get("member"), declared, "filter")
    if group.get("expression"):
        formula = _formula(group.get("expression", ""))
        if isinstance(formula, str):
            yield f"filter of {column}: {formula}"
            return
        if not formula.aggregates():
            yield f"filter of {column}: {group.get('expression')} is no aggregate to rank by"
        scope = declared.get(source, Scope())
        for name in sorted(formula.fields() - set(scope.columns)):
            yield f"filter of {column}: {name} is not declared"


def _use_faults(text: str | None, declared: dict[str, Scope], where: str) -> Iterator[str]:
    found = references(text)
    if not found:
        yield f"{where}: `{text}` names no field"
    for source, name in found:
        if name in GENERATED or name in (MEASURE_NAMES, MEASURE_VALUES):
            continue
        if source not in declared or name not in declared[source].instances:
            yield f"{where}: [{source}].{name} is not declared"


def _sheet_faults(workbook: ET.Element, sheet: ET.Element, known: dict[str, ET.Element]) -> Iterator[str]:
    view = sheet.find("table/view")
    yield from _view_faults(view, known)
    declared = scopes(view)
    shown = [sheet.findtext(f"table/{shelf}") for shelf in ("rows", "cols")]
    encodings = [it.get("column") for it in sheet.findall("table/panes/pane/encodings/*")]
    for text in [*filter(None, shown), *encodings]:
        yield from _use_faults(text, declared, "shelf")
    if not any(shown) and not encodings:
        yield "shows nothing"
    used = [name for text in [*shown, *encodings] for _, name in references(text)]
    own = {it.get("column", "") for it in view.findall("filter")}
    if {MEASURE_NAMES, MEASURE_VALUES} & set(used) and not any(MEASURE_NAMES in column for column in own):
        yield "shows measures by their names, and does not say which"
    if GENERATED & set(used):
        yield from _map_faults(view, declared, encodings)
    yield from _filtered_faults(workbook, view, own, declared)


def _map_faults(view: ET.Element, declared: dict[str, Scope], encodings: list[str | None]) -> Iterator[str]:
    places = [
        column
        for source, name in (found for text in encodings for found in references(text))
        if source in declared and name in declared[source].instances
        for column in [declared[source].columns.get(declared[source].instances[name].column)]
        if column and column.semantic_role
    ]
    if not places:
        yield "a map without a field that has a geographic role"
    if view.find("mapsources/mapsource") is None:
        yield "a map without a source of maps"


def _filtered_faults(
    workbook: ET.Element, view: ET.Element, own: set[str], declared: dict[str, Scope]
) -> Iterator[str]:
    shared = set(shared_filters(workbook))
    by = set(slices(view))
    yield from (f"is not filtered by {column}, as all sheets are to be" for column in sorted(shared - by))
    yield from (f"the filter {column} is not among the slices" for column in sorted(own - by))
    yield from (f"is sliced by {column}, for which there is no filter" for column in sorted(by - own - shared))
    yield from (f"filters {column} once more than all sheets do" for column in sorted(own & shared))
    for column in sorted(by):
        yield from _use_faults(column, declared, "slice")
