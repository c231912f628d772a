"""The check of the workbook finds what Tableau's schema lets pass: each fault is planted, and has to be named."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from harness.programs import ROOT
from harness.tableau_schemas import objections, schema
from workbook.check import faults
from workbook.formula import FormulaError, parse
from workbook.reading import references, shared_filters, sheets, slices

FIGURES, TIME, MAP, PRODUCTS, CATEGORIES = (
    "Indicateurs", "Chiffre d'affaires dans le temps", "Carte des régions", "Meilleurs produits",
    "Catégories par région",
)  # fmt: skip


@pytest.fixture(scope="module")
def committed() -> ET.Element:
    return ET.parse(ROOT / "tableau" / "sales.twb").getroot()


def test_the_workbook_is_sound(committed):
    assert faults(committed) == []


def test_the_data_source_alone_is_sound_and_its_faults_are_found():
    source = ET.parse(ROOT / "tableau" / "sales.tds").getroot()
    assert faults(source) == []
    source.find("column[@name='[calc_average]']/calculation").set("formula", "SUM([amuont])")
    assert faults(source) == ["the formula of [calc_average] uses [amuont], which is not defined"]


def test_filters_act_on_every_sheet(committed):
    shared = shared_filters(committed)
    fields = [references(column)[0][1] for column in shared]
    assert fields == ["[none:sold_at:qk]", "[none:region:nk]", "[none:product_name:nk]", "[none:category:nk]"]
    assert list(sheets(committed)) == [FIGURES, TIME, MAP, PRODUCTS, CATEGORIES]
    for sheet in sheets(committed).values():
        assert set(shared) <= set(slices(sheet.find("table/view")))
    # AND each of them can be chosen on the desktop and on the phone
    for layout in (committed.find(".//dashboard"), committed.find(".//devicelayout[@name='Phone']")):
        assert {it.get("param") for it in layout.findall("zones//zone[@type-v2='filter']")} == set(shared)


def replaced(path: str, attribute: str, value: str) -> Callable[[ET.Element], None]:
    """Sets an attribute of the one element, or of the first."""

    def plant(workbook: ET.Element) -> None:
        element = workbook.find(path)
        assert element.get(attribute) not in (None, value)
        element.set(attribute, value)

    return plant


def rewritten(path: str, old: str, new: str) -> Callable[[ET.Element], None]:
    """Replaces a part of an element's text."""

    def plant(workbook: ET.Element) -> None:
        element = workbook.find(path)
        assert old in element.text
        element.text = element.text.replace(old, new)

    return plant


def removed(parent: str, child: str) -> Callable[[ET.Element], None]:
    """Removes an element."""

    def plant(workbook: ET.Element) -> None:
        element = workbook.find(parent)
        element.remove(element.find(child))

    return plant


def both(*plants: Callable[[ET.Element], None]) -> Callable[[ET.Element], None]:
    """Several at once, for what stands in the file more than once."""

    def plant(workbook: ET.Element) -> None:
        for one in plants:
            one(workbook)

    return plant


def sheet(name: str, below: str) -> str:
    """A path below a worksheet."""
    return f'worksheets/worksheet[@name="{name}"]/table/{below}'


def use(name: str) -> str:
    return f"view/datasource-dependencies/column-instance[@name='{name}']"


def linked(old: str, new: str) -> Callable[[ET.Element], None]:
    """Replaces a part of what the first action passes on."""

    def plant(workbook: ET.Element) -> None:
        link = workbook.find(f"{ACTION}/link")
        assert old in link.get("expression")
        link.set("expression", link.get("expression").replace(old, new))

    return plant


ROW, COLUMN = "[federated.sales].[sum:amount:qk]", "[federated.sales].[tdy:sold_at:qk]"
SOURCE = "datasources/datasource"
DASHBOARD = "dashboards/dashboard"
ACTION = "actions/action[@name='[Action1]']"
SOLD_AT = "[federated.sales].[none:sold_at:qk]"
PLANTED = {
    "an unknown field on a shelf": (
        rewritten(sheet(TIME, "rows"), "amount", "amuont"),
        "[sum:amuont:qk] is not declared",
    ),
    "another data source on a shelf": (
        rewritten(sheet(TIME, "rows"), "federated.sales", "federated.other"), "[federated.other]",
    ),
    "an unknown field as a colour": (
        replaced(sheet(MAP, "panes/pane/encodings/color"), "column", "[federated.sales].[sum:margin:qk]"),
        "[sum:margin:qk] is not declared",
    ),
    "a derivation of a wrong kind": (
        replaced(sheet(TIME, use("[sum:amount:qk]")), "derivation", "Day-Trunc"), "does not fit a column of type real",
    ),
    "a derivation that is not its name's": (
        replaced(sheet(TIME, use("[sum:amount:qk]")), "derivation", "Avg"), "should be [avg:amount:qk]",
    ),
    "a derivation that there is not": (
        replaced(sheet(TIME, use("[sum:amount:qk]")), "derivation", "Summe"), "no derivation Summe",
    ),
    "an aggregate that is discrete": (
        replaced(sheet(TIME, use("[sum:amount:qk]")), "type", "nominal"), "an aggregate is quantitative",
    ),
    "an aggregate of an aggregate": (
        both(
            replaced(sheet(FIGURES, use("[usr:calc_average:qk]")), "derivation", "Sum"),
            replaced(sheet(FIGURES, use("[usr:calc_average:qk]")), "name", "[sum:calc_average:qk]"),
        ),
        "[calc_average] aggregates",
    ),
    "a sum of a text": (
        both(
            replaced(sheet(PRODUCTS, use("[none:product_name:nk]")), "derivation", "Sum"),
            replaced(sheet(PRODUCTS, use("[none:product_name:nk]")), "name", "[sum:product_name:nk]"),
        ),
        "Sum does not fit a column of type string",
    ),
    "a use of a column that is not declared": (
        removed(sheet(TIME, "view/datasource-dependencies"), "column[@name='[amount]']"),
        "[amount], which is not declared",
    ),
    "a column that is another one than in the data source": (
        replaced(sheet(TIME, "view/datasource-dependencies/column[@name='[amount]']"), "datatype", "integer"),
        "[amount] is not defined as it is used",
    ),
    "a formula with an unknown field": (
        replaced(f"{SOURCE}/column[@name='[calc_average]']/calculation", "formula", "SUM([amuont]) / COUNT([sale_id])"),
        "uses [amuont], which is not defined",
    ),
    "a formula that is none": (
        replaced(f"{SOURCE}/column[@name='[calc_average]']/calculation", "formula", "SUM([amount]"), "is not closed",
    ),
    "a formula of a formula": (
        replaced(f"{SOURCE}/column[@name='[calc_average]']/calculation", "formula", "SUM([calc_sales])"),
        "[calc_sales], which is computed itself",
    ),
    "a formula whose field is not declared on the sheet": (
        removed(sheet(FIGURES, "view/datasource-dependencies"), "column[@name='[sale_id]']"),
        "[sale_id], of the formula of [calc_sales], is not declared",
    ),
    "a column that the table does not have": (
        removed(f"{SOURCE}/connection/metadata-records", "metadata-record"),
        "[sale_id] is neither computed nor in the table",
    ),
    "a table from an unknown connection": (
        replaced(f"{SOURCE}/connection/relation", "connection", "hyper.sales"), "hyper.sales, which is not there",
    ),
    "a filter on an unknown field": (
        replaced("shared-views/shared-view/filter", "column", "[federated.sales].[none:sold_on:qk]"),
        "[none:sold_on:qk] is not declared",
    ),
    "a filter of members of another field": (
        replaced("shared-views/shared-view/filter/groupfilter", "level", "[none:category:nk]"), "chooses members of",
    ),
    "a filter of a period on a text": (
        replaced("shared-views/shared-view/filter", "column", "[federated.sales].[none:region:nk]"),
        "is no field for a filter of the class quantitative",
    ),
    "a sheet without one of the filters": (
        removed(sheet(MAP, "view/slices"), "column"), f"sheet {MAP}: is not filtered by {SOLD_AT}",
    ),
    "a slice without a filter": (
        rewritten(sheet(MAP, "view/slices/column"), "sold_at", "amount"), "for which there is no filter",
    ),
    "a filter that is not among the slices": (
        removed(sheet(PRODUCTS, "view/slices"), "column[5]"), "is not among the slices",
    ),
    "the best by an unknown field": (
        replaced(sheet(PRODUCTS, "view/filter/groupfilter/groupfilter"), "expression", "SUM([margin])"),
        "[margin] is not declared",
    ),
    "the best by no aggregate": (
        replaced(sheet(PRODUCTS, "view/filter/groupfilter/groupfilter"), "expression", "[amount]"),
        "no aggregate to rank by",
    ),
    "an order by an unknown field": (
        replaced(sheet(PRODUCTS, "view/computed-sort"), "using", "[federated.sales].[avg:amount:qk]"),
        "order: [federated.sales].[avg:amount:qk] is not declared",
    ),
    "measures by name without saying which": (removed(sheet(FIGURES, "view"), "filter"), "does not say which"),
    "an unknown measure among those by name": (
        rewritten(sheet(FIGURES, "view/manual-sort/dictionary/bucket"), "amount", "margin"),
        "[sum:margin:qk] is not declared",
    ),
    "a map of what is no place": (
        both(*(
            lambda workbook, path=path: workbook.find(path).attrib.pop("semantic-role")
            for path in (
                f"{SOURCE}/column[@name='[region]']",
                sheet(MAP, "view/datasource-dependencies/column[@name='[region]']"),
            )
        )),
        "a map without a field that has a geographic role",
    ),
    "a map without maps": (removed(sheet(MAP, "view"), "mapsources"), "a map without a source of maps"),
    "a zone for a missing sheet": (
        replaced(f"{DASHBOARD}/zones/zone/zone[@name='{MAP}']", "name", "Carte"),
        "shows the sheet Carte, which is not there",
    ),
    "a sheet that no zone shows": (
        removed(f"{DASHBOARD}/devicelayouts/devicelayout/zones/zone", f"zone[@name='{PRODUCTS}']"),
        f"Phone: the sheet {PRODUCTS} is not shown",
    ),
    "a card for a missing filter": (
        replaced(f"{DASHBOARD}/zones/zone/zone[@type-v2='filter']", "param", "[federated.sales].[none:store_id:nk]"),
        "which is not there",
    ),
    "zones on each other": (replaced(f"{DASHBOARD}/zones/zone/zone[@name='{MAP}']", "x", "59000"), "lie on each other"),
    "a zone beyond the edge": (
        replaced(f"{DASHBOARD}/zones/zone/zone[@name='{MAP}']", "w", "41000"), "reaches beyond the dashboard",
    ),
    "two zones with one number": (
        replaced(f"{DASHBOARD}/zones/zone/zone[@id='3']", "id", "4"),
        "zones have the number 4",
    ),
    "an action from a missing sheet": (replaced(f"{ACTION}/source", "worksheet", "Carte"), "starts on the sheet Carte"),
    "an action from a missing dashboard": (
        replaced(f"{ACTION}/source", "dashboard", "Ventes"), "starts on the dashboard Ventes",
    ),
    "an action on a missing sheet": (
        replaced(f"{ACTION}/command/param[@name='target']", "value", "Ventes"), "acts on Ventes, which is not there",
    ),
    "an action that leaves out a missing sheet": (
        replaced(f"{ACTION}/command/param[@name='exclude']", "value", "Carte"), "leaves out the sheet Carte",
    ),
    "an action with an unknown field": (
        linked("region", "country"), "passes on [federated.sales].[country], which is not declared",
    ),
    "an action with a field that its sheet does not show": (
        replaced(f"{ACTION}/source", "worksheet", PRODUCTS), "which its sheet does not show",
    ),
    "an action with an unknown command": (replaced(f"{ACTION}/command", "command", "tsc:tsl-philtre"), "no command"),
    "a highlight by an unknown caption": (
        replaced("actions/action/command/param[@name='field-captions']", "value", "Regions"), "no field's caption",
    ),
    "a window of a missing sheet": (
        replaced("windows/window[@class='worksheet']", "name", "Chiffres"),
        "the worksheet Chiffres, which is not there",
    ),
    "a picture of a missing sheet in the dashboard's window": (
        replaced("windows/window/viewpoints/viewpoint", "name", "Chiffres"), "shows Chiffres, which is not there",
    ),
    "a column twice": (
        lambda workbook: workbook.find(SOURCE).insert(2, copy.deepcopy(workbook.find(f"{SOURCE}/column"))),
        "[sale_id] is defined 2 times",
    ),
    "a column of the table that is not defined": (
        removed(SOURCE, "column[@name='[channel]']"), "the table's column [channel] is not defined",
    ),
    "a use of no type": (replaced(sheet(TIME, use("[sum:amount:qk]")), "type", "big"), "there is no type big"),
    "a link to a missing data source": (
        replaced(sheet(TIME, "view/datasources/datasource"), "name", "federated.other"),
        "the data source federated.other is not there",
    ),
    "fields of a missing data source": (
        replaced(sheet(TIME, "view/datasource-dependencies"), "datasource", "federated.other"),
        "uses fields of federated.other, which is not there",
    ),
    "a filter of all sheets once more on a sheet": (
        lambda workbook: workbook.find(sheet(TIME, "view")).insert(
            2, copy.deepcopy(workbook.find("shared-views/shared-view/filter"))
        ),
        f"filters {SOLD_AT} once more than all sheets do",
    ),
    "a sheet that shows nothing": (
        both(rewritten(sheet(TIME, "rows"), ROW, ""), rewritten(sheet(TIME, "cols"), COLUMN, "")), "shows nothing",
    ),
    "a shelf with words": (rewritten(sheet(TIME, "rows"), ROW, "amount"), "`amount` names no field"),
    "another sheet on the phone in the place of the desktop's": (
        replaced(f"{DASHBOARD}/devicelayouts/devicelayout/zones/zone/zone[@name='{MAP}']", "name", TIME),
        "is another one than on the desktop",
    ),
    "a card for a filter that the dashboard does not declare": (
        removed(f"{DASHBOARD}/datasource-dependencies", "column-instance"), "which the dashboard does not declare",
    ),
    "two actions of one name": (
        replaced("actions/action[@name='[Action2]']", "name", "[Action1]"), "there are 2 actions [Action1]",
    ),
    "an action that passes nothing on": (removed(ACTION, "link"), "passes no field on"),
    "an action linked to another dashboard": (linked("Ventes%20en", "Achats%20en"), "is linked to Achats en direct"),
    "an action that passes a field on as another one": (linked("%5Bregion", "%5Bcategory"), "passes [federated.sales]"),
    "a sheet without a window": (removed("windows", f"window[@name='{MAP}']"), f"the worksheet {MAP} has no window"),
    "one identity twice": (
        lambda workbook: workbook.findall(".//simple-id")[1].set("uuid", workbook.find(".//simple-id").get("uuid")),
        "is there 2 times",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault, committed):
    plant, said = PLANTED[fault]
    workbook = copy.deepcopy(committed)
    plant(workbook)
    found = faults(workbook)
    assert any(said in line for line in found), found


def test_tableaus_schema_alone_lets_faults_pass(committed):
    # What the check is for: of all planted faults, hardly one is against the schema.
    validator, passed = schema("2026.2"), 0
    for plant, _ in PLANTED.values():
        workbook = copy.deepcopy(committed)
        plant(workbook)
        passed += objections(validator, ET.tostring(workbook)) == []
    assert passed > len(PLANTED) * 0.8


NOT_UNDERSTOOD = ("SUM([a]", "[a] +", "IF [a] THEN 1 END", "MEDIAN([a])", "", "[a] [b]", "SUM", "'x'")


@pytest.mark.parametrize("formula", NOT_UNDERSTOOD)
def test_a_formula_that_is_not_understood_is_an_error(formula):
    with pytest.raises(FormulaError):
        parse(formula)
