#!/usr/bin/env python3
"""The report as a PDF: Markdown -> HTML -> Chromium -> PDF.

    python docs/make_report.py docs/compte-rendu.md compte-rendu.pdf

Needs markdown (PyPI) and Debian's chromium. Pictures are taken from the folder of the Markdown file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import markdown

STYLE = """
@page { size: A4; margin: 20mm 18mm; }
body { font: 10.5pt/1.45 "Liberation Serif", "DejaVu Serif", serif; color: #111; }
h1, h2, h3 { font-family: "Liberation Sans", "DejaVu Sans", sans-serif; line-height: 1.2; break-after: avoid; }
h1 { font-size: 20pt; } h2 { font-size: 14pt; margin-top: 1.4em; } h3 { font-size: 11.5pt; }
table { border-collapse: collapse; width: 100%; font-size: 9pt; margin: 0.8em 0; }
th, td { border: 0.5pt solid #999; padding: 3pt 5pt; text-align: left; vertical-align: top; }
th { background: #eef3fd; } tr, img, pre { break-inside: avoid; }
code, pre { font-family: "Liberation Mono", "DejaVu Sans Mono", monospace; font-size: 8.5pt; }
pre { background: #f5f5f7; padding: 6pt; white-space: pre-wrap; }
img { max-width: 100%; max-height: 220mm; display: block; margin: 0.8em auto; }
"""


def main() -> int:
    """Parses the arguments and makes the PDF."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("pdf", type=Path)
    parser.add_argument("--chromium", default="chromium")
    arguments = parser.parse_args()
    text = arguments.source.read_text(encoding="utf-8")
    body = markdown.markdown(text, extensions=["tables", "fenced_code", "sane_lists"])
    base = arguments.source.resolve().parent.as_uri()
    head = f'<meta charset="utf-8"><title>Compte rendu</title><base href="{base}/"><style>{STYLE}</style>'
    page = f'<!doctype html><html lang="fr"><head>{head}</head><body>{body}</body></html>'
    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder) / "report.html"
        html.write_text(page, encoding="utf-8")
        command = [
            arguments.chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--allow-file-access-from-files", "--no-pdf-header-footer", f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={arguments.pdf.resolve()}", html.as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        except FileNotFoundError:
            print("make_report: chromium is missing; on Debian: apt-get install chromium", file=sys.stderr)
            return 1
    if done.returncode != 0 or not arguments.pdf.exists():
        print(f"make_report: chromium failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return 1
    print(arguments.pdf)
    return 0


if __name__ == "__main__":
    sys.exit(main())
