"""A real Chromium that looks at the dashboard, and what stands on the page.

    browser -> DashboardPage -> tiles, tables, freshness; console errors fail the test

Owns reading figures off the page, in both languages. Does not own what they should be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--force-color-profile=srgb", "--font-render-hinting=none",
]  # fmt: skip
TILES = ("revenue", "sales", "average", "pieces")
TABLES = {"regions": "by region", "products": "by product", "categories": "by category", "over-time": "over time"}
_EVERYTHING = """([tiles, tables]) => ({
  drawn: document.body.dataset.drawn, complete: document.body.dataset.complete,
  version: Number(document.body.dataset.version),
  period: { from: document.body.dataset.from, to: document.body.dataset.to, step: document.body.dataset.step },
  tiles: Object.fromEntries(tiles.map((tile) => [tile, document.getElementById("tile-" + tile).textContent])),
  tables: Object.fromEntries(tables.map((table) => [table,
    [...document.querySelectorAll(`#${table} tbody tr`)].map((row) =>
      [row.dataset.key, ...[...row.querySelectorAll("td")].map((cell) => cell.textContent)])])),
})"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def number(text: str) -> Decimal:
    """A number or an amount as the page writes it in English or French."""
    plain = re.sub(r"[^\d,.\-]", "", text.replace("\N{MINUS SIGN}", "-"))
    if "," in plain and "." not in plain and not re.fullmatch(r"-?\d{1,3}(,\d{3})+", plain):
        plain = plain.replace(",", ".")
    return Decimal(plain.replace(",", ""))


class DashboardPage:
    """One tab with the dashboard, all tables open."""

    def __init__(self, browser: Browser, url: str, locale: str = "en-GB", **context: object) -> None:
        self.url = url
        self.context = browser.new_context(locale=locale, viewport={"width": 1440, "height": 1000}, **context)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        # A violation of the content security policy is a console error, too.
        self.page.on("console", lambda message: self._complain(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.foreign: list[str] = []
        self.page.on("request", lambda request: self._foreign(request.url))

    def open(self, query: str) -> DashboardPage:
        """Opens a view by its URL and waits until it is drawn whole."""
        self.page.goto(f"{self.url}/?{query}")
        self.settled()
        self.open_tables()
        return self

    def settled(self) -> None:
        """Waits until the view of the URL is drawn, and nothing older is missing."""
        expect(self.page.locator("body[data-drawn]:not([data-drawn=''])[data-complete=true]")).to_be_attached(
            timeout=20_000
        )

    def open_tables(self) -> None:
        """Opens every table, and waits until the last of them is filled."""
        self.page.evaluate("document.querySelectorAll('.card details').forEach((table) => { table.open = true; })")
        expect(self.page.locator("#per-minute tbody tr").first).to_be_attached()

    def read(self) -> dict:
        """Everything that stands on the page, of one moment: totals, and sums by name or start."""
        found = self.page.evaluate(_EVERYTHING, [list(TILES), list(TABLES)])
        tiles = {name: None if text == "–" else number(text) for name, text in found["tiles"].items()}
        tables = {}
        for name, rows in found["tables"].items():
            # Time has no column of shares.
            at = (1, 2, 3) if name == "over-time" else (1, 3, 4)
            tables[name] = {row[0]: tuple(number(row[column]) for column in at) for row in rows}
        return {**found, "tiles": tiles, "tables": tables}

    def close(self) -> None:
        """Closes the tab; fails the test if the console complained or another host was called."""
        self.context.close()
        assert not self.complaints, self.complaints
        assert not self.foreign, self.foreign

    def _complain(self, kind: str, text: str) -> None:
        # A server that is down is what some tests are about.
        away = ("ERR_CONNECTION", "ERR_INCOMPLETE_CHUNKED_ENCODING", "status of 503")
        if kind in ("error", "warning") and not any(reason in text for reason in away):
            self.complaints.append(f"{kind}: {text}")

    def _foreign(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(url)
