"""Pictures of the dashboard for the documentation: `make screenshots`.

    fixed seed, fixed moment -> MirroredSales -> lake-dashboard --now -> Chromium -> docs/images/*.png

Owns the views that are shown. The same sources, browser and fonts give the same pictures.
"""

from __future__ import annotations

import argparse
import datetime
import math
import tempfile
from pathlib import Path

import pymongo
from playwright.sync_api import Browser, expect

from harness.browser import DashboardPage, chromium
from harness.mirrored_sales import UTC, MadeSales, MirroredSales
from harness.programs import Program, to_toml, wait_until
from native_stack import Stack
from native_stack.server import http_get

NOW = datetime.datetime(2026, 1, 31, 16, 42, 30, tzinfo=UTC)
SEED = 20260131
DATABASE = "screenshots"
# Name, query, colours, width and height in CSS pixels, language.
VIEWS = (
    ("dashboard-light", "period=7d", "light", 1440, 1000, "en-GB"),
    ("dashboard-dark", "period=today", "dark", 1440, 1000, "fr-FR"),
    ("dashboard-filtered", "period=30d&region=Bretagne&region=Normandie", "light", 1440, 1000, "fr-FR"),
    ("dashboard-phone", "period=24h", "dark", 390, 1500, "fr-FR"),
)


def forty_days(made: MadeSales) -> list[dict]:
    """A company that sells by day, more on Saturdays, and a little more each week."""
    sales = []
    for hours in range(40 * 24, -1, -1):
        begin = NOW.replace(minute=0, second=0) - datetime.timedelta(hours=hours)
        # Shops are busiest at eleven and at six in the evening, in Paris.
        hour = (begin.hour + 1) % 24
        busy = math.exp(-(((hour - 11.5) / 2.4) ** 2)) + 1.15 * math.exp(-(((hour - 18) / 2.0) ** 2)) + 0.04
        week = (0.85, 0.88, 0.95, 1.0, 1.2, 1.55, 0.5)[begin.weekday()] * (1 + (40 - hours / 24) * 0.006)
        end = min(begin + datetime.timedelta(hours=1), NOW)
        count = int(busy * week * 95 * (end - begin).total_seconds() / 3600 * made.random.uniform(0.9, 1.1))
        sales += made.sales(count, begin, end)
    return sales


def take(browser: Browser, url: str, out: Path) -> None:
    """Takes every picture."""
    for name, query, colours, width, height, language in VIEWS:
        tab = DashboardPage(browser, url, language, color_scheme=colours, reduced_motion="reduce")
        tab.page.set_viewport_size({"width": width, "height": height})
        tab.page.goto(f"{url}/?{query}")
        tab.settled()
        expect(tab.page.locator("body[data-analysed]:not([data-analysed=''])")).to_be_attached(timeout=20_000)
        # The ages count up with the browser's clock; a picture shows them as they begin.
        tab.page.evaluate("document.getElementById('ages').hidden = true")
        tab.page.wait_for_timeout(500)
        tab.page.screenshot(path=out / f"{name}.png", full_page=width > 1000)
        tab.close()
        print(out / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dashboard", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "servers", die_with_parent=True)
        stack.mongodb.start()
        try:
            with pymongo.MongoClient(stack.mongodb.uri) as client:
                mirrored = MirroredSales(client[DATABASE], SEED)
                mirrored.insert(forty_days(mirrored), batch=5_000)
            config = Path(folder) / "dashboard.toml"
            config.write_text(to_toml({"mongodb": {"uri": stack.mongodb.uri, "database": DATABASE}}))
            program = Program(arguments.dashboard, Path(folder))
            start = ("--config", config, "--listen", "127.0.0.1:0", "--page", arguments.page, "--now", NOW.isoformat())
            with program.start(*start) as running, chromium() as browser:
                running.wait_for_log("days before the window are loaded")
                url = running.log.split("url=")[1].split()[0]
                wait_until(lambda: b'"complete":true' in http_get(f"{url}/api/totals?period=all"), "the figures")
                wait_until(lambda: b'"complete":true' in http_get(f"{url}/api/statistics?period=all"), "the sales")
                take(browser, url, arguments.out)
        finally:
            stack.down()


if __name__ == "__main__":
    main()
