"""The Tableau workbook: the same bytes each time, valid by Tableau's schemas, and its queries give the right answers.

    tableau/workbook.toml, schemas/sale.avsc -> make_workbook -> XSD, SQL on DuckDB, pictures

Tableau itself is not there: that it opens the files is not tested. Whether what they use is defined is
test_workbook_check.py's.
"""

from __future__ import annotations

import copy
import datetime
import io
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from draw_workbook import table_of
from export_hyper import ROWS, LiveFile
from export_hyper import Extract as HyperExtract
from tableauhyperapi import Connection, CreateMode, HyperProcess, Telemetry, Timestamp, TypeTag

from harness.mirrored_sales import UTC, MadeSales
from harness.programs import ROOT
from harness.sheet_pictures import write_lake
from harness.tableau_schemas import objections, schema
from workbook.check import faults
from workbook.choose import ChoiceError, chosen
from workbook.design import design
from workbook.document import Document, text
from workbook.drawing import dashboard
from workbook.settings import Settings, SettingsError, read
from workbook.source import Extract, Live, tds
from workbook.sql import HYPER_INSTANT, QueryError, query

TABLEAU = ROOT / "tableau"
VERSIONS = ("2026.1", "2026.2")
FIGURES, TIME, MAP, PRODUCTS, CATEGORIES = (
    "Indicateurs", "Chiffre d'affaires dans le temps", "Carte des régions", "Meilleurs produits",
    "Catégories par région",
)  # fmt: skip
APOSTROPHE = "Provence-Alpes-Côte d'Azur"
BEGIN = datetime.datetime(2026, 1, 5, tzinfo=UTC)


def make(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs the generator as a user does."""
    command = [sys.executable, str(TABLEAU / "make_workbook.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def settings() -> Settings:
    return read(TABLEAU / "workbook.toml")


@pytest.fixture(scope="module")
def schemas() -> dict:
    return {version: schema(version) for version in VERSIONS}


@pytest.fixture(scope="module")
def committed() -> ET.Element:
    return ET.parse(TABLEAU / "sales.twb").getroot()


# -- the files ------------------------------------------------------------------------------------


def test_what_is_committed_is_what_the_generator_makes(tmp_path):
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        make("--to", tmp_path / name)
    for file in ("sales.twb", "sales.tds"):
        content = (tmp_path / "once" / file).read_bytes()
        assert content == (tmp_path / "again" / file).read_bytes()
        assert content == (TABLEAU / file).read_bytes(), "run `make workbook`"


def test_a_package_is_reproducible_and_has_the_extract_where_the_workbook_looks(tmp_path):
    extract = tmp_path / "mine.hyper"
    extract.write_bytes(b"not read by the generator")
    make("--to", tmp_path, "--extract", extract, "--package")
    once = (tmp_path / "sales.twbx").read_bytes()
    make("--to", tmp_path, "--extract", extract, "--package")
    assert (tmp_path / "sales.twbx").read_bytes() == once
    with zipfile.ZipFile(io.BytesIO(once)) as package:
        workbook = ET.fromstring(package.read("sales.twb"))
        (place,) = [it.get("dbname") for it in workbook.iter("connection") if it.get("class") == "hyper"]
        assert package.read(place) == extract.read_bytes()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", [Live("lake.example", 6000, "other", "me", sslmode="require"), Extract("x.hyper")])
def test_tableaus_schema_has_nothing_against_it(place, version, settings, schemas):
    for content in (
        text(Document(settings, design(settings), place, version[2:]).element()),
        text(tds(settings, design(settings), place, version[2:])),
    ):
        assert objections(schemas[version], content) == []
    # AND it would say so of what has another form
    assert objections(schemas[version], content.replace(b" role=", b" roll=")) != []


def test_the_endpoint_is_the_one_that_was_asked_for(tmp_path):
    make("--to", tmp_path, "--host", "lake.example", "--port", 6000, "--user", "me", "--name", "mine")
    for file in ("mine.twb", "mine.tds"):
        (found,) = [it for it in ET.parse(tmp_path / file).iter("connection") if it.get("class") == "postgres"]
        assert (found.get("server"), found.get("port"), found.get("username")) == ("lake.example", "6000", "me")
        assert ET.parse(tmp_path / file).find(".//relation").get("table") == "[public].[sales]"
    make("--to", tmp_path, "--table", "sales_live", "--name", "live")
    tables = {it.get("table") for it in ET.parse(tmp_path / "live.twb").iter("relation")}
    assert tables == {"[public].[sales_live]"}


def test_mistakes_are_named(tmp_path):
    assert "no-such.hyper" in make("--to", tmp_path, "--extract", "no-such.hyper", "--package", code=1).stderr
    assert "--package needs --extract" in make("--to", tmp_path, "--package", code=2).stderr
    other = tmp_path / "other.toml"
    content = (TABLEAU / "workbook.toml").read_text(encoding="utf-8")
    other.write_text(content.replace("../schemas", str(ROOT / "schemas")).replace('"amount"\nq', '"amuont"\nq'))
    assert "amuont" in make("--to", tmp_path, "--settings", other, code=1).stderr
    assert not list(tmp_path.glob("*.twb*"))


def test_another_topic_has_its_own_workbook(tmp_path, schemas):
    # GIVEN a schema with other names and types
    (tmp_path / "order.avsc").write_text(
        '{"type": "record", "name": "Order", "fields": [{"name": "number", "type": "long"}, {"name": "day", "type":'
        ' {"type": "int", "logicalType": "date"}}, {"name": "département", "type": "string"}, {"name": "article",'
        ' "type": ["null", "string"]}, {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A"]}},'
        ' {"name": "total", "type": "double"}, {"name": "pieces", "type": "int"}]}'
    )
    content = (TABLEAU / "workbook.toml").read_text(encoding="utf-8").replace("../schemas/sale.avsc", "order.avsc")
    parts = {"sale_id": "number", "sold_at": "day", "region": "département", "product_name": "article",
             "category": "kind", "amount": "total", "quantity": "pieces"}  # fmt: skip
    for ours, theirs in parts.items():
        content = content.replace(f'= "{ours}"', f'= "{theirs}"')
    (tmp_path / "orders.toml").write_text(content.replace('name = "sales"', 'name = "orders"'))
    # WHEN a workbook is made of it THEN it is sound and valid
    make("--to", tmp_path, "--settings", tmp_path / "orders.toml")
    made = (tmp_path / "orders.twb").read_bytes()
    assert faults(ET.fromstring(made)) == []
    assert objections(schemas["2026.1"], made) == []
    types = {it.get("name"): it.get("datatype") for it in ET.fromstring(made).findall("datasources/datasource/column")}
    assert (types["[number]"], types["[day]"], types["[article]"], types["[total]"]) == (
        "integer", "date", "string", "real",
    )  # fmt: skip


def test_a_type_that_tableau_lacks_is_an_error(tmp_path):
    (tmp_path / "sale.avsc").write_text('{"fields": [{"name": "x", "type": {"type": "map", "values": "int"}}]}')
    content = (TABLEAU / "workbook.toml").read_text(encoding="utf-8").replace("../schemas/", "")
    (tmp_path / "workbook.toml").write_text(content)
    with pytest.raises(SettingsError, match="map"):
        read(tmp_path / "workbook.toml")


# -- the queries ----------------------------------------------------------------------------------


class Rows:
    """Made sales in a lake's file, and what each sheet has to show of them, added up in Python."""

    def __init__(self, folder: Path) -> None:
        made = MadeSales(seed=5)
        self.sales = made.sales(1_500, BEGIN, BEGIN + datetime.timedelta(days=9))
        # Without a region, and at the two ends of a period.
        self.sales += [made.sale(BEGIN, "Corse", "Baguette") | {"region": None}]
        self.sales += [made.sale(BEGIN + datetime.timedelta(days=2), APOSTROPHE, "Kouign-amann")]
        self.sales += [made.sale(BEGIN + datetime.timedelta(days=4), APOSTROPHE, "Kouign-amann")]
        self.lake = folder
        write_lake(self.sales, folder)
        self.table = table_of(folder)
        self.connection = duckdb.connect()

    def asked(self, workbook: ET.Element, sheet: str) -> list[tuple]:
        return self.connection.sql(query(workbook, sheet, self.table).sql).fetchall()

    def summed(self, keep: Callable[[dict], bool], *fields: str) -> dict[tuple, Decimal]:
        sums: dict[tuple, Decimal] = defaultdict(Decimal)
        for sale in filter(keep, self.sales):
            sums[tuple(sale[field] for field in fields)] += sale["amount"].to_decimal()
        return dict(sums)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Rows:
    return Rows(tmp_path_factory.mktemp("lake"))


def everything(_: dict) -> bool:
    return True


def of_the_south(sale: dict) -> bool:
    """Three days, both ends included, two regions and no drinks."""
    within = BEGIN + datetime.timedelta(days=2) <= sale["sold_at"] <= BEGIN + datetime.timedelta(days=4)
    return within and sale["region"] in (APOSTROPHE, "Occitanie") and sale["category"] in ("Boulangerie", "Épicerie")


def south(workbook: ET.Element) -> ET.Element:
    """The same as choices in the filters."""
    begin = BEGIN.replace(tzinfo=None)
    return chosen(
        workbook,
        {"region": [APOSTROPHE, "Occitanie"], "category": ["Boulangerie", "Épicerie"]},
        (begin + datetime.timedelta(days=2), begin + datetime.timedelta(days=4)),
    )


@pytest.fixture(params=["all sales", "chosen in the filters"])
def view(request, committed, schemas) -> tuple[ET.Element, Callable[[dict], bool]]:
    """A workbook, and which sales it shows."""
    if request.param == "all sales":
        return committed, everything
    workbook = south(committed)
    # With choices it is still a workbook.
    assert faults(workbook) == []
    assert objections(schemas["2026.2"], ET.tostring(workbook)) == []
    return workbook, of_the_south


def test_the_figures_are_those_of_the_sales(view, rows):
    workbook, keep = view
    kept = list(filter(keep, rows.sales))
    amount = sum(sale["amount"].to_decimal() for sale in kept)
    assert kept
    (found,) = rows.asked(workbook, FIGURES)
    assert found[:2] == (amount, len(kept))
    assert found[2] == pytest.approx(float(amount) / len(kept), rel=1e-12)
    assert found[3] == sum(sale["quantity"] for sale in kept)


def test_revenue_over_time_is_by_day_in_utc(view, rows):
    workbook, keep = view
    days: dict[datetime.datetime, Decimal] = defaultdict(Decimal)
    for sale in filter(keep, rows.sales):
        day = sale["sold_at"].replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        days[day] += sale["amount"].to_decimal()
    assert len(days) >= 3
    assert rows.asked(workbook, TIME) == sorted(days.items())


def test_the_map_has_each_region_once(view, rows):
    workbook, keep = view
    found = dict(rows.asked(workbook, MAP))
    assert {(region,): amount for region, amount in found.items()} == rows.summed(keep, "region")
    assert APOSTROPHE in found


def test_the_best_products_are_those_of_what_the_filters_leave(view, rows):
    workbook, keep = view
    best = sorted(rows.summed(keep, "product_name").items(), key=lambda it: (-it[1], it[0]))[:10]
    assert rows.asked(workbook, PRODUCTS) == [(name, amount) for (name,), amount in best]


def test_categories_stand_by_region_the_largest_region_first(view, rows):
    workbook, keep = view
    found = rows.asked(workbook, CATEGORIES)
    assert {row[:2]: row[2] for row in found} == rows.summed(keep, "region", "category")
    regions = rows.summed(keep, "region")
    assert list(dict.fromkeys(row[0] for row in found)) == sorted(
        (name for (name,) in regions), key=lambda name: -regions[name,]
    )


def test_the_folders_of_a_lake_do_not_speak_for_its_fields(committed, rows, tmp_path):
    # GIVEN a file in the folder that null and the empty string share
    folder = tmp_path / "data" / "date=2026-01-05" / "region=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir(parents=True)
    shutil.copy(rows.lake / "data" / "sales.parquet", folder)
    # THEN regions are those inside of it
    found = rows.connection.sql(query(committed, MAP, table_of(tmp_path)).sql).fetchall()
    assert found == rows.asked(committed, MAP)


def test_nothing_chosen_shows_nothing(committed, rows):
    workbook = chosen(committed, {"product_name": []})
    assert rows.asked(workbook, MAP) == []
    assert rows.asked(workbook, FIGURES) == [(None, 0, None, None)]


def test_a_choice_without_a_filter_and_a_query_without_sql_are_errors(committed):
    with pytest.raises(ChoiceError, match="store_id"):
        chosen(committed, {"store_id": ["S0001"]})
    with pytest.raises(QueryError, match="no sheet Carte"):
        query(committed, "Carte", "sales")
    workbook = copy.deepcopy(committed)
    workbook.find("shared-views/shared-view/filter").set("class", "relative-date")
    with pytest.raises(QueryError, match="relative-date"):
        query(workbook, MAP, "sales")


# -- the pictures and the extract -----------------------------------------------------------------


@pytest.mark.parametrize("device", ["", "Phone"])
def test_a_picture_has_every_sheet_and_the_figures(device, committed, rows):
    workbook = south(committed)
    figure = dashboard(workbook, rows.connection, rows.table, device)
    written = {it.get_text() for it in figure.texts}
    assert {FIGURES, TIME, MAP, PRODUCTS, CATEGORIES, "Ventes en direct"} <= written
    assert f"{APOSTROPHE}, Occitanie" in written
    amount = rows.asked(workbook, FIGURES)[0][0]
    told = f"{amount:,.2f}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ",")
    assert told in {it.get_text() for axes in figure.axes for it in axes.texts}
    best = rows.asked(workbook, PRODUCTS)
    labels = [[it.get_text() for it in axes.get_yticklabels()] for axes in figure.axes]
    bars = figure.axes[labels.index([product for product, _ in best])]
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([float(amount) for _, amount in best])


def test_the_pictures_of_a_lake_are_drawn_by_one_command(rows, tmp_path):
    command = [sys.executable, str(TABLEAU / "draw_workbook.py"), str(TABLEAU / "sales.twb"), "--lake", str(rows.lake)]
    once = [*command, "--to", str(tmp_path), "--layout", "phone"]
    drawn = subprocess.run(once, capture_output=True, text=True, check=False, timeout=120)
    assert drawn.returncode == 0, drawn.stderr
    (picture,) = tmp_path.glob("*.png")
    assert (picture.name, picture.read_bytes()[:4]) == ("sales-phone.png", b"\x89PNG")
    failed = subprocess.run([*command, "--choose", "shop=1"], capture_output=True, text=True, check=False, timeout=60)
    assert failed.returncode == 1
    assert "there is no filter for shop" in failed.stderr


@pytest.fixture
def extract(rows, tmp_path) -> Iterator[Connection]:
    """The rows in an extract as export_hyper.py makes it, open in Tableau's own engine."""
    with (
        HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}) as hyper,
        Connection(hyper.endpoint, tmp_path / "sales.hyper", CreateMode.CREATE) as connection,
    ):
        file = LiveFile("data/sales.parquet", len(rows.sales), "")
        HyperExtract(connection).add(1, file, rows.lake / file.path)
        yield connection


def test_an_extract_has_the_columns_that_the_workbook_asks_for(extract, settings):
    stored = {it.name.unescaped: it.type.tag for it in extract.catalog.get_table_definition(ROWS).columns}
    workbook = Document(settings, design(settings), Extract("sales.hyper"), "26.1").element()
    assert workbook.find(".//relation").get("table").replace("[", '"').replace("]", '"') == str(ROWS)
    fitting = {
        "string": TypeTag.TEXT, "real": TypeTag.NUMERIC, "integer": TypeTag.BIG_INT, "datetime": TypeTag.TIMESTAMP_TZ,
    }  # fmt: skip
    types = {it.findtext("remote-name"): it.findtext("local-type") for it in workbook.iter("metadata-record")}
    # A made sale lacks what no sheet shows.
    for name in {field.name for field in settings.parts.values()}:
        assert stored[name] == fitting[types[name]], name


def test_tableaus_engine_answers_the_same_as_duckdb(view, rows, extract):
    workbook, _ = view
    for sheet in (FIGURES, TIME, MAP, PRODUCTS, CATEGORIES):
        asked = query(workbook, sheet, str(ROWS), HYPER_INSTANT).sql
        found = [tuple(map(plain, row)) for row in extract.execute_list_query(asked)]
        expected = [tuple(map(plain, row)) for row in rows.asked(workbook, sheet)]
        assert sorted(found, key=repr) == sorted(expected, key=repr), sheet
        assert found


def plain(value: object) -> object:
    """A value as both engines' clients agree on; averages have other scales."""
    if isinstance(value, Timestamp):
        return value.to_datetime()
    return round(float(value), 5) if isinstance(value, (Decimal, float)) else value
