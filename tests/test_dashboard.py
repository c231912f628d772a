"""The dashboard in a real Chromium: every number equals what DuckDB says of the same sales, to the cent.

sales in MongoDB (by hand, as the mirror writes them) -> lake-dashboard -> page, API, files <-> DuckDB
"""

from __future__ import annotations

import datetime
import json
import statistics
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import duckdb
import pymongo
import pytest
from jsonschema import Draft202012Validator
from playwright.sync_api import Browser, expect

from harness.browser import DashboardPage, chromium
from harness.mirrored_sales import PRODUCTS, REGIONS, UTC, MirroredSales
from harness.programs import ROOT, Program, RunningProgram, built, to_toml, wait_until
from native_stack import Stack
from native_stack.artifacts import cache_dir

PARIS = ZoneInfo("Europe/Paris")
DAY = datetime.timedelta(days=1)
STEPS = {"minute": 1, "five_minutes": 5, "quarter_hour": 15, "hour": 60}


class Dashboard:
    """A running lake-dashboard and what it is asked."""

    def __init__(self, program: Program, folder: Path, uri: str, database: str, page: Path, **settings: dict) -> None:
        config = folder / f"dashboard-{time.monotonic_ns()}.toml"
        config.write_text(to_toml({"mongodb": {"uri": uri, "database": database}, **settings}), encoding="utf-8")
        self.running: RunningProgram = program.start("--config", config, "--listen", "127.0.0.1:0", "--page", page)
        self.running.wait_for_log("the dashboard is served")
        self.url = self.running.log.split("url=")[1].split()[0]
        self.host = self.url.removeprefix("http://")

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Status and body."""
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def json(self, path: str) -> dict:
        """An answer that must be there."""
        status, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def live(self) -> bool:
        """Whether it follows the mirror."""
        return self.get("/healthz")[0] == 200

    def complete(self) -> bool:
        """Whether older days are loaded as well."""
        status, body = self.get("/api/totals?period=all")
        return status == 200 and json.loads(body)["complete"]


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, bundled from the sources of the clone."""
    folder = tmp_path_factory.mktemp("page")
    builder = Program(ROOT / "dashboard" / "page" / "build", folder)
    builder.run(folder / "built", env={"LAKE_WRITER_CACHE": str(cache_dir())})
    return folder / "built"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(built("lake-dashboard"), tmp_path_factory.mktemp("dashboards"))


def made(database: pymongo.database.Database) -> MirroredSales:
    """Sales of seventy days: some a day long ago, more of today and of the last minutes."""
    mirrored = MirroredSales(database)
    now = datetime.datetime.now(UTC)
    old = mirrored.sales(6_000, now - 70 * DAY, now - DAY)
    recent = mirrored.sales(3_000, now - DAY, now - datetime.timedelta(minutes=50))
    latest = mirrored.sales(1_000, now - datetime.timedelta(minutes=50), now)
    mirrored.insert([*old, *recent, *latest])
    return mirrored


@pytest.fixture(scope="module")
def still(mongodb: pymongo.MongoClient) -> Iterator[MirroredSales]:
    """Sales that do not change any more."""
    name = f"still_{time.monotonic_ns()}"
    yield made(mongodb[name])
    mongodb.drop_database(name)


@pytest.fixture(scope="module")
def dashboard(
    still: MirroredSales, stack: Stack, program: Program, page_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dashboard]:
    """A dashboard of sales that do not change any more."""
    folder = tmp_path_factory.mktemp("still")
    dashboard = Dashboard(program, folder, stack.mongodb.uri, still.database.name, page_folder)
    with dashboard.running:
        wait_until(dashboard.complete, "everything to be loaded")
        yield dashboard


# -- what DuckDB says -----------------------------------------------------------------------------


def where(period: dict, region: tuple = (), product: tuple = (), category: tuple = ()) -> str:
    """The condition of a view over DuckDB's sales."""
    conditions = [f"sold_at >= '{period['from']}' AND sold_at < '{period['to']}'"]
    for column, names in (("region", region), ("product_name", product), ("category", category)):
        if names:
            listed = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
            conditions.append(f"{column} IN ({listed})")
    return " AND ".join(conditions)


def step_start(step: str) -> str:
    """SQL for the beginning of a sale's step, in UTC."""
    if step in STEPS:
        return f"time_bucket(INTERVAL '{STEPS[step]} minutes', sold_at)"
    return f"timezone('Europe/Paris', date_trunc('{step}', timezone('Europe/Paris', sold_at)))"


def said(mirrored: MirroredSales, condition: str, period: dict) -> dict:
    """What the page should show."""
    sums = "sum(amount), count(*), sum(quantity)"
    count, amount, pieces = mirrored.query(
        f"SELECT count(*), coalesce(sum(amount), 0), coalesce(sum(quantity), 0) FROM sales WHERE {condition}"
    )[0]
    average = (amount / count).quantize(Decimal("0.01"), ROUND_HALF_UP) if count else None
    tables = {}
    for name, column in {"regions": "region", "products": "product_name", "categories": "category"}.items():
        rows = mirrored.query(f"SELECT {column}, {sums} FROM sales WHERE {condition} GROUP BY 1")
        tables[name] = {row[0]: tuple(map(Decimal, row[1:])) for row in rows}
    start = f"greatest({step_start(period['step'])}, TIMESTAMPTZ '{period['from']}')"
    rows = mirrored.query(
        f"SELECT strftime(timezone('UTC', {start}), '%Y-%m-%dT%H:%M:%SZ'), {sums}"
        f" FROM sales WHERE {condition} GROUP BY 1"
    )
    tables["over-time"] = {row[0]: tuple(map(Decimal, row[1:])) for row in rows}
    return {"tiles": {"revenue": amount, "sales": count, "average": average, "pieces": pieces}, "tables": tables}


def compare(page: dict, mirrored: MirroredSales, period: dict, **filters: tuple) -> None:
    """Every number on the page against DuckDB."""
    expected = said(mirrored, where(period, **filters), period)
    assert page["tiles"] == expected["tiles"]
    tables = dict(page["tables"])
    # Steps without a sale are on the axis too.
    tables["over-time"] = {start: sums for start, sums in tables["over-time"].items() if sums[1]}
    assert tables == expected["tables"]


def query_of(period: str, **filters: tuple) -> str:
    between = period.split("..")
    named = [("from", between[0]), ("to", between[1])] if len(between) == 2 else [("period", period)]
    return urlencode([*named, *((key, name) for key, names in filters.items() for name in names)])


def between(days_ago: float, width: float) -> str:
    """A free period in the page's time zone that begins and ends within days."""
    begin = (datetime.datetime.now(PARIS) - datetime.timedelta(days=days_ago)).replace(second=0)
    end = begin + datetime.timedelta(days=width)
    return f"{begin:%Y-%m-%dT%H:%M}..{end:%Y-%m-%dT%H:%M}"


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
    shown = page.open(query).read()
    compare(shown, still, dashboard.json(f"/api/figures?{query}")["period"], **filters)
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
    period = dashboard.json(f"/api/figures?{wanted}")["period"]
    compare(tab.read(), still, period, region=("Bretagne",), product=("Café moulu",))
    assert page.url.endswith(wanted)
    other = DashboardPage(browser, dashboard.url)
    assert other.open(page.url.partition("?")[2]).read()["tiles"] == tab.read()["tiles"]
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
    compare(tab.read(), still, period, region=("Bretagne",), product=("Café moulu",))
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
    query = query_of("7d", **filters)
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
    assert set(described["paths"]) == served - {"/", "/assets/{name}"}
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
    query = query_of("30d", region=("Normandie",))
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


def test_a_password_or_the_token_is_asked_for(
    stack: Stack, still: MirroredSales, program: Program, page_folder: Path, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "users").write_text("anna:secret-of-anna\n")
    (tmp_path / "token").write_text("secret-token\n")
    auth = {"basic_file": str(tmp_path / "users"), "token_file": str(tmp_path / "token")}
    dashboard = Dashboard(program, tmp_path, stack.mongodb.uri, still.database.name, page_folder, auth=auth)
    with dashboard.running:
        wait_until(dashboard.live, "the dashboard to be live")
        for path in ("/", "/api/figures", "/api/stream", "/metrics", "/assets/main.js"):
            assert dashboard.get(path)[0] == 401, path
        assert dashboard.get("/api/totals", Authorization="Bearer secret-token")[0] == 200
        assert dashboard.get("/api/totals", Authorization="Bearer other-token")[0] == 401
        tab = DashboardPage(browser, dashboard.url, http_credentials={"username": "anna", "password": "secret-of-anna"})
        tab.open("period=all")
        tab.close()
        assert "secret" not in dashboard.running.log


def test_wrong_settings_name_what_was_meant(program: Program, tmp_path: Path) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text("[mongodb]\nurl = 'mongodb://u:hunter2@nowhere'\n[page]\ntime_zone = 'Europe/Pari'\n")
    finished = program.run("--config", config, "--check", code=2)
    assert "`mongodb.url` is not a known key; the nearest known one is `mongodb.uri`" in finished.stderr
    assert "hunter2" not in finished.stderr
    assert "Examples:" in program.run("--help").stdout


# -- while sales stream in ------------------------------------------------------------------------


class Stream(threading.Thread):
    """Inserts sales of now at a rate, a transaction every tenth of a second, until it is stopped."""

    def __init__(self, mirrored: MirroredSales, rate: int) -> None:
        super().__init__(daemon=True)
        self.mirrored, self.rate = mirrored, rate
        self.stopped = threading.Event()
        # When the sales were made, when their transaction was committed, and how many there are with them.
        self.inserted: list[tuple[float, float, int]] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            total, begin = 0, time.time()
            while not self.stopped.is_set():
                due = int((time.time() - begin) * self.rate) - total
                now = datetime.datetime.now(UTC)
                sales = [self.mirrored.sale(now) for _ in range(min(due, 2_000))]
                if sales:
                    made_at = time.time()
                    self.mirrored.insert(sales)
                    total += len(sales)
                    self.inserted.append((made_at, time.time(), total))
                self.stopped.wait(0.1)
        except BaseException as failure:
            self.failure = failure

    def stop(self) -> int:
        self.stopped.set()
        self.join(60)
        assert self.failure is None and not self.is_alive(), self.failure
        return self.inserted[-1][2]


@pytest.fixture
def moving(
    database: pymongo.database.Database, stack: Stack, program: Program, page_folder: Path, tmp_path: Path
) -> Iterator[tuple[MirroredSales, Dashboard]]:
    """Sales to which more will come, and their dashboard."""
    mirrored = made(database)
    dashboard = Dashboard(program, tmp_path, stack.mongodb.uri, database.name, page_folder)
    with dashboard.running:
        wait_until(dashboard.complete, "everything to be loaded")
        yield mirrored, dashboard


def until_equal(
    tab: DashboardPage, mirrored: MirroredSales, dashboard: Dashboard, query: str, **filters: tuple
) -> None:
    """The page shows what DuckDB says, within seconds."""
    deadline = time.monotonic() + 15
    while True:
        period = dashboard.json(f"/api/figures?{query}")["period"]
        try:
            tab.settled()
            compare(tab.read(), mirrored, period, **filters)
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_a_sale_is_on_the_screen_in_under_a_second_and_numbers_stay_right(
    browser: Browser, moving: tuple[MirroredSales, Dashboard]
) -> None:
    mirrored, dashboard = moving
    before = mirrored.query("SELECT count(*) FROM sales")[0][0]
    tab = DashboardPage(browser, dashboard.url)
    tab.page.goto(f"{dashboard.url}/?period=all")
    tab.settled()
    tab.page.evaluate(
        """() => {
          window.seen = [];
          const place = document.getElementById("tile-sales");
          new MutationObserver(() => window.seen.push([Date.now() / 1000, place.textContent]))
            .observe(place, { childList: true, characterData: true, subtree: true });
        }"""
    )
    # GIVEN a thousand sales a second
    stream = Stream(mirrored, 1_000)
    stream.start()
    time.sleep(12)
    total = stream.stop()
    tab.open_tables()
    until_equal(tab, mirrored, dashboard, "period=all")
    # THEN no state in between showed fewer sales than the one before, or a part of a transaction
    seen = [(moment, int(text.replace(",", "")) - before) for moment, text in tab.page.evaluate("window.seen")]
    counts = [count for _, count in seen]
    assert counts == sorted(counts) and counts[-1] == total
    assert set(counts) <= {count for _, _, count in stream.inserted}
    shown_at = [next(moment for moment, shown in seen if shown >= count) for *_, count in stream.inserted]
    made = [shown - made_at for shown, (made_at, _, _) in zip(shown_at, stream.inserted, strict=True)]
    committed = [shown - at for shown, (_, at, _) in zip(shown_at, stream.inserted, strict=True)]
    for what, delays in (("made", made), ("committed", committed)):
        median, p99 = statistics.median(delays) * 1e3, statistics.quantiles(delays, n=100)[98] * 1e3
        print(f"\n{total} sales in 12 s; {what} to on screen: median {median:.0f} ms, p99 {p99:.0f} ms")
    # A gross fault, such as a page that polls every ten seconds; the figures above are the measurement.
    assert statistics.median(made) < 5
    tab.close()


def test_a_filter_that_changes_in_mid_stream_shows_its_own_numbers(
    browser: Browser, moving: tuple[MirroredSales, Dashboard]
) -> None:
    mirrored, dashboard = moving
    tab = DashboardPage(browser, dashboard.url)
    tab.open("period=24h")
    stream = Stream(mirrored, 300)
    stream.start()
    for region in ("Occitanie", "Bretagne", "Normandie"):
        tab.page.locator(f"#map g[aria-label^={region}]").click()
        time.sleep(0.7)
    # WHEN it is looked at in mid-stream
    wanted = ("Bretagne", "Normandie", "Occitanie")
    expect(tab.page.locator(f"body[data-drawn='{query_of('24h', region=wanted)}']")).to_be_attached()
    for _ in range(10):
        shown = tab.read()
        # THEN its numbers are of one moment: all sums are of the same sales, and of no other region
        assert set(shown["tables"]["regions"]) <= set(wanted)
        for table in shown["tables"].values():
            assert sum(sums[0] for sums in table.values()) == shown["tiles"]["revenue"]
            assert sum(sums[1] for sums in table.values()) == shown["tiles"]["sales"]
        time.sleep(0.1)
    stream.stop()
    # AND when it is over they are right
    until_equal(tab, mirrored, dashboard, query_of("24h", region=wanted), region=wanted)
    tab.close()


def test_late_and_corrected_sales_reach_their_own_minutes(
    browser: Browser, moving: tuple[MirroredSales, Dashboard]
) -> None:
    mirrored, dashboard = moving
    tab = DashboardPage(browser, dashboard.url)
    tab.open("period=all")
    now = datetime.datetime.now(UTC)
    # WHEN sales come late: of old days, of last night, of days without any, and of tomorrow
    late = [mirrored.sale(now - datetime.timedelta(days=days, hours=3)) for days in (200, 45, 20, 2, 1, 0.1, -1)]
    mirrored.insert(late)
    until_equal(tab, mirrored, dashboard, "period=all")
    query = query_of(between(46, 2))
    until_equal(DashboardPage(browser, dashboard.url).open(query), mirrored, dashboard, query)
    # AND when a minute's rollups are made anew, as a repair does
    minutes = mirrored.database.sales_rollup_minute
    with mirrored.database.client.start_session() as session, session.start_transaction():
        sold = late[5]["sold_at"].replace(second=0, microsecond=0)
        held = list(minutes.find({"bucket": sold}, session=session))
        assert held
        minutes.delete_many({"bucket": sold}, session=session)
        minutes.insert_many([{**rollup, "_id": f"new {n}"} for n, rollup in enumerate(held)], session=session)
    until_equal(tab, mirrored, dashboard, "period=all")
    tab.close()


def test_the_page_says_since_when_it_is_stale_and_reconnects(
    browser: Browser, moving: tuple[MirroredSales, Dashboard], stack: Stack
) -> None:
    mirrored, dashboard = moving
    tab = DashboardPage(browser, dashboard.url)
    shown = tab.open("period=all").read()
    freshness = tab.page.locator("#freshness")
    expect(freshness).to_have_attribute("data-state", "live")
    # WHEN mongod is killed
    stack.mongodb.kill()
    expect(freshness).to_have_attribute("data-state", "stale", timeout=10_000)
    # THEN the page stays, says so, and other views are still answered from memory
    expect(freshness).to_contain_text("Stale since")
    assert tab.read()["tiles"] == shown["tiles"]
    assert dashboard.get("/healthz")[0] == 503
    filtered = DashboardPage(browser, dashboard.url)
    filtered.open("period=all&region=Corse")
    filtered.close()
    # AND when it is back, it goes on from where it was, without loading anything again
    stack.mongodb.start()
    expect(freshness).to_have_attribute("data-state", "live", timeout=30_000)
    mirrored.insert([mirrored.sale(datetime.datetime.now(UTC)) for _ in range(50)])
    until_equal(tab, mirrored, dashboard, "period=all")
    assert dashboard.running.log.count("the window is loaded") == 1
    # AND a dashboard that goes away and comes back is found again by the page
    tab.close()


def test_the_page_finds_its_server_again(
    browser: Browser, still: MirroredSales, stack: Stack, program: Program, page_folder: Path, tmp_path: Path
) -> None:
    dashboard = Dashboard(program, tmp_path, stack.mongodb.uri, still.database.name, page_folder)
    tab = DashboardPage(browser, dashboard.url)
    with dashboard.running:
        wait_until(dashboard.complete, "everything to be loaded")
        tab.open("period=all")
    freshness = tab.page.locator("#freshness")
    expect(freshness).to_have_attribute("data-state", "offline", timeout=15_000)
    expect(freshness).to_contain_text("No connection to the server since")
    config = next(tmp_path.glob("dashboard-*.toml"))
    with program.start("--config", config, "--listen", dashboard.host, "--page", page_folder):
        expect(freshness).to_have_attribute("data-state", "live", timeout=30_000)
    tab.close()


def test_many_viewers_cost_the_database_nothing(moving: tuple[MirroredSales, Dashboard]) -> None:
    mirrored, dashboard = moving
    admin = mirrored.database.client.admin

    def queries() -> int:
        # Reads of others: the stream's getMore, the newest sale, this question.
        counters = admin.command("serverStatus")["metrics"]["commands"]
        return counters["aggregate"]["total"] + counters["find"]["total"]

    # GIVEN that a view of part of an old day was asked once
    view = query_of(between(30.5, 0.3))
    dashboard.json(f"/api/figures?{view}")
    before = queries()
    # WHEN sixty viewers look at it and at others
    paths = [f"/api/figures?{query}" for query in (view, "period=all", "period=24h")] * 20
    viewers = [threading.Thread(target=dashboard.json, args=(path,)) for path in paths]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    # THEN nobody asked the database, but for the server's own monitoring
    assert queries() - before <= 2


def test_the_map_knows_every_region_and_the_fixture_sells_in_all() -> None:
    source = (ROOT / "dashboard/page/src/departments.ts").read_text()
    assert all(f'"{region}":' in source for region in REGIONS)
    lines = [line for line in source.splitlines() if line.startswith('  "')]
    departments = [word for line in lines for word in line.split('"')[3].split()]
    assert len(departments) == len(set(departments)) == 96
    assert len(PRODUCTS) > 10
