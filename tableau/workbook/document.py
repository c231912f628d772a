"""The workbook as a file: .twb (XML), and .twbx, which also holds the extract.

    Settings, Design, place of the data -> <workbook> -> bytes

The same input gives the same bytes. Owns the XML of sheets, dashboard and actions.
"""

from __future__ import annotations

import io
import urllib.parse
import uuid
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable

from .design import Action, Design, Sheet, Zone
from .fields import MEASURE_NAMES, Use
from .formula import parse
from .settings import Settings
from .source import Extract, Live, add, column, datasource, source_name

USER = "http://www.tableausoftware.com/xml/user"
ET.register_namespace("user", USER)
# Identities of sheets and windows are derived from their names, so that they stay the same.
IDENTITIES = uuid.UUID("6f1d3a86-2d0c-5d6e-9a53-0d5b8c3b9c11")


class Document:
    """Writes one workbook."""

    def __init__(self, settings: Settings, design: Design, place: Live | Extract, version: str) -> None:
        self.settings, self.design, self.place, self.version = settings, design, place, version
        self.source = source_name(settings)

    def element(self) -> ET.Element:
        """The whole workbook, in the order that Tableau's schema wants."""
        top = ET.Element("workbook", {
            "original-version": self.version, "source-build": "0.0.0 (0000.0.0.0)", "source-platform": "win",
            "version": self.version, "locale": "fr_FR",
        })  # fmt: skip
        add(add(top, "document-format-change-manifest"), "ManifestByVersion")
        add(top, "preferences")
        add(top, "datasources").append(datasource(self.settings, self.design, self.place, self.version))
        add(add(top, "mapsources"), "mapsource", {"name": "Tableau"})
        self._shared(add(top, "shared-views"))
        self._actions(add(top, "actions"))
        sheets = add(top, "worksheets")
        for sheet in self.design.sheets:
            self._sheet(sheets, sheet)
        self._dashboard(add(top, "dashboards"))
        self._windows(add(top, "windows", {"source-height": "30"}))
        explain = {"enabled-for-viewer": "false", "extreme-values-enabled-for-all": "false"}
        add(add(top, "explain-data", explain), "explanation-types")
        return top

    def _of(self, used: Use | str) -> str:
        return f"[{self.source}].{used.name if isinstance(used, Use) else used}"

    def _identity(self, parent: ET.Element, what: str) -> None:
        add(parent, "simple-id", {"uuid": f"{{{str(uuid.uuid5(IDENTITIES, what)).upper()}}}"})

    def _sources(self, parent: ET.Element) -> None:
        add(add(parent, "datasources"), "datasource", {"caption": self.settings.name, "name": self.source})

    def _dependencies(self, parent: ET.Element, uses: Iterable[Use]) -> None:
        unique = sorted(set(uses), key=lambda use: use.name)
        names = {use.column for use in unique}
        formulas = [parse(it.formula) for it in self.design.calculations if it.column in names]
        names |= {name for formula in formulas for name in formula.fields()}
        listed = add(parent, "datasource-dependencies", {"datasource": self.source})
        for name in sorted(names):
            listed.append(column(self.settings, self.design, name))
        for use in unique:
            add(listed, "column-instance", {
                "column": use.column, "derivation": use.derivation, "name": use.name, "pivot": "key",
                "type": use.type,
            })  # fmt: skip

    def _shared(self, parent: ET.Element) -> None:
        # A filter of all sheets with a data source stands here once; each sheet names its column under <slices>.
        view = add(parent, "shared-view", {"name": self.source})
        self._sources(view)
        self._dependencies(view, self.design.filters)
        for use in self.design.filters:
            # In the context: the best products are those of what these leave.
            filtered = {"column": self._of(use), "context": "true"}
            if use.type == "quantitative":
                add(view, "filter", {"class": "quantitative", **filtered, "included-values": "all"})
                continue
            chosen = add(view, "filter", {"class": "categorical", **filtered})
            self._all_members(chosen, use)

    def _all_members(self, parent: ET.Element, use: Use) -> None:
        add(parent, "groupfilter", {
            "function": "level-members", "level": use.name, f"{{{USER}}}ui-enumeration": "all",
            f"{{{USER}}}ui-marker": "enumerate",
        })  # fmt: skip

    def _actions(self, parent: ET.Element) -> None:
        for number, action in enumerate(self.design.actions, 1):
            self._action(parent, number, action)
        self._sources(parent)
        self._dependencies(parent, (use for use in self.design.filters if use.type == "nominal"))

    def _action(self, parent: ET.Element, number: int, action: Action) -> None:
        filters = action.kind == "filter"
        dashboard = self.settings.title
        made = add(parent, "action", {"caption": action.caption, "name": f"[Action{number}]"})
        when = {"auto-clear": "true", "type": "on-select"} if filters else {"type": "on-hover"}
        add(made, "activation", when)
        add(made, "source", {"dashboard": dashboard, "type": "sheet", "worksheet": action.sheet})
        if filters:
            field = f"[{self.source}].{action.field}"
            sheet, key = (urllib.parse.quote(text, safe=".") for text in (dashboard, field))
            add(made, "link", {
                "caption": action.caption, "delimiter": ",", "escape": "\\",
                "expression": f"tsl:{sheet}?{key}~s0=<{field}~na>", "include-null": "true", "multi-select": "true",
                "url-escape": "true",
            })  # fmt: skip
        command = add(made, "command", {"command": "tsc:tsl-filter" if filters else "tsc:brush"})
        add(command, "param", {"name": "exclude", "value": action.sheet})
        if not filters:
            caption = column(self.settings, self.design, action.field).get("caption", "")
            add(command, "param", {"name": "field-captions", "value": caption})
        add(command, "param", {"name": "target", "value": dashboard})

    def _sheet(self, parent: ET.Element, sheet: Sheet) -> None:
        made = add(parent, "worksheet", {"name": sheet.name})
        title = add(add(add(made, "layout-options"), "title"), "formatted-text")
        add(title, "run", {"bold": "true", "fontsize": "11"}, sheet.name)
        table = add(made, "table")
        self._view(add(table, "view"), sheet)
        style = add(table, "style")
        if sheet.is_map:
            add(add(style, "style-rule", {"element": "map"}), "format", {"attr": "washout", "value": "0.5"})
        if sheet.measures:
            add(add(style, "style-rule", {"element": "cell"}), "format", {"attr": "font-size", "value": "18"})
        pane = add(add(table, "panes"), "pane", {"selection-relaxation-option": "selection-relaxation-allow"})
        add(add(pane, "view"), "breakdown", {"value": "auto"})
        add(pane, "mark", {"class": sheet.mark})
        if sheet.encodings:
            encodings = add(pane, "encodings")
            for kind, used in sheet.encodings:
                add(encodings, kind, {"column": self._of(used)})
        add(table, "rows", text=" / ".join(map(self._of, sheet.rows)) or None)
        add(table, "cols", text=" / ".join(map(self._of, sheet.columns)) or None)
        self._identity(made, f"worksheet {sheet.name}")

    def _view(self, view: ET.Element, sheet: Sheet) -> None:
        self._sources(view)
        if sheet.is_map:
            add(add(view, "mapsources"), "mapsource", {"name": "Tableau"})
        shown = [*sheet.rows, *sheet.columns, *(used for _, used in sheet.encodings), *sheet.measures]
        uses = [used for used in shown if isinstance(used, Use)]
        slices = list(map(self._of, self.design.filters))
        if sheet.top:
            uses.append(sheet.top.column)
            slices.append(self._of(sheet.top.column))
        self._dependencies(view, [*uses, *self.design.filters])
        if sheet.measures:
            self._measures(view, sheet)
            slices.append(self._of(MEASURE_NAMES))
        if sheet.top:
            self._top(view, sheet)
        if sheet.sort:
            add(view, "computed-sort", {
                "column": self._of(sheet.sort.column), "direction": "DESC", "using": self._of(sheet.sort.by),
            })  # fmt: skip
        listed = add(view, "slices")
        for name in slices:
            add(listed, "column", text=name)
        add(view, "aggregation", {"value": "true"})

    def _measures(self, view: ET.Element, sheet: Sheet) -> None:
        members = [f'"{self._of(use)}"' for use in sheet.measures]
        chosen = add(view, "filter", {"class": "categorical", "column": self._of(MEASURE_NAMES)})
        union = add(chosen, "groupfilter", {"function": "union", f"{{{USER}}}op": "manual"})
        for member in members:
            add(union, "groupfilter", {"function": "member", "level": MEASURE_NAMES, "member": member})
        order = add(view, "manual-sort", {"column": self._of(MEASURE_NAMES), "direction": "ASC"})
        listed = add(order, "dictionary")
        for member in members:
            add(listed, "bucket", text=member)

    def _top(self, view: ET.Element, sheet: Sheet) -> None:
        top = sheet.top
        chosen = add(view, "filter", {"class": "categorical", "column": self._of(top.column)})
        end = add(chosen, "groupfilter", {
            "count": str(top.count), "end": "top", "function": "end", "units": "records",
            f"{{{USER}}}ui-marker": "end", f"{{{USER}}}ui-top-by-field": "true",
        })  # fmt: skip
        order = add(end, "groupfilter", {
            "direction": "DESC", "expression": top.expression, "function": "order", f"{{{USER}}}ui-marker": "order",
        })  # fmt: skip
        self._all_members(order, top.column)

    def _dashboard(self, parent: ET.Element) -> None:
        made = add(parent, "dashboard", {"name": self.settings.title})
        add(made, "style")
        add(made, "size", {"minheight": "700", "minwidth": "1000", "sizing-mode": "automatic"})
        self._sources(made)
        self._dependencies(made, self.design.filters)
        identities = {zone.what: number for number, zone in enumerate(self.design.desktop, 2)}
        self._zones(made, self.design.desktop, identities)
        phone = add(add(made, "devicelayouts"), "devicelayout", {"auto-generated": "false", "name": "Phone"})
        height = str(self.design.phone_height_px)
        add(phone, "size", {
            "maxheight": height, "minheight": height, "maxwidth": "375", "minwidth": "375", "sizing-mode": "vscroll",
        })  # fmt: skip
        self._zones(phone, self.design.phone, identities)
        self._identity(made, f"dashboard {self.settings.title}")

    def _zones(self, parent: ET.Element, zones: Iterable[Zone], identities: dict[str, int]) -> None:
        place = {"x": "0", "y": "0", "w": "100000", "h": "100000"}
        whole = add(add(parent, "zones"), "zone", {"id": "1", "type-v2": "layout-basic", **place})
        for zone in zones:
            where = {
                "id": str(identities[zone.what]), "x": str(zone.x), "y": str(zone.y), "w": str(zone.width),
                "h": str(zone.height),
            }  # fmt: skip
            if zone.kind == "title":
                add(whole, "zone", {**where, "type-v2": "title"})
            elif zone.kind == "sheet":
                add(whole, "zone", {**where, "name": zone.what})
            else:
                # A filter's card belongs to one of the sheets that it acts on.
                card = {"type-v2": "filter", "name": self.design.sheets[0].name, "param": self._of(zone.what)}
                choice = {} if zone.what == self.design.filters[0].name else {"mode": "checkdropdown"}
                add(whole, "zone", {**where, **card, **choice})

    def _windows(self, parent: ET.Element) -> None:
        window = add(parent, "window", {"class": "dashboard", "maximized": "true", "name": self.settings.title})
        viewpoints = add(window, "viewpoints")
        for sheet in self.design.sheets:
            add(add(viewpoints, "viewpoint", {"name": sheet.name}), "zoom", {"type": "entire-view"})
        add(window, "active", {"id": "-1"})
        self._identity(window, f"window {self.settings.title}")
        for sheet in self.design.sheets:
            window = add(parent, "window", {"class": "worksheet", "name": sheet.name})
            left = add(add(window, "cards"), "edge", {"name": "left"})
            strip = add(left, "strip", {"size": "160"})
            for kind in ("pages", "filters", "marks"):
                add(strip, "card", {"type": kind})
            self._identity(window, f"window {sheet.name}")


def text(element: ET.Element) -> bytes:
    """An element as a file."""
    ET.indent(element)
    return ET.tostring(element, encoding="utf-8", xml_declaration=True) + b"\n"


def packaged(name: str, workbook: bytes, extract: bytes | None, extract_path: str) -> bytes:
    """A .twbx: the workbook and its extract, if it has one. Without times, so that it is reproducible."""
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr(zipfile.ZipInfo(f"{name}.twb"), workbook, zipfile.ZIP_DEFLATED)
        if extract is not None:
            package.writestr(zipfile.ZipInfo(extract_path), extract, zipfile.ZIP_DEFLATED)
    return stored.getvalue()
