"""The fields of a table and the words for them: from the Avro schema and the settings of a workbook.

Owns the way from Avro types to Tableau's. What is shown of the fields is design.py's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import tomllib

PARTS = ("id", "time", "region", "product", "category", "amount", "quantity")
WORDS = {
    "calculations": ("sales", "average", "ranked_product"),
    "sheets": ("figures", "over_time", "map", "products", "categories"),
    "actions": ("by_region", "by_product", "by_category", "highlight"),
}
PLAIN = {
    "string": "string", "int": "integer", "long": "integer", "float": "real", "double": "real", "boolean": "boolean",
}  # fmt: skip
LOGICAL = {
    "uuid": "string", "date": "date", "decimal": "real", "timestamp-millis": "datetime", "timestamp-micros": "datetime",
}  # fmt: skip


class SettingsError(Exception):
    """Says which entry is wrong."""


@dataclass(frozen=True)
class Field:
    """A column of the table."""

    name: str
    # As Tableau calls it: string, integer, real, boolean, date or datetime.
    datatype: str
    caption: str


@dataclass(frozen=True)
class Settings:
    """What a workbook is made for."""

    name: str
    title: str
    country: str
    fields: tuple[Field, ...]
    # The field that plays each part, by part.
    parts: dict[str, Field]
    # Words by table and key, as in WORDS.
    words: dict[str, dict[str, str]]


def datatype(avro: object) -> str:
    """Tableau's type of an Avro type; of a union with null, that of the other branch."""
    if isinstance(avro, list):
        rest = [branch for branch in avro if branch != "null"]
        if len(rest) != 1:
            raise SettingsError(f"a union of {avro} has no type in Tableau")
        return datatype(rest[0])
    if isinstance(avro, dict):
        if avro.get("type") == "enum":
            return "string"
        logical = avro.get("logicalType")
        return LOGICAL[logical] if logical in LOGICAL else datatype(avro["type"])
    if avro not in PLAIN:
        raise SettingsError(f"the Avro type {avro} has none in Tableau")
    return PLAIN[avro]


def read(path: Path) -> Settings:
    """Reads the settings and the schema that they name.

    Raises SettingsError when something is missing, and OSError.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        schema = json.loads((path.parent / table["schema"]).read_text(encoding="utf-8"))
        captions = table.get("captions", {})
        fields = tuple(
            Field(field["name"], datatype(field["type"]), captions.get(field["name"], field["name"]))
            for field in schema["fields"]
        )
        by_name = {field.name: field for field in fields}
        parts = {part: by_name[table["fields"][part]] for part in PARTS}
        words = {group: {key: table[group][key] for key in keys} for group, keys in WORDS.items()}
        return Settings(table["name"], table["title"], table["country"], fields, parts, words)
    except KeyError as error:
        raise SettingsError(f"{path}: there is no {error}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error
