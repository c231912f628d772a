"""What the dashboard computes of sales on their way: statistics and customers as DuckDB counts them, forecasts as
sales came about.

    sales in MongoDB (by hand, as the mirror writes them) -> lake-dashboard -> page, API, files <-> DuckDB
"""

from __future__ import annotations

import datetime
import math
import re
import threading
import time
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import duckdb
import pymongo
import pymongo.database
import pytest
from bson import Decimal128
from playwright.sync_api import Browser, expect

from harness.browser import DashboardPage, number
from harness.dashboard import DAY, PARIS, Dashboard, between, query_of, until_right, where
from harness.mirrored_sales import PRODUCTS, REGIONS, UTC, MirroredSales
from harness.programs import Program, wait_until
from native_stack import Stack

COLUMNS = {"region": "region", "product": "product_name"}
# Everything that the fixture has, where the default is a month.
EVERYTHING = {"days": 100}
DASHBOARD = {"analysis": EVERYTHING}


def spreads(mirrored: MirroredSales, condition: str, column: str) -> dict[str, tuple]:
    """Count, sum, mean and standard deviation by a column, as DuckDB has them."""
    rows = mirrored.query(
        f"SELECT {column}, count(*), sum(amount), stddev_samp(amount::DOUBLE) FROM sales WHERE {condition} GROUP BY 1"
    )
    cents = Decimal("0.01")
    return {
        name: (count, amount, (amount / count).quantize(cents, ROUND_HALF_UP), deviation)
        for name, count, amount, deviation in rows
    }


def customers(mirrored: MirroredSales, condition: str) -> tuple[int, int, int]:
    """Different customers, sales whose customer is known, and sales."""
    asked = "count(DISTINCT customer_id), count(customer_id), count(*)"
    return mirrored.query(f"SELECT {asked} FROM sales WHERE {condition}")[0]


def compare(analysis: dict, mirrored: MirroredSales, filters: dict) -> None:
    """Statistics and customers of an answer, all of them exact, against DuckDB."""
    condition = where(analysis["period"], **filters)
    distinct, identified, sales = customers(mirrored, condition)
    found, statistics = analysis["customers"], analysis["statistics"]
    assert found["complete"] and statistics["complete"]
    assert (found["estimate"], found["identified"], found["sales"]) == (distinct, identified, sales)
    assert found["exact"] and found["low"] == found["high"] == distinct
    lists = {"1": [{"name": 1, **statistics["total"]}] if sales else []}
    lists |= {column: statistics[f"by_{dimension}"] for dimension, column in COLUMNS.items()}
    for column, listed in lists.items():
        expected = spreads(mirrored, condition, column)
        assert {row["name"] for row in listed} == set(expected)
        amounts = [Decimal(row["amount"]) for row in listed]
        assert amounts == sorted(amounts, reverse=True)
        for row in listed:
            count, amount, mean, deviation = expected[row["name"]]
            assert (row["count"], Decimal(row["amount"]), Decimal(row["mean"])) == (count, amount, mean)
            if deviation is None:
                assert row["deviation"] is None
            else:
                assert math.isclose(row["deviation"], deviation, rel_tol=1e-9, abs_tol=1e-9)


def compare_page(tab: DashboardPage, analysis: dict) -> None:
    """The page against an answer."""
    assert number(tab.page.locator("#tile-customers").text_content()) == analysis["customers"]["estimate"]
    for dimension in COLUMNS:
        shown = rows_of(tab, f"statistics-{dimension}s")
        listed = analysis["statistics"][f"by_{dimension}"]
        assert list(shown) == [row["name"] for row in listed]
        for row in listed:
            *exact, deviation = shown[row["name"]]
            assert [number(text) for text in exact] == [row["count"], Decimal(row["amount"]), Decimal(row["mean"])]
            if row["deviation"] is None:
                assert deviation == "–"
            else:
                assert abs(float(number(deviation)) - row["deviation"]) <= 0.005_001


def rows_of(tab: DashboardPage, card: str) -> dict[str, list[str]]:
    """A card's table by its keys."""
    script = """(card) => [...document.querySelectorAll(`#${card} tbody tr`)].map((row) =>
        [row.dataset.key, ...[...row.querySelectorAll("td")].map((cell) => cell.textContent)])"""
    return {row[0]: row[1:] for row in tab.page.evaluate(script, card)}


def analysed(tab: DashboardPage, query: str) -> None:
    """Waits until the analysis of a view is on the page."""
    expect(tab.page.locator(f'body[data-analysed="{query}"]')).to_be_attached(timeout=20_000)


# -- statistics and customers ---------------------------------------------------------------------

VIEWS = [
    ("today", {}),
    ("hour", {"region": ("Île-de-France",)}),
    ("24h", {"product": ("Baguette", "Huile d'olive")}),
    ("7d", {"region": ("Bretagne", "Provence-Alpes-Côte d'Azur"), "category": ("Boulangerie", "Maison")}),
    ("30d", {}),
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
def test_statistics_and_customers_of_every_view_are_what_duckdb_says(
    browser: Browser, dashboard: Dashboard, still: MirroredSales, period: str, filters: dict
) -> None:
    query = query_of(between(*FREE[period]) if period in FREE else period, **filters)
    tab = DashboardPage(browser, dashboard.url).open(query)
    # A view of parts of older days has them read when it is first looked at.
    analysed(tab, query)

    def right() -> None:
        analysis = dashboard.json(f"/api/analysis?{query}")
        compare(analysis, still, filters)
        compare_page(tab, analysis)

    until_right(right)
    tab.close()


def test_downloads_of_statistics_are_what_is_seen(dashboard: Dashboard, still: MirroredSales, tmp_path: Path) -> None:
    query = query_of("30d", region=("Bretagne", "Normandie"))
    condition = where(dashboard.json(f"/api/figures?{query}")["period"], region=("Bretagne", "Normandie"))
    for dimension, column in COLUMNS.items():
        expected = spreads(still, condition, column)
        for kind in ("csv", "parquet"):
            path = tmp_path / f"{dimension}.{kind}"
            path.write_bytes(dashboard.get(f"/api/download/statistics-{dimension}s.{kind}?{query}")[1])
            found = duckdb.sql(f"SELECT {dimension}, count, amount, mean, deviation FROM '{path}'").fetchall()
            assert {row[0] for row in found} == set(expected)
            for name, *values, deviation in found:
                assert tuple(Decimal(str(value)) for value in values) == expected[name][:3]
                assert math.isclose(deviation, expected[name][3], rel_tol=1e-9)


def test_customers_that_do_not_fit_are_estimated_within_their_bounds(
    browser: Browser,
    still: MirroredSales,
    stack: Stack,
    dashboard_program: Program,
    page_folder: Path,
    tmp_path: Path,
) -> None:
    # GIVEN room for less than a quarter of the customers
    settings = {**EVERYTHING, "sample": 1_000}
    uri, name = stack.mongodb.uri, still.database.name
    dashboard = Dashboard(dashboard_program, tmp_path, uri, name, page_folder, analysis=settings)
    with dashboard.running:
        wait_until(dashboard.complete, "everything to be loaded")
        # WHEN all of them are asked for, and those of each region, product and region of the last month
        asked = [("all", {})]
        asked += [("all", {"region": (region,)}) for region in REGIONS]
        asked += [("all", {"product": (product,)}) for product in PRODUCTS]
        asked += [("30d", {"region": (region,)}) for region in REGIONS]
        inside, exact = 0, 0
        for period, filters in asked:
            query = query_of(period, **filters)
            found = dashboard.json(f"/api/customers?{query}")
            distinct, identified, _ = customers(still, where(found["period"], **filters))
            found = found["customers"]
            # THEN what can be counted is counted
            assert found["identified"] == identified
            assert found["low"] <= found["estimate"] <= found["high"]
            inside += found["low"] <= distinct <= found["high"]
            exact += found["exact"]
        # AND the bounds of 95 % hold; all views share one sample, so that they do not err by themselves
        assert inside >= 0.8 * len(asked) and exact == 0
        # AND the page says that it is an estimate, and how sure
        tab = DashboardPage(browser, dashboard.url).open("period=all")
        analysed(tab, "period=all")
        found = dashboard.json("/api/customers?period=all")["customers"]
        assert tab.page.locator("#tile-customers").text_content() == f"≈ {found['estimate']:,}"
        bounds = f"{found['low']:,} – {found['high']:,} (95%)"
        expect(tab.page.locator("#tile-customers-note")).to_contain_text(bounds)
        # AND the sample is no larger than it may be
        metrics = dashboard.get("/metrics")[1].decode()
        assert int(re.search(r"lake_dashboard_analysis_sample (\d+)", metrics)[1]) <= 1_000
        tab.close()


def test_statistics_follow_sales_that_come_late_or_are_corrected(
    browser: Browser, moving: tuple[MirroredSales, Dashboard]
) -> None:
    mirrored, dashboard = moving
    tab = DashboardPage(browser, dashboard.url).open("period=7d")
    now = datetime.datetime.now(UTC)

    def right() -> None:
        analysis = dashboard.json("/api/analysis?period=7d")
        compare(analysis, mirrored, {})
        compare_page(tab, analysis)

    until_right(right)
    # WHEN sales come: of now, of yesterday, of days before the window
    mirrored.insert([mirrored.sale(now - datetime.timedelta(hours=hours)) for hours in (0, 0, 5, 30, 80, 120) * 20])
    until_right(right)
    # AND one that is there becomes another: its document and its rollup, as a mirror by key corrects them
    sale = mirrored.sale(now - datetime.timedelta(minutes=7), region="Corse", product="Cocotte en fonte 24 cm")
    mirrored.insert([sale])
    until_right(right)
    dearer = Decimal("99999.99")
    minute = sale["sold_at"].replace(second=0, microsecond=0)
    database = mirrored.database
    with database.client.start_session() as session, session.start_transaction():
        changed = {"amount": Decimal128(dearer), "customer_id": "C999999"}
        database.sales.update_one({"_id": sale["_id"]}, {"$set": changed}, session=session)
        more = Decimal128(dearer - sale["amount"].to_decimal())
        rollup = {"bucket": minute, "region": sale["region"], "product_name": sale["product_name"]}
        found = database.sales_rollup_minute.update_one(rollup, {"$inc": {"amount": more}}, session=session)
        assert found.modified_count == 1
    mirrored.connection.sql(
        f"UPDATE sales SET amount = {dearer}, customer_id = 'C999999' WHERE sale_id = '{sale['sale_id']}'"
    )
    until_right(right)
    tab.close()


def test_many_viewers_of_statistics_cost_the_database_nothing(moving: tuple[MirroredSales, Dashboard]) -> None:
    mirrored, dashboard = moving
    admin = mirrored.database.client.admin

    def queries() -> int:
        counters = admin.command("serverStatus")["metrics"]["commands"]
        return counters["aggregate"]["total"] + counters["find"]["total"]

    # GIVEN that a view of part of an old day was looked at once
    old = query_of(between(20.5, 0.3))
    wait_until(lambda: dashboard.json(f"/api/statistics?{old}")["statistics"]["complete"], "the part to be read")
    before = queries()
    # WHEN sixty viewers look at it and at others
    paths = [f"/api/analysis?{query}" for query in (old, "period=all", "period=24h")] * 20
    viewers = [threading.Thread(target=dashboard.json, args=(path,)) for path in paths]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    # THEN nobody asked the database, but for the server's own monitoring
    assert queries() - before <= 2


def test_a_dashboard_that_reads_no_sales_says_so(
    browser: Browser, still: MirroredSales, stack: Stack, dashboard_program: Program, page_folder: Path, tmp_path: Path
) -> None:
    uri, name = stack.mongodb.uri, still.database.name
    dashboard = Dashboard(dashboard_program, tmp_path, uri, name, page_folder, analysis={"days": 0})
    with dashboard.running:
        wait_until(dashboard.complete, "everything to be loaded")
        analysis = dashboard.json("/api/analysis?period=7d")
        assert analysis["statistics"] is None and analysis["customers"] is None
        assert dashboard.get("/api/download/statistics-regions.csv")[0] == 404
        tab = DashboardPage(browser, dashboard.url).open("period=7d")
        analysed(tab, "period=7d")
        expect(tab.page.locator("#tile-customers")).to_have_text("–")
        expect(tab.page.locator("#statistics-regions")).to_be_hidden()
        expect(tab.page.locator("#forecast")).to_be_visible()
        tab.close()


def test_days_before_those_that_are_read_are_left_out_and_said(
    browser: Browser, still: MirroredSales, stack: Stack, dashboard_program: Program, page_folder: Path, tmp_path: Path
) -> None:
    uri, name = stack.mongodb.uri, still.database.name
    dashboard = Dashboard(dashboard_program, tmp_path, uri, name, page_folder, analysis={"days": 10})
    with dashboard.running:
        wait_until(dashboard.complete, "everything to be loaded")
        found = dashboard.json("/api/analysis?period=all")
        covered = {key: found["statistics"][key] for key in ("from", "to")}
        assert covered["from"] > found["period"]["from"]
        distinct, _, sales = customers(still, where(covered))
        assert (found["customers"]["estimate"], found["customers"]["sales"]) == (distinct, sales)
        tab = DashboardPage(browser, dashboard.url).open("period=all")
        analysed(tab, "period=all")
        expect(tab.page.locator("#statistics-regions .note")).to_contain_text("sales since")
        tab.close()


# -- forecast -------------------------------------------------------------------------------------


def busy(hour: int) -> float:
    """How busy shops are at an hour of the day in UTC: a quiet night, and two times of many customers."""
    return 12 + 40 * math.exp(-(((hour - 10.5) / 2.4) ** 2)) + 50 * math.exp(-(((hour - 17) / 2.0) ** 2))


@pytest.fixture(scope="module")
def rhythm(mongodb: pymongo.MongoClient) -> Iterator[MirroredSales]:
    """Twelve days of a company with a daily rhythm, up to the hour that is not over."""
    name = f"rhythm_{time.monotonic_ns()}"
    mirrored = MirroredSales(mongodb[name], seed=5)
    end = datetime.datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    sales = []
    for hours in range(12 * 24, 0, -1):
        begin = end - datetime.timedelta(hours=hours)
        count = max(0, round(mirrored.random.gauss(busy(begin.hour), 2)))
        width = datetime.timedelta(hours=1)
        moments = sorted(begin + width * mirrored.random.random() for _ in range(count))
        # One product, so that revenue is the rhythm and not what is bought.
        sales += [mirrored.sale(moment, product="Comté 12 mois") for moment in moments]
    mirrored.insert(sales, batch=5_000)
    yield mirrored
    mongodb.drop_database(name)


def hourly(mirrored: MirroredSales) -> dict[str, float]:
    """Revenue of every hour, by its start."""
    start = "strftime(timezone('UTC', time_bucket(INTERVAL '1 hour', sold_at)), '%Y-%m-%dT%H:%M:%SZ')"
    return {
        start: float(amount) for start, amount in mirrored.query(f"SELECT {start}, sum(amount) FROM sales GROUP BY 1")
    }


def test_a_forecast_of_yesterday_is_what_came_about(
    rhythm: MirroredSales, stack: Stack, dashboard_program: Program, page_folder: Path, tmp_path: Path
) -> None:
    seen = hourly(rhythm)
    inside, errors, naive, asked = 0, 0.0, 0.0, 0
    # GIVEN clocks that stand still a day, two and three days ago, in the middle of an hour
    for days in (1, 2, 3):
        now = datetime.datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - days * DAY
        uri, name = stack.mongodb.uri, rhythm.database.name
        config = tmp_path / f"days-{days}"
        config.mkdir()
        dashboard = Dashboard(dashboard_program, config, uri, name, page_folder, at=now)
        with dashboard.running:
            wait_until(dashboard.complete, "everything to be loaded")
            forecast = dashboard.json("/api/forecast?period=7d")["forecast"]
        # WHEN revenue is forecast, it begins with the hour that is not over, and that hour is no part of what is known
        assert forecast["status"] == "made" and forecast["season"] == 24
        first = now.replace(minute=0)
        assert forecast["steps"][0]["start"] == f"{first:%Y-%m-%dT%H:%M:%SZ}"
        begin = week_before(first)
        assert forecast["known_steps"] == (first - begin).total_seconds() / 3600
        for n, step in enumerate(forecast["steps"]):
            start = first + datetime.timedelta(hours=n)
            assert step["start"] == f"{start:%Y-%m-%dT%H:%M:%SZ}"
            # THEN what came is between the bounds mostly
            came = seen.get(step["start"], 0.0)
            inside += float(step["low"]) <= came <= float(step["high"])
            errors += abs(float(step["amount"]) - came)
            mean = sum(seen.values()) / len(seen)
            naive += abs(mean - came)
            asked += 1
    assert asked > 50
    assert inside / asked > 0.8, (inside, asked)
    # AND the forecast knows the hours of the day, which a mean does not
    assert errors < 0.4 * naive


def week_before(now: datetime.datetime) -> datetime.datetime:
    """First moment of the seven days up to today in Paris."""
    midnight = now.astimezone(PARIS).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - 6 * DAY).astimezone(UTC)


def test_the_error_on_held_back_steps_is_what_a_forecast_without_them_has(
    rhythm: MirroredSales, stack: Stack, dashboard_program: Program, page_folder: Path, tmp_path: Path
) -> None:
    seen = hourly(rhythm)
    now = datetime.datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
    uri, name = stack.mongodb.uri, rhythm.database.name
    begin = (now - 8 * DAY).replace(hour=0, minute=0)
    # GIVEN one period, looked at now, and looked at when the held back steps were still to come
    query = f"from={begin:%Y-%m-%dT%H:%M:%SZ}&to={now + DAY:%Y-%m-%dT%H:%M:%SZ}"
    answers = {}
    for which in ("now", "before"):
        folder = tmp_path / which
        folder.mkdir()
        at = now if which == "now" else now - datetime.timedelta(hours=answers["now"]["held_back"]["steps"])
        dashboard = Dashboard(dashboard_program, folder, uri, name, page_folder, at=at)
        with dashboard.running:
            wait_until(dashboard.complete, "everything to be loaded")
            answers[which] = dashboard.json(f"/api/forecast?{query}")["forecast"]
    held = answers["now"]["held_back"]
    # THEN the error shown now is the one that the forecast of then turned out to have
    told = {step["start"]: float(step["amount"]) for step in answers["before"]["steps"]}
    hours = [f"{now - datetime.timedelta(hours=n):%Y-%m-%dT%H:00:00Z}" for n in range(held["steps"], 0, -1)]
    assert set(hours) <= set(told)
    error = sum(abs(told[hour] - seen.get(hour, 0)) for hour in hours) / sum(seen.get(hour, 0) for hour in hours)
    assert math.isclose(held["relative_error"], error, rel_tol=1e-3)
    bounds = {step["start"]: (float(step["low"]), float(step["high"])) for step in answers["before"]["steps"]}
    assert held["inside"] == sum(bounds[hour][0] <= seen.get(hour, 0) <= bounds[hour][1] for hour in hours)
    assert 0 < held["scaled_error"] < 1.5


def test_the_forecast_on_the_page_is_called_one_and_is_that_of_the_api(
    browser: Browser, rhythm: MirroredSales, stack: Stack, dashboard_program: Program, page_folder: Path, tmp_path: Path
) -> None:
    uri, name = stack.mongodb.uri, rhythm.database.name
    dashboard = Dashboard(dashboard_program, tmp_path, uri, name, page_folder)
    with dashboard.running:
        wait_until(dashboard.complete, "everything to be loaded")
        for locale, title, told in (
            ("en-GB", "Revenue to come (forecast)", "Error on steps held back"),
            ("fr-FR", "Chiffre d’affaires à venir (prévision)", "Erreur sur les pas mis de côté"),
        ):
            tab = DashboardPage(browser, dashboard.url, locale).open("period=7d")
            analysed(tab, "period=7d")
            forecast = dashboard.json("/api/forecast?period=7d")["forecast"]
            expect(tab.page.locator("#forecast h2")).to_have_text(title)
            expect(tab.page.locator("#forecast .sentences")).to_contain_text(told)
            shown = {start: [number(cell) for cell in cells] for start, cells in rows_of(tab, "forecast").items()}
            kinds = ("amount", "low", "high")
            assert shown == {step["start"]: [Decimal(step[kind]) for kind in kinds] for step in forecast["steps"]}
            # Sums are sums: no forecast is among them.
            over_time = tab.read()["tables"]["over-time"]
            ahead = [start for start in shown if start not in over_time]
            assert ahead and len(ahead) >= len(shown) - 1
            tab.close()
        error = forecast["held_back"]["relative_error"]
        path = tmp_path / "forecast.parquet"
        path.write_bytes(dashboard.get("/api/download/forecast.parquet?period=7d")[1])
        rows = duckdb.sql(f"SELECT amount, low, high FROM '{path}' ORDER BY start").fetchall()
        assert [tuple(map(str, row)) for row in rows] == [
            tuple(step[kind] for kind in kinds) for step in forecast["steps"]
        ]
        assert 0 <= error < 0.5
        # AND what cannot be forecast is not: an hour by the minute that nothing is known of, and what is over
        assert dashboard.json(f"/api/forecast?{query_of(between(5, 1))}")["forecast"]["status"] == "over"
        nothing = dashboard.json("/api/forecast?period=hour&region=Atlantis")["forecast"]
        assert (nothing["status"], nothing["steps"], nothing["held_back"]) == ("short", [], None)
        tab = DashboardPage(browser, dashboard.url).open("period=hour&region=Atlantis")
        analysed(tab, "period=hour&region=Atlantis")
        expect(tab.page.locator("#forecast .sentences")).to_contain_text("Not enough history for a forecast")
        tab.close()
