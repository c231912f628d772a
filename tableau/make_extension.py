#!/usr/bin/env python3
"""The manifest (.trex) by which Tableau finds the refresh extension that the dashboard server serves.

    address of the server -> <name>.trex

    python tableau/make_extension.py --url https://lake.example.org --to lake-refresh.trex

Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import base64
import struct
import sys
import urllib.parse
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

PAGE = "/tableau/refresh.html"
NAMESPACE = "http://www.tableau.com/xml/extension_manifest"
SIDE_PX = 70
NAMES = {"en_US": "Refresh live data", "fr_FR": "Actualiser les données en direct"}


def manifest(url: str, email: str) -> ET.Element:
    """The manifest for a server."""
    top = ET.Element("manifest", {"manifest-version": "0.1", "xmlns": NAMESPACE})
    extension = ET.SubElement(
        top, "dashboard-extension", {"id": "local.lake-writer.refresh", "extension-version": "1.0.0"}
    )
    ET.SubElement(extension, "default-locale").text = "en_US"
    ET.SubElement(extension, "name", {"resource-id": "name"})
    ET.SubElement(extension, "description").text = "Reads the live data sources of this dashboard again, on a timer."
    # Tableau wants an https address here, and does not open it.
    site = f"https://{urllib.parse.urlsplit(url).netloc}"
    ET.SubElement(extension, "author", {"name": "lake-writer", "email": email, "website": site})
    ET.SubElement(extension, "min-api-version").text = "1.4"
    ET.SubElement(ET.SubElement(extension, "source-location"), "url").text = url.rstrip("/") + PAGE
    ET.SubElement(extension, "icon").text = base64.b64encode(icon()).decode()
    # Without it Tableau does not say which data sources there are.
    ET.SubElement(ET.SubElement(extension, "permissions"), "permission").text = "full data"
    name = ET.SubElement(ET.SubElement(top, "resources"), "resource", {"id": "name"})
    for locale, text in NAMES.items():
        ET.SubElement(name, "text", {"locale": locale}).text = text
    return top


def icon() -> bytes:
    """A PNG: three white bars on blue."""
    tops = {range(14, 26): 40, range(30, 42): 27, range(46, 58): 14}
    rows = []
    for y in range(SIDE_PX):
        white = [any(x in across and top <= y < 56 for across, top in tops.items()) for x in range(SIDE_PX)]
        bits = "".join("1" if one else "0" for one in white).ljust(-(-SIDE_PX // 8) * 8, "0")
        rows.append(b"\x00" + int(bits, 2).to_bytes(len(bits) // 8, "big"))
    header = struct.pack(">IIBBBBB", SIDE_PX, SIDE_PX, 1, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", bytes.fromhex("2f62c9ffffff")),
        (b"IDAT", _stored(b"".join(rows))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def _stored(data: bytes) -> bytes:
    # Not compressed: what a compressor makes of it depends on its version.
    block = struct.pack("<BHH", 1, len(data), len(data) ^ 0xFFFF)
    return b"\x78\x01" + block + data + struct.pack(">I", zlib.adler32(data))


def main() -> int:
    """Parses the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="such as lake-refresh.trex")
    parser.add_argument("--url", default="http://localhost:8080", help="of lake-dashboard [http://localhost:8080]")
    parser.add_argument("--email", default="lake-writer@localhost", help="of who answers for it, which Tableau shows")
    arguments = parser.parse_args()
    address = urllib.parse.urlsplit(arguments.url)
    if address.scheme != "https" and (address.scheme, address.hostname) != ("http", "localhost"):
        print("make_extension: Tableau takes https addresses, and http://localhost", file=sys.stderr)
        return 1
    top = manifest(arguments.url, arguments.email)
    ET.indent(top)
    try:
        arguments.to.parent.mkdir(parents=True, exist_ok=True)
        arguments.to.write_bytes(ET.tostring(top, encoding="utf-8", xml_declaration=True) + b"\n")
    except OSError as error:
        print(f"make_extension: {error}", file=sys.stderr)
        return 1
    print(arguments.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
