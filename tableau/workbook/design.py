"""What a workbook shows: sheets, filters, actions and where they lie, before any XML.

    Settings -> Design

Owns what there is to see. How that is written is document.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

from .fields import MEASURE_NAMES, MEASURE_VALUES, Use
from .settings import Settings

TOP_PRODUCTS = 10


@dataclass(frozen=True)
class Calculation:
    """A computed field."""

    column: str
    caption: str
    datatype: str
    role: str
    formula: str


@dataclass(frozen=True)
class Sort:
    """The order of a dimension's members: by the largest of a measure."""

    column: Use
    by: Use


@dataclass(frozen=True)
class Top:
    """Only the members of a column with the most of an expression."""

    column: Use
    expression: str
    count: int


@dataclass(frozen=True)
class Sheet:
    """A worksheet. What is on a shelf is a use of a column or the name of a generated field."""

    name: str
    mark: str
    rows: tuple[Use | str, ...]
    columns: tuple[Use | str, ...]
    encodings: tuple[tuple[str, Use | str], ...]
    sort: Sort | None = None
    top: Top | None = None
    # The measures of a sheet that has their names as a dimension, in order.
    measures: tuple[Use, ...] = ()
    is_map: bool = False


@dataclass(frozen=True)
class Action:
    """What a click on a mark does to the other sheets, or a mark under the pointer."""

    caption: str
    # "filter" or "highlight".
    kind: str
    sheet: str
    field: str


@dataclass(frozen=True)
class Zone:
    """A place on the dashboard, in hundred-thousandths of its width and height."""

    # "title", "filter" or "sheet".
    kind: str
    # The sheet's name, or that of the filter's use.
    what: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Design:
    """Everything to be seen."""

    calculations: tuple[Calculation, ...]
    # Filters that act on every sheet.
    filters: tuple[Use, ...]
    sheets: tuple[Sheet, ...]
    actions: tuple[Action, ...]
    desktop: tuple[Zone, ...]
    phone: tuple[Zone, ...]
    phone_height_px: int = 2400


def design(settings: Settings) -> Design:
    """The dashboard of a table with sales: figures, time, regions, products and categories."""
    part = {name: f"[{field.name}]" for name, field in settings.parts.items()}
    words = settings.words["calculations"]
    sales = Calculation("[calc_sales]", words["sales"], "integer", "measure", f"COUNT({part['id']})")
    average = Calculation(
        "[calc_average]", words["average"], "real", "measure", f"SUM({part['amount']}) / COUNT({part['id']})"
    )
    # A column has one filter on a sheet, and the product's is everybody's: the best are chosen by a second one.
    ranked = Calculation("[calc_ranked_product]", words["ranked_product"], "string", "dimension", part["product"])
    filters = (
        Use(part["time"], "None", "quantitative"),
        *(Use(part[name], "None", "nominal") for name in ("region", "product", "category")),
    )
    sheets = _sheets(settings, part, sales, average, ranked)
    return Design((sales, average, ranked), filters, sheets, _actions(settings), *_layouts(settings, filters))


def _sheets(
    settings: Settings, part: dict[str, str], sales: Calculation, average: Calculation, ranked: Calculation
) -> tuple[Sheet, ...]:
    names = settings.words["sheets"]
    region, product, category = (Use(part[name], "None", "nominal") for name in ("region", "product", "category"))
    amount, quantity = (Use(part[name], "Sum", "quantitative") for name in ("amount", "quantity"))
    measures = (amount, *(Use(it.column, "User", "quantitative") for it in (sales, average)), quantity)
    day = Use(part["time"], "Day-Trunc", "quantitative")
    best = Top(Use(ranked.column, "None", "nominal"), f"SUM({part['amount']})", TOP_PRODUCTS)
    return (
        Sheet(names["figures"], "Text", (), (MEASURE_NAMES,), (("text", MEASURE_VALUES),), measures=measures),
        Sheet(names["over_time"], "Area", (amount,), (day,), ()),
        Sheet(
            names["map"],
            "Multipolygon",
            ("[Latitude (generated)]",),
            ("[Longitude (generated)]",),
            (("color", amount), ("lod", region), ("geometry", "[Geometry (generated)]")),
            is_map=True,
        ),
        Sheet(names["products"], "Bar", (product,), (amount,), (), Sort(product, amount), best),
        Sheet(names["categories"], "Bar", (region,), (amount,), (("color", category),), Sort(region, amount)),
    )


def _actions(settings: Settings) -> tuple[Action, ...]:
    names, words = settings.words["sheets"], settings.words["actions"]
    field = {name: f"[{it.name}]" for name, it in settings.parts.items()}
    return (
        Action(words["by_region"], "filter", names["map"], field["region"]),
        Action(words["by_product"], "filter", names["products"], field["product"]),
        Action(words["by_category"], "filter", names["categories"], field["category"]),
        Action(words["highlight"], "highlight", names["categories"], field["region"]),
    )


def _layouts(settings: Settings, filters: tuple[Use, ...]) -> tuple[tuple[Zone, ...], tuple[Zone, ...]]:
    names = settings.words["sheets"]
    desktop = (
        Zone("title", settings.title, 0, 0, 100_000, 6_000),
        *(Zone("filter", use.name, at * 25_000, 6_000, 25_000, 9_000) for at, use in enumerate(filters)),
        Zone("sheet", names["figures"], 0, 15_000, 100_000, 13_000),
        Zone("sheet", names["over_time"], 0, 28_000, 60_000, 34_000),
        Zone("sheet", names["map"], 60_000, 28_000, 40_000, 34_000),
        Zone("sheet", names["products"], 0, 62_000, 50_000, 38_000),
        Zone("sheet", names["categories"], 50_000, 62_000, 50_000, 38_000),
    )
    # One above the other, as a thumb scrolls; a chart is a screen wide and about half a screen high.
    heights = {"title": 3_000, "filter": 4_000, "sheet": 16_000}
    phone, top = [], 0
    for zone in desktop:
        height = 17_000 if zone.what == names["figures"] else heights[zone.kind]
        phone.append(Zone(zone.kind, zone.what, 0, top, 100_000, height))
        top += height
    return desktop, tuple(phone)
