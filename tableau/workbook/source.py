"""The data source of a workbook: a table of a PostgreSQL-protocol server, or an extract beside the workbook.

    Settings, Design, Live | Extract -> <datasource>

Also alone, as a .tds file. Owns connections and columns.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from .design import Design
from .settings import Settings

# Tableau's numbers for types of remote columns (OLE DB's).
REMOTE_TYPES = {"string": 130, "integer": 20, "real": 131, "boolean": 11, "date": 7, "datetime": 135}
AGGREGATIONS = {"string": "Count", "integer": "Sum", "real": "Sum", "boolean": "Count", "date": "Year",
                "datetime": "Year"}  # fmt: skip


@dataclass(frozen=True)
class Live:
    """A server that speaks PostgreSQL's protocol."""

    host: str = "localhost"
    port: int = 5433
    database: str = "lake"
    user: str = "lake"
    schema: str = "public"
    # Empty: that of the settings.
    table: str = ""
    # Empty: as the server wants it; require: TLS or nothing.
    sslmode: str = ""


@dataclass(frozen=True)
class Extract:
    """A .hyper file; a path without folders is beside the workbook."""

    file: str


def add(parent: ET.Element, tag: str, attributes: dict[str, str] | None = None, text: str | None = None) -> ET.Element:
    """Adds an element."""
    child = ET.SubElement(parent, tag, attributes or {})
    child.text = text
    return child


def source_name(settings: Settings) -> str:
    """By which the sheets refer to it."""
    return f"federated.{settings.name}"


def datasource(settings: Settings, design: Design, place: Live | Extract, version: str) -> ET.Element:
    """The element as it stands in a workbook."""
    top = ET.Element(
        "datasource",
        {"caption": settings.name, "inline": "true", "name": source_name(settings), "version": version},
    )
    relation = _connection(top, settings, place)
    add(top, "aliases", {"enabled": "yes"})
    for name in (field.name for field in settings.fields):
        top.append(column(settings, design, f"[{name}]"))
    for calculation in design.calculations:
        top.append(column(settings, design, calculation.column))
    table = {"datatype": "table", "role": "measure", "type": "quantitative", "caption": settings.name}
    add(top, "column", {"name": f"[__tableau_internal_object_id__].[{settings.name}]", **table})
    add(top, "layout", {"dim-ordering": "alphabetic", "measure-ordering": "alphabetic", "show-structure": "true"})
    values = add(top, "semantic-values")
    add(values, "semantic-value", {"key": "[Country].[Name]", "value": f'"{settings.country}"'})
    objects = add(add(top, "object-graph"), "objects")
    properties = add(add(objects, "object", {"caption": settings.name, "id": settings.name}), "properties")
    properties.set("context", "")
    add(properties, "relation", relation)
    return top


def tds(settings: Settings, design: Design, place: Live | Extract, version: str) -> ET.Element:
    """The element as the root of a .tds file."""
    top = datasource(settings, design, place, version)
    del top.attrib["name"], top.attrib["caption"]
    top.set("formatted-name", source_name(settings))
    manifest = ET.Element("document-format-change-manifest")
    add(manifest, "ManifestByVersion")
    top.insert(0, manifest)
    return top


def _connection(top: ET.Element, settings: Settings, place: Live | Extract) -> dict[str, str]:
    if isinstance(place, Live):
        kind, caption, table = "postgres", place.host, f"[{place.schema}].[{place.table or settings.name}]"
        attributes = {
            "authentication": "username-password", "class": "postgres", "dbname": place.database,
            "one-time-sql": "", "port": str(place.port), "server": place.host, "sslmode": place.sslmode,
            "username": place.user,
        }  # fmt: skip
    else:
        kind, caption, table = "hyper", place.file, "[Extract].[Extract]"
        attributes = {
            "authentication": "auth-none", "author-locale": "en_US", "class": "hyper", "dbname": place.file,
            "default-settings": "yes", "schema": "Extract", "server": "", "sslmode": "", "tablename": "Extract",
            "username": "tableau_internal_user",
        }  # fmt: skip
    connection = add(top, "connection", {"class": "federated"})
    named = f"{kind}.{settings.name}"
    add(add(add(connection, "named-connections"), "named-connection", {"caption": caption, "name": named}),
        "connection", attributes)  # fmt: skip
    relation = {"connection": named, "name": settings.name, "table": table, "type": "table"}
    add(connection, "relation", relation)
    _records(add(connection, "metadata-records"), settings)
    return relation


def _records(records: ET.Element, settings: Settings) -> None:
    for at, field in enumerate(settings.fields):
        record = add(records, "metadata-record", {"class": "column"})
        for tag, text in (
            ("remote-name", field.name),
            ("remote-type", str(REMOTE_TYPES[field.datatype])),
            ("local-name", f"[{field.name}]"),
            ("parent-name", f"[{settings.name}]"),
            ("remote-alias", field.name),
            ("ordinal", str(at)),
            ("local-type", field.datatype),
            ("aggregation", AGGREGATIONS[field.datatype]),
            ("contains-null", "true"),
            ("object-id", f"[{settings.name}]"),
        ):
            add(record, tag, text=text)


def column(settings: Settings, design: Design, name: str) -> ET.Element:
    """The definition of a column of the table or of a calculation."""
    for calculation in design.calculations:
        if calculation.column == name:
            made = _column(name, calculation.caption, calculation.datatype, calculation.role)
            add(made, "calculation", {"class": "tableau", "formula": calculation.formula})
            return made
    field = next(field for field in settings.fields if f"[{field.name}]" == name)
    summed = field.datatype in ("integer", "real")
    made = _column(name, field.caption, field.datatype, "measure" if summed else "dimension")
    if field == settings.parts["region"]:
        made.set("semantic-role", "[State].[Name]")
    return made


def _column(name: str, caption: str, datatype: str, role: str) -> ET.Element:
    kind = "quantitative" if role == "measure" else "ordinal" if datatype in ("date", "datetime") else "nominal"
    made = ET.Element("column", {"caption": caption, "datatype": datatype, "name": name, "role": role, "type": kind})
    if role == "measure":
        made.set("default-format", "n#,##0;-#,##0" if datatype == "integer" else "n#,##0.00;-#,##0.00")
    return made
