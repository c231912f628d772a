"""The dashboard in a real Chromium: every number equals what DuckDB says of the same sales, to the cent.

sales in MongoDB (by hand, as the mirror writes them) -> lake-dashboard -> page, API, files <-> DuckDB
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from jsonschema import Draft202012Validator
from playwright.sync_api import Browser, expect

from harness.browser import DashboardPage
from harness.dashboard import Dashboard, between, compare, query_of, where
from harness.mirrored_sales import PRODUCTS, REGIONS, MirroredSales
from harness.programs import ROOT, Program, wait_until
from native_stack import Stack

VIEWS = [
    ("today", {}),
    ("hour", {"region": ("Île-de-France",)}),
    ("24h", {"product": ("Baguette", "Huile d'olive")}),
    ("7d", {"region": ("Bretagne", "Provence-Alpes-Côte d'Azur"), "category": ("Boulangerie", "Maison")}),
    ("30d", {}),
    ("30d", {"region": ("Corse",), "product": ("Eau de toilette « Été »",)}),
    ("all", {}),
    ("all", {"category": ("Crémerie",)}),
    ("long ago, minutes", {"region": ("Grand Est",)}),
    ("long ago, days", {}),
    ("across the window", {"product": ("Café moulu",)}),
    ("nothing", {"region": ("Atlantis",)}),
]
FREE = {
    "long ago, minutes": (40.3, 0.4), "long ago, days": (50.7, 31.2), "across the window": (3.3, 3.1),
    "nothing": (2, 1),
}  # fmt: skip


@pytest.mark.parametrize(("period", "filters"), VIEWS)
def test_every_number_on_the_page_is_what_duckdb_says(
    browser: Browser, dashboard: Dashboard, still: MirroredSales, period: str, filters: dict
) -> None:
    period = between(*FREE[period]) if period in FREE else period
    query = query_of(period, **filters)
    page = DashboardPage(browser, dashboard.url)
    before = dashboard.json(f"/api/figures?{query}")["period"]
    shown = page.open(query).read()
    after = dashboard.json(f"/api/figures?{query}")["period"]
    # A period that ends now moves on with every minute, while the page is read as well.
    assert before["to"] <= shown["period"]["to"] <= after["to"]
    compare(shown, still, **filters)
    page.close()


def test_filters_by_click_and_search_live_in_the_url(
    browser: Browser, dashboard: Dashboard, still: MirroredSales
) -> None:
    tab = DashboardPage(browser, dashboard.url)
    tab.open("period=30d")
    page = tab.page
    # WHEN a region is picked on the map by keyboard, and a product by search without its accents
    page.locator("#map g[aria-label^=Bretagne]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("body[data-drawn='period=30d&region=Bretagne']")).to_be_attached()
    page.locator("details[data-dimension=product] > summary").click()
    page.keyboard.type("cafe")
    page.locator("details[data-dimension=product] label").click()
    page.keyboard.press("Escape")
    wanted = query_of("30d", region=("Bretagne",), product=("Café moulu",))
    expect(page.locator(f"body[data-drawn='{wanted}']")).to_be_attached()
    # THEN every chart has both, and whoever gets the link sees the same
    compare(tab.read(), still, region=("Bretagne",), product=("Café moulu",))
    assert page.url.endswith(wanted)
    other = DashboardPage(browser, dashboard.url)
    compare(other.open(page.url.partition("?")[2]).read(), still, region=("Bretagne",), product=("Café moulu",))
    other.close()
    # AND a bar filters by a click, and the back button goes back
    page.locator(".chip").first.click()
    expect(page.locator("body[data-drawn='period=30d&product=Caf%C3%A9+moulu']")).to_be_attached()
    best = dashboard.json(f"/api/by-region?{query_of('30d', product=('Café moulu',))}")["by_region"][0]["name"]
    canvas = page.locator("#regions canvas").first
    canvas.click(position={"x": canvas.bounding_box()["width"] / 2, "y": 18})
    clicked = query_of("30d", region=(best,), product=("Café moulu",))
    expect(page.locator(f'body[data-drawn="{clicked}"]')).to_be_attached()
    page.go_back()
    page.go_back()
    expect(page.locator(f"body[data-drawn='{wanted}']")).to_be_attached()
    tab.settled()
    compare(tab.read(), still, region=("Bretagne",), product=("Café moulu",))
    tab.close()


def test_french_and_english_write_the_same_numbers_each_in_their_way(browser: Browser, dashboard: Dashboard) -> None:
    tabs = {locale: DashboardPage(browser, dashboard.url, locale) for locale in ("fr-FR", "en-GB")}
    texts, values = {}, {}
    for locale, tab in tabs.items():
        values[locale] = tab.open("period=all").read()["tiles"]
        texts[locale] = tab.page.locator("#tile-revenue").text_content()
        assert tab.page.locator("html").get_attribute("lang") == locale[:2]
    assert values["fr-FR"] == values["en-GB"]
    amount = values["en-GB"]["revenue"]
    grouped = f"{amount:,}"
    assert texts["en-GB"] == f"€{grouped}"
    assert texts["fr-FR"] == grouped.replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ",") + "\N{NO-BREAK SPACE}€"
    # AND the language can be changed, in the URL as well
    tabs["fr-FR"].page.locator("#language").click()
    expect(tabs["fr-FR"].page.locator("#tile-revenue")).to_have_text(texts["en-GB"])
    assert "lang=en" in tabs["fr-FR"].page.url
    for tab in tabs.values():
        tab.close()


def test_downloads_are_what_is_seen(
    browser: Browser, dashboard: Dashboard, still: MirroredSales, tmp_path: Path
) -> None:
    filters = {"region": ("Île-de-France", "Corse")}
    query = query_of(between(7, 7), **filters)
    tab = DashboardPage(browser, dashboard.url)
    shown = tab.open(query).read()
    for card, column in {"regions": "region", "products": "product", "categories": "category"}.items():
        for format_ in ("csv", "parquet"):
            with tab.page.expect_download() as download:
                tab.page.locator(f"#{card} .tools a[href*='.{format_}']").click()
            path = tmp_path / f"{card}.{format_}"
            download.value.save_as(path)
            rows = duckdb.sql(f"SELECT {column}, amount, count, quantity FROM '{path}'").fetchall()
            found = {row[0]: tuple(Decimal(str(value)) for value in row[1:]) for row in rows}
            assert found == shown["tables"][card]
    with tab.page.expect_download() as download:
        tab.page.locator("#map .tools button").click()
    png = Path(download.value.path()).read_bytes()
    assert png.startswith(b"\x89PNG") and len(png) > 20_000
    sales = tmp_path / "sales.parquet"
    sales.write_bytes(dashboard.get(f"/api/download/sales.parquet?{query}")[1])
    condition = where(dashboard.json(f"/api/figures?{query}")["period"], **filters)
    columns = "sale_id, epoch_ms(sold_at), region, product_name, category, quantity, amount"
    expected = sorted(still.query(f"SELECT {columns} FROM sales WHERE {condition}"))
    assert sorted(duckdb.sql(f"SELECT {columns} FROM '{sales}'").fetchall()) == expected
    csv = dashboard.get(f"/api/download/sales.csv?{query}")[1]
    assert csv.count(b"\n") == len(expected) + 1
    tab.close()


# -- the API --------------------------------------------------------------------------------------


def test_the_api_answers_as_its_description_says(dashboard: Dashboard) -> None:
    described = dashboard.json("/api/openapi.json")
    # Every route of the program is described and every described one is there.
    routes = (ROOT / "dashboard/src/web/mod.rs").read_text().split('.route("')[1:]
    served = {route.split('"')[0] for route in routes}
    assert set(described["paths"]) == served - {"/", "/assets/{name}", "/tableau/{name}"}
    examples = {"{file}": ["regions.csv", "over-time.parquet"]}
    for path, operations in described["paths"].items():
        assert set(operations) == {"get"}
        known = {parameter["name"] for parameter in parameters(described, operations["get"])}
        for example in examples.get(path[path.rfind("/") + 1 :], [""]):
            concrete = path.replace("{file}", example)
            if concrete == "/api/stream":
                continue
            query = "?period=30d&region=Corse" if "region" in known else ""
            request = urllib.request.Request(dashboard.url + concrete + query)
            with urllib.request.urlopen(request, timeout=30) as answer:
                kind = answer.headers["content-type"].partition(";")[0]
                content = operations["get"]["responses"]["200"]["content"]
                assert kind in content, path
                if kind == "application/json" and path != "/api/openapi.json":
                    schema = {**content[kind]["schema"], "components": described["components"]}
                    Draft202012Validator(schema).validate(json.load(answer))
            if "region" in known:
                status, body = dashboard.get(f"{concrete}?perriod=7d")
                assert status == 400 and b"perriod" in body
    assert dashboard.get("/api/nothing")[0] == 404
    for path in described["paths"]:
        # And nothing is ever written.
        posted = urllib.request.Request(dashboard.url + path.replace("{file}", "regions.csv"), method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(posted, timeout=10)
        assert refused.value.code == 405


def parameters(described: dict, operation: dict) -> list[dict]:
    found = []
    for parameter in operation.get("parameters", []):
        name = parameter.get("$ref", "").rsplit("/", 1)[-1]
        found.append(described["components"]["parameters"][name] if name else parameter)
    return found


def test_pages_of_sales_hold_each_sale_once(dashboard: Dashboard, still: MirroredSales) -> None:
    query = query_of(between(30, 30), region=("Normandie",))
    seen, cursor = [], ""
    while cursor is not None:
        page = dashboard.json(f"/api/sales?{query}&limit=37" + (f"&cursor={cursor}" if cursor else ""))
        seen += page["sales"]
        cursor = page["next"]
    condition = where(dashboard.json(f"/api/figures?{query}")["period"], region=("Normandie",))
    expected = still.query(f"SELECT sale_id, amount FROM sales WHERE {condition}")
    assert sorted((sale["sale_id"], Decimal(sale["amount"])) for sale in seen) == sorted(expected)
    assert [sale["sold_at"] for sale in seen] == sorted((sale["sold_at"] for sale in seen), reverse=True)
    for bad in ("limit=0", "limit=1001", "limit=x", "cursor=zz", "cursor=" + "00" * 20):
        assert dashboard.get(f"/api/sales?{bad}")[0] == 400


def test_metrics_and_headers(dashboard: Dashboard) -> None:
    text = dashboard.get("/metrics")[1].decode()
    assert "lake_dashboard_live 1" in text and text.endswith("# EOF\n")
    with urllib.request.urlopen(dashboard.url + "/") as answer:
        policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    # AND the extension, which Tableau shows in a frame, is all that may stand in one
    with urllib.request.urlopen(dashboard.url + "/tableau/refresh.html") as answer:
        policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors" not in policy
    assert dashboard.get("/tableau/main.js")[0] == 404


def test_a_password_or_the_token_is_asked_for(
    stack: Stack, still: MirroredSales, dashboard_program: Program, page_folder: Path, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "users").write_text("anna:secret-of-anna\n")
    (tmp_path / "token").write_text("secret-token\n")
    auth = {"basic_file": str(tmp_path / "users"), "token_file": str(tmp_path / "token")}
    dashboard = Dashboard(dashboard_program, tmp_path, stack.mongodb.uri, still.database.name, page_folder, auth=auth)
    with dashboard.running:
        wait_until(dashboard.live, "the dashboard to be live")
        for path in ("/", "/api/figures", "/api/stream", "/metrics", "/assets/main.js"):
            assert dashboard.get(path)[0] == 401, path
        for path in ("/tableau/refresh.html", "/tableau/refresh.js", "/tableau/refresh.css"):
            assert dashboard.get(path)[0] == 200, path
        assert dashboard.get("/api/totals", Authorization="Bearer secret-token")[0] == 200
        assert dashboard.get("/api/totals", Authorization="Bearer other-token")[0] == 401
        tab = DashboardPage(browser, dashboard.url, http_credentials={"username": "anna", "password": "secret-of-anna"})
        tab.open("period=all")
        tab.close()
        assert "secret" not in dashboard.running.log


def test_wrong_settings_name_what_was_meant(dashboard_program: Program, tmp_path: Path) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text("[mongodb]\nurl = 'mongodb://u:hunter2@nowhere'\n[page]\ntime_zone = 'Europe/Pari'\n")
    finished = dashboard_program.run("--config", config, "--check", code=2)
    assert "`mongodb.url` is not a known key; the nearest known one is `mongodb.uri`" in finished.stderr
    assert "hunter2" not in finished.stderr
    assert "Examples:" in dashboard_program.run("--help").stdout


def test_the_map_knows_every_region_and_the_fixture_sells_in_all() -> None:
    source = (ROOT / "dashboard/page/src/departments.ts").read_text()
    assert all(f'"{region}":' in source for region in REGIONS)
    lines = [line for line in source.splitlines() if line.startswith('  "')]
    departments = [word for line in lines for word in line.split('"')[3].split()]
    assert len(departments) == len(set(departments)) == 96
    assert len(PRODUCTS) > 10
