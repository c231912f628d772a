"""Reads the configuration files of `hadoop/conf`, puts an instance's own values in, and writes them.

    hadoop/conf/* (what compose mounts) + values of one instance -> the instance's conf folder

Owns the two formats, Java properties and Hadoop's XML. Does not own any value: `kafka` and `hdfs` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

CONF = Path(__file__).resolve().parent.parent / "conf"


def read_properties(path: Path) -> dict[str, str]:
    """A properties file as a mapping. Only `key=value` lines and `#` comments, which is all that is used here."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def write_properties(path: Path, values: Mapping[str, str]) -> None:
    """Writes a mapping as a properties file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()), encoding="utf-8")


def read_hadoop(path: Path) -> dict[str, str]:
    """A Hadoop `*-site.xml` as a mapping."""
    properties = ElementTree.parse(path).getroot().findall("property")
    return {item.findtext("name", "").strip(): item.findtext("value", "").strip() for item in properties}


def write_hadoop(path: Path, values: Mapping[str, str]) -> None:
    """Writes a mapping as a Hadoop `*-site.xml`."""
    root = ElementTree.Element("configuration")
    for name, value in values.items():
        item = ElementTree.SubElement(root, "property")
        ElementTree.SubElement(item, "name").text = name
        ElementTree.SubElement(item, "value").text = value
    ElementTree.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
