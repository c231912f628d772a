"""From the till to the screen with nothing made by hand, and the lake as the judge.

sales-producer -> Kafka -> lake-writer mirror -> MongoDB -> lake-dashboard -> page
                     `---> lake-writer run -> lake -> DuckDB -> what the page must show
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pymongo.database
from playwright.sync_api import Browser, expect

from harness.browser import DashboardPage
from harness.dashboard import Dashboard, compare, query_of
from harness.judge import Judge
from harness.kafka_cluster import KafkaCluster
from harness.lake import Lake
from harness.programs import Program, wait_until, write_config
from harness.sales import send
from native_stack import Stack

VIEWS = (
    ("all", {}),
    ("today", {"region": ("Île-de-France", "Bretagne")}),
    ("2026-01-30T00:00..2026-01-30T14:30", {"category": ("Boulangerie",)}),
)


class LakeSales:
    """The sales of a lake, to be asked as `sales`."""

    def __init__(self, judge: Judge) -> None:
        self.connection = judge.connection
        self.connection.sql("SET TimeZone = 'UTC'")
        files = f"read_parquet('{judge.glob}', hive_partitioning = true)"
        self.connection.sql(f"CREATE TABLE sales AS SELECT * FROM {files}")

    def query(self, sql: str) -> list[tuple]:
        """Asks DuckDB."""
        return self.connection.sql(sql).fetchall()


def test_sales_of_the_producer_are_on_the_page_as_they_are_in_the_lake(
    browser: Browser,
    kafka: KafkaCluster,
    stack: Stack,
    database: pymongo.database.Database,
    local: Lake,
    judge: Callable[[Lake], Judge],
    sales_producer: Program,
    lake_writer: Program,
    dashboard_program: Program,
    page_folder: Path,
    tmp_path: Path,
) -> None:
    # GIVEN sales of two days in Kafka, a mirror and a dashboard
    old, live = 5_000, 8_000
    sales = send(sales_producer, kafka, tmp_path, old, topic=kafka.create_topic(partitions=1))
    rollup = {"time": "sold_at", "by": ["region", "product_name"], "sum": ["amount", "quantity"]}
    place = {"uri": stack.mongodb.uri, "database": database.name, "rollup": rollup}
    mirrored = write_config(tmp_path / "mirror.toml", local, kafka.bootstrap, sales.topic, mirror={"mongodb": place})
    plain = write_config(tmp_path / "lake.toml", local, kafka.bootstrap, sales.topic)
    with lake_writer.start("--config", mirrored, "mirror"):
        dashboard = Dashboard(dashboard_program, tmp_path, stack.mongodb.uri, database.name, page_folder)
        with dashboard.running:
            wait_until(dashboard.complete, "the dashboard")
            tab = DashboardPage(browser, dashboard.url).open("period=all")
            # WHEN a thousand a second are sold
            sales_producer.run(
                "--bootstrap", kafka.bootstrap, "--topic", sales.topic, "--count", live, "--rate", 1_000, "--quiet"
            )  # fmt: skip
            sold = time.monotonic()
            expect(tab.page.locator("#tile-sales")).to_have_text(f"{old + live:,}", timeout=60_000)
            print(f"\nall of {live} sales were on the screen {time.monotonic() - sold:.2f} s after the producer ended")
            # THEN every number is what the lake says
            lake_writer.run("run", "--until-end", "--config", plain)
            judged = LakeSales(judge(local))
            for period, filters in VIEWS:
                query = query_of(period, **filters)
                view = DashboardPage(browser, dashboard.url).open(query)
                compare(view.read(), judged, **filters)
                view.close()
            tab.close()
