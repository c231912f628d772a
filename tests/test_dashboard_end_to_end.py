"""From the till to the screen with nothing made by hand, and the lake as the judge.

sales-producer -> Kafka -> lake-writer mirror -> MongoDB -> lake-dashboard -> page
                     `---> lake-writer run -> lake -> DuckDB -> what the page must show
"""

from __future__ import annotations

import json
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
    ("2026-01-30T00:00..2026-01-30T14:30", {"category": ("Divers",)}),
)
# Sales are enriched on their way: the family of a product is looked up, in place of the category that it came with.
DERIVED = """
[reference.products]
file = "products.csv"
key = "product_id"

[[column]]
name = "family"
lookup = "products.family"
by = "product_id"
default = "Divers"
"""


def write_families(folder: Path, messages: list[bytes]) -> Path:
    """A reference table of every second product that was sold."""
    products = dict(sorted((sale["product_id"], sale["category"]) for sale in map(json.loads, messages)))
    rows = [f"{product},Rayon {category}\n" for product, category in list(products.items())[::2]]
    (folder / "products.csv").write_text("product_id,family\n" + "".join(rows), encoding="utf-8")
    (folder / "derived.toml").write_text(DERIVED, encoding="utf-8")
    return folder / "derived.toml"


class LakeSales:
    """The sales of a lake, to be asked as `sales`."""

    def __init__(self, judge: Judge) -> None:
        # The page's categories are the families.
        self.connection = judge.connection
        self.connection.sql("SET TimeZone = 'UTC'")
        files = f"read_parquet('{judge.glob}', hive_partitioning = true)"
        self.connection.sql(f"CREATE TABLE sales AS SELECT * REPLACE (family AS category) FROM {files}")

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
    sales = send(sales_producer, kafka, tmp_path, old, topic=kafka.create_topic(partitions=4))
    table = {"derived": str(write_families(tmp_path, kafka.values(sales.topic)))}
    rollup = {"time": "sold_at", "by": ["region", "product_name"], "sum": ["amount", "quantity"]}
    place = {"uri": stack.mongodb.uri, "database": database.name, "rollup": rollup}
    plain = write_config(tmp_path / "lake.toml", local, kafka.bootstrap, sales.topic, table=table)
    mirror = {"mongodb": place}
    mirrored = write_config(
        tmp_path / "mirror.toml", local, kafka.bootstrap, sales.topic, table=table, mirror=mirror
    )
    with lake_writer.start("--config", mirrored, "mirror"):
        fields = {"category": "family"}
        dashboard = Dashboard(dashboard_program, tmp_path, stack.mongodb.uri, database.name, page_folder, fields=fields)
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
