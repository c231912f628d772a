"""A workbook read back from its file: columns, uses of them, and what a text refers to.

Owns how names are found in XML. Nothing of design.py is used: the file alone counts.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

REFERENCE = re.compile(r"\[([^\]]+)\]\.(\[[^\]]+\])")
LINK = re.compile(r"tsl:([^?]*)\?([^~]*)~s0=<(.*)~na>")


@dataclass(frozen=True)
class Column:
    """A defined column."""

    name: str
    caption: str
    datatype: str
    role: str
    formula: str | None
    semantic_role: str | None


@dataclass(frozen=True)
class Instance:
    """A use of a column, as it stands in the file."""

    name: str
    column: str
    derivation: str
    type: str


@dataclass
class Scope:
    """What a part of the workbook has declared to use of one data source."""

    columns: dict[str, Column] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)


def columns(parent: ET.Element) -> list[Column]:
    """The columns defined right below an element."""
    found = []
    for element in parent.findall("column"):
        calculation = element.find("calculation")
        formula = calculation.get("formula") if calculation is not None else None
        found.append(Column(
            element.get("name", ""), element.get("caption", element.get("name", "")[1:-1]),
            element.get("datatype", ""), element.get("role", ""), formula, element.get("semantic-role"),
        ))  # fmt: skip
    return found


def scopes(parent: ET.Element) -> dict[str, Scope]:
    """What an element declares, by data source."""
    found: dict[str, Scope] = {}
    for listed in parent.findall("datasource-dependencies"):
        scope = found.setdefault(listed.get("datasource", ""), Scope())
        scope.columns |= {column.name: column for column in columns(listed)}
        for it in listed.findall("column-instance"):
            name = it.get("name", "")
            scope.instances[name] = Instance(name, it.get("column", ""), it.get("derivation", ""), it.get("type", ""))
    return found


def references(text: str | None) -> list[tuple[str, str]]:
    """The [source].[name] in a text."""
    return REFERENCE.findall(text or "")


def sources(workbook: ET.Element) -> dict[str, ET.Element]:
    """The data sources of the workbook, by name."""
    return {source.get("name", ""): source for source in workbook.findall("datasources/datasource")}


def sheets(workbook: ET.Element) -> dict[str, ET.Element]:
    """The worksheets, by name."""
    return {sheet.get("name", ""): sheet for sheet in workbook.findall("worksheets/worksheet")}


def shared_filters(workbook: ET.Element) -> dict[str, ET.Element]:
    """The filters of all sheets, by the reference of their column."""
    return {it.get("column", ""): it for it in workbook.findall("shared-views/shared-view/filter")}


def slices(view: ET.Element) -> list[str]:
    """The references by which a view is filtered."""
    return [column.text or "" for column in view.findall("slices/column")]
