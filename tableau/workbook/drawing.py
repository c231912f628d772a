"""A dashboard drawn without Tableau: its layout and its queries from the workbook, the charts by matplotlib.

    <workbook>, rows -> a query by sheet -> a chart by mark, where the layout puts it -> figure

It shows what the sheets ask for and where they lie, not how Tableau would draw them: a map is one of tiles.
"""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import matplotlib.dates
import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .reading import references, scopes, shared_filters, sheets
from .sql import Query, Shown, query

WHOLE = 100_000
DESKTOP_PX, PIXELS_PER_INCH = (1400, 1000), 100
INK, FAINT, LINE, FILL = "#1b1f24", "#5d6670", "#d5dae0", "#2f6db5"
PALETTE = ("#2f6db5", "#e08a3c", "#4f9d69", "#b8506b", "#7a6bb0", "#8f9a3a", "#4aa3b5", "#9a7353", "#767d86")
# Columns and rows of tiles, about where the regions of metropolitan France lie.
TILES = {
    "Hauts-de-France": (2, 0), "Normandie": (1, 1), "Île-de-France": (2, 1), "Grand Est": (3, 1), "Bretagne": (0, 1),
    "Pays de la Loire": (0, 2), "Centre-Val de Loire": (1, 2), "Bourgogne-Franche-Comté": (2, 2),
    "Nouvelle-Aquitaine": (0, 3), "Auvergne-Rhône-Alpes": (2, 3), "Occitanie": (1, 4),
    "Provence-Alpes-Côte d'Azur": (2, 4), "Corse": (3, 5),
}  # fmt: skip
# Wide enough for a region's name on two lines.
NARROW, WIDE = 0.94, 0.92


@dataclass(frozen=True)
class Box:
    """A zone, as a part of the figure from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float


def number(value: object, digits: int = 0) -> str:
    """A number as it is written in French."""
    return f"{value:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ",")


@dataclass(frozen=True)
class Drawing:
    """A figure on which the sheets of a workbook are drawn."""

    figure: Figure
    workbook: ET.Element
    connection: duckdb.DuckDBPyConnection
    # SQL for the rows.
    table: str

    @property
    def narrow(self) -> bool:
        """As on a phone."""
        return self.figure.get_figwidth() < self.figure.get_figheight()

    def sheet(self, name: str, box: Box) -> Axes:
        """Draws one worksheet in its place."""
        asked = query(self.workbook, name, self.table)
        rows = self.connection.sql(asked.sql).fetchall()
        mark = sheets(self.workbook)[name].find("table/panes/pane/mark").get("class")
        line = 34 / (self.figure.get_figheight() * PIXELS_PER_INCH)
        left = box.left + 0.02 + self._margin(mark) * box.width
        right, top = box.left + box.width - 0.02, box.bottom + box.height
        axes = self.figure.add_axes((left, box.bottom + line, right - left, box.height - 2.4 * line))
        self.figure.text(box.left + 0.02, top - line * 0.7, name, size=11, weight="bold", color=INK, va="center")
        for side in axes.spines.values():
            side.set_color(LINE)
        axes.tick_params(colors=FAINT, labelsize=8, length=0)
        MARKS[mark](axes, asked, rows)
        return axes

    def _margin(self, mark: str) -> float:
        # Names of members stand left of bars, amounts left of an area.
        wide = {"Bar": 0.42, "Area": 0.2} if self.narrow else {"Bar": 0.22, "Area": 0.08}
        return wide.get(mark, 0.0)


def dashboard(workbook: ET.Element, connection: duckdb.DuckDBPyConnection, table: str, device: str = "") -> Figure:
    """The desktop's layout, or that of a device, such as Phone."""
    board = workbook.find("dashboards/dashboard")
    layout = board.find(f"devicelayouts/devicelayout[@name='{device}']") if device else board
    size = layout.find("size")
    width, height = (int(size.get("maxwidth")), int(size.get("maxheight"))) if device else DESKTOP_PX
    figure = Figure((width / PIXELS_PER_INCH, height / PIXELS_PER_INCH), dpi=PIXELS_PER_INCH, facecolor="white")
    drawing = Drawing(figure, workbook, connection, table)
    for zone in layout.findall("zones/zone/zone"):
        x, y, across, down = (int(zone.get(side, "0")) / WHOLE for side in "xywh")
        box = Box(x, 1 - y - down, across, down)
        kind = zone.get("type-v2")
        if kind == "title":
            middle = box.bottom + box.height / 2
            figure.text(0.02, middle, board.get("name"), size=18, weight="bold", color=INK, va="center")
        elif kind == "filter":
            _card(figure, box, *_choice(workbook, board, zone.get("param", "")))
        else:
            drawing.sheet(zone.get("name", ""), box)
    return figure


def _choice(workbook: ET.Element, board: ET.Element, column: str) -> tuple[str, str]:
    source, name = references(column)[0]
    scope = scopes(board)[source]
    caption = scope.columns[scope.instances[name].column].caption
    chosen = shared_filters(workbook)[column]
    members = [it.get("member", "").strip('"') for it in chosen.iter("groupfilter") if it.get("function") == "member"]
    if members:
        return caption, ", ".join(members)
    ends = [chosen.findtext(end, "").strip("#")[:10] for end in ("min", "max")]
    return caption, " – ".join(ends) if all(ends) else "(tout)"


def _card(figure: Figure, box: Box, caption: str, chosen: str) -> None:
    middle = box.bottom + box.height / 2
    # Both ends of a card keep the same distance, whatever its share of the figure is.
    edge = Rectangle(
        (box.left + 0.015, box.bottom + box.height * 0.08), box.width - 0.02, box.height * 0.84, facecolor="#f6f8fa",
        edgecolor=LINE, transform=figure.transFigure,
    )  # fmt: skip
    figure.add_artist(edge)
    figure.text(box.left + 0.025, middle + box.height * 0.2, caption, size=8, color=FAINT, va="center")
    figure.text(box.left + 0.025, middle - box.height * 0.16, chosen, size=10, color=INK, va="center")


def _written(shown: Shown, value: object) -> str:
    return "–" if value is None else number(value, 0 if shown.datatype == "integer" else 2)


def _figures(axes: Axes, asked: Query, rows: list[tuple]) -> None:
    axes.set_axis_off()
    # Side by side as far as they fit: a phone has two rows.
    wide = axes.bbox.width > 100 * len(asked.measures)
    across = len(asked.measures) if wide else 2
    down = -(-len(asked.measures) // across)
    for at, (shown, value) in enumerate(zip(asked.measures, rows[0], strict=True)):
        x, y = (at % across) / across, 1 - (at // across + 0.5) / down
        for text, size, points, colour in (
            (shown.caption, 9, 15, FAINT),
            (_written(shown, value), 18 if wide else 14, -6, INK),
        ):
            axes.annotate(text, (x, y), xycoords="axes fraction", xytext=(0, points), textcoords="offset points",
                          size=size, color=colour, va="center", weight="bold" if points < 0 else "normal")  # fmt: skip


def _thousands(axis: matplotlib.axis.Axis) -> None:
    axis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: number(value)))


def _area(axes: Axes, asked: Query, rows: list[tuple]) -> None:
    times = [row[0] for row in rows]
    amounts = [float(row[1]) for row in rows]
    axes.fill_between(times, amounts, color=FILL, alpha=0.25, linewidth=0)
    axes.plot(times, amounts, color=FILL, linewidth=1.6)
    axes.set_ylim(bottom=0)
    if times:
        axes.set_xlim(times[0], max(times[-1], times[0] + datetime.timedelta(days=1)))
    axes.xaxis.set_major_locator(matplotlib.dates.AutoDateLocator(maxticks=6))
    axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%d/%m/%Y" if axes.bbox.width > 500 else "%d/%m"))
    _thousands(axes.yaxis)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_ylabel(asked.measures[0].caption, size=8, color=FAINT)


def _tiles(axes: Axes, asked: Query, rows: list[tuple]) -> None:
    axes.set_axis_off()
    most = max((float(row[1]) for row in rows), default=1.0)
    elsewhere = 0
    for region, amount in rows:
        if region in TILES:
            x, y = TILES[region]
        else:
            # What the tiles do not know stands below them, so that nothing is left out.
            x, y = elsewhere % 4, 6 + elsewhere // 4
            elsewhere += 1
        share = float(amount) / most
        colour = tuple(1 - share * (1 - part) * 0.95 for part in (0.18, 0.43, 0.71))
        axes.add_patch(Rectangle((x, y), NARROW, WIDE, facecolor=colour, edgecolor=LINE))
        name = str(region).replace("-", "-\n", 1) if len(str(region)) > 12 else str(region)
        text = f"{name}\n{number(amount)}"
        axes.text(x + NARROW / 2, y + WIDE / 2, text, size=6, ha="center", va="center",
                  color="white" if share > 0.55 else INK, linespacing=1.05)  # fmt: skip
    axes.text(4, 0, asked.measures[0].caption, size=7, color=FAINT, ha="right", va="top")
    axes.set_xlim(-0.05, 4)
    axes.set_ylim(6 + -(-elsewhere // 4), -0.05)


def _bars(axes: Axes, asked: Query, rows: list[tuple]) -> None:
    members = list(dict.fromkeys(row[0] for row in rows))
    at = {member: place for place, member in enumerate(members)}
    divided = len(asked.dimensions) > 1
    parts = sorted({row[1] for row in rows}, key=str) if divided else [None]
    ends = dict.fromkeys(members, 0.0)
    for part, colour in zip(parts, (PALETTE * len(parts))[: len(parts)], strict=True):
        for row in rows:
            if divided and row[1] != part:
                continue
            amount = float(row[-1])
            axes.barh(at[row[0]], amount, left=ends[row[0]], color=colour if divided else FILL, height=0.72)
            ends[row[0]] += amount
        if divided:
            axes.barh(0, 0, color=colour, label=str(part))
    axes.set_yticks(range(len(members)), [str(member) for member in members])
    axes.invert_yaxis()
    # Room for the legend beside the longest bar.
    axes.set_xlim(0, max(ends.values(), default=1.0) * (1.3 if divided else 1.05))
    _thousands(axes.xaxis)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    if divided:
        axes.legend(loc="lower right", fontsize=7, frameon=False)


MARKS: dict[str, Callable[[Axes, Query, list[tuple]], None]] = {
    "Text": _figures, "Area": _area, "Multipolygon": _tiles, "Bar": _bars,
}  # fmt: skip
