"""The report: what it names is there, and the PDF is made from it by the command that it gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from harness.programs import ROOT

SOURCE = ROOT / "docs" / "compte-rendu.md"


def test_what_the_report_names_is_there():
    text = SOURCE.read_text(encoding="utf-8")
    named = re.findall(r"\]\(([^)#]+)\)", text)
    assert named
    missing = [name for name in named if not (SOURCE.parent / name).exists()]
    assert missing == []
    # AND commands that figures come from are targets of the Makefile
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets


def test_the_pdf_is_made(tmp_path: Path):
    pdf = tmp_path / "compte-rendu.pdf"
    command = [sys.executable, ROOT / "docs" / "make_report.py", SOURCE, pdf]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF-")
    # Pictures weigh more than the text: a PDF without them is smaller.
    pictures = sum(path.stat().st_size for path in (SOURCE.parent / "images").glob("dashboard-*.png"))
    assert len(content) > pictures / 4
