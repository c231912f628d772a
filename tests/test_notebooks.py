"""The notebooks, executed over real lakes: DuckDB and Spark agree with the producer's own totals."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from harness.programs import ROOT, write_config
from harness.sales import send


def execute(name: str, lake_url: str, folder: Path, environment: dict[str, str]) -> dict:
    """Runs a notebook from top to bottom and returns the figures it writes at its end."""
    results = folder / f"{name}.json"
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    env = {**os.environ, **environment, "LAKE_URL": lake_url, "NOTEBOOK_RESULTS": str(results)}
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(env=env)
    return json.loads(results.read_text(encoding="utf-8"))


def agree(found: dict, totals: dict) -> None:
    assert found["rows"] == totals["rows"]
    assert found["sale_ids"] == totals["distinct_sale_ids"]
    for key, theirs in (("by_region", totals["by_region"]), ("by_day", totals["by_date"])):
        ours = {name: (sales, Decimal(revenue)) for name, (sales, revenue) in found[key].items()}
        assert ours == {name: (entry["rows"], Decimal(entry["amount"])) for name, entry in theirs.items()}


@pytest.mark.parametrize("lake", ["local", "s3"], indirect=True)
def test_duckdb(kafka, lake, sales_producer, lake_writer, tmp_path):
    sales = send(sales_producer, kafka, tmp_path, 20_000)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic)
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    environment = dict(lake.environment)
    if lake.kind == "s3":
        environment["AWS_ENDPOINT_URL"] = lake.settings["store"]["s3"]["endpoint"]
    found = execute("duckdb", lake.url, tmp_path, environment)
    agree(found, sales.totals)
    assert "1/" in found["pruning_plan"].replace(" ", ""), found["pruning_plan"]


@pytest.mark.parametrize("lake", ["local", "hdfs"], indirect=True)
def test_spark_agrees_with_duckdb(kafka, lake, sales_producer, lake_writer, judge, tmp_path):
    sales = send(sales_producer, kafka, tmp_path, 20_000)
    config = write_config(tmp_path / "w.toml", lake, kafka.bootstrap, sales.topic)
    lake_writer.run("--config", config, "run", "--until-end", env=lake.environment)
    found = execute("spark", lake.url, tmp_path, {})
    agree(found, sales.totals)
    assert "PartitionFilters: [isnotnull(date" in found["pruning_plan"], found["pruning_plan"]
    copy = judge(lake).table
    other = execute("duckdb", f"file://{copy}", tmp_path, {})
    for key in ("rows", "sale_ids", "by_day", "by_region", "best_products"):
        assert found[key] == other[key], key
