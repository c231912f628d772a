"""A running lake-dashboard, and what DuckDB says that it should show.

    Program -> Dashboard -> answers of its API
    MirroredSales + a view -> said -> compare(page)

Owns the oracle of every figure. Does not own reading the page (see browser).
"""

from __future__ import annotations

import datetime
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pymongo.database

from .browser import DashboardPage
from .mirrored_sales import UTC, MirroredSales
from .programs import Program, RunningProgram, to_toml

PARIS = ZoneInfo("Europe/Paris")
DAY = datetime.timedelta(days=1)
EVERYTHING = {"from": "1900-01-01T00:00:00Z", "to": "2200-01-01T00:00:00Z"}
STEPS = {"minute": 1, "five_minutes": 5, "quarter_hour": 15, "hour": 60}


class Dashboard:
    """A running lake-dashboard and what it is asked."""

    def __init__(
        self,
        program: Program,
        folder: Path,
        uri: str,
        database: str,
        page: Path,
        *,
        at: datetime.datetime | None = None,
        **settings: dict,
    ) -> None:
        """Starts it, with a clock that stands still `at` a moment if one is given."""
        clock = ("--now", at.isoformat()) if at else ()
        config = folder / f"dashboard-{time.monotonic_ns()}.toml"
        config.write_text(to_toml({"mongodb": {"uri": uri, "database": database}, **settings}), encoding="utf-8")
        self.running: RunningProgram = program.start(
            "--config", config, "--listen", "127.0.0.1:0", "--page", page, *clock
        )
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
        """Whether older days are loaded as well, and sales read for statistics."""
        status, body = self.get("/api/totals?period=all")
        if status != 200 or not json.loads(body)["complete"]:
            return False
        statistics = self.json("/api/statistics?period=all")["statistics"]
        return statistics is None or statistics["complete"]


def made(database: pymongo.database.Database) -> MirroredSales:
    """Sales of seventy days: some a day long ago, more of today and of the last minutes."""
    mirrored = MirroredSales(database)
    now = datetime.datetime.now(UTC)
    old = mirrored.sales(6_000, now - 70 * DAY, now - DAY)
    recent = mirrored.sales(3_000, now - DAY, now - datetime.timedelta(minutes=50))
    latest = mirrored.sales(1_000, now - datetime.timedelta(minutes=50), now)
    mirrored.insert([*old, *recent, *latest])
    return mirrored


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


def compare(page: dict, mirrored: MirroredSales, **filters: tuple) -> None:
    """Every number on the page against DuckDB, for the period that the page says it shows."""
    period = page["period"]
    # Everything is everything, whatever the page took for its end.
    looked_at = {**period, **EVERYTHING} if page["drawn"].startswith("period=all") else period
    expected = said(mirrored, where(looked_at, **filters), period)
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


def until_right(check: Callable[[], None]) -> None:
    """Checks until it holds, within seconds: sales are read again after they have changed, and minutes pass."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def until_equal(tab: DashboardPage, mirrored: MirroredSales, **filters: tuple) -> None:
    """The page shows what DuckDB says, within seconds."""
    deadline = time.monotonic() + 15
    while True:
        try:
            tab.settled()
            compare(tab.read(), mirrored, **filters)
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
