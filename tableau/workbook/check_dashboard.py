"""Whether dashboards, actions and windows name what is there, and a layout's zones fit beside each other.

Part of check.py.
"""

from __future__ import annotations

import urllib.parse
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator

from .reading import LINK, references, scopes, shared_filters, sheets

WHOLE = 100_000
COMMANDS = {"tsc:tsl-filter", "tsc:brush"}


def dashboard_faults(workbook: ET.Element) -> Iterator[str]:
    """Everything that is wrong with them."""
    boards = {it.get("name", ""): it for it in workbook.findall("dashboards/dashboard")}
    for name, board in boards.items():
        for layout in [board, *board.findall("devicelayouts/devicelayout")]:
            what = name if layout is board else f"{name}, {layout.get('name')}"
            yield from (f"{what}: {fault}" for fault in _layout_faults(workbook, board, layout))
    doubled = Counter(action.get("name") for action in workbook.findall("actions/action"))
    yield from (f"there are {count} actions {name}" for name, count in doubled.items() if count > 1)
    for action in workbook.findall("actions/action"):
        name = f"action {action.get('caption')}"
        yield from (f"{name}: {fault}" for fault in _action_faults(workbook, boards, action))
    yield from _window_faults(workbook, boards)


def _layout_faults(workbook: ET.Element, board: ET.Element, layout: ET.Element) -> Iterator[str]:
    zones = [zone for zone in layout.findall("zones/zone//zone") if not zone.findall("zone")]
    known = sheets(workbook)
    doubled = Counter(zone.get("id") for zone in layout.findall("zones//zone"))
    yield from (f"{count} zones have the number {number}" for number, count in doubled.items() if count > 1)
    on_desktop = {zone.get("id"): _shows(zone) for zone in board.findall("zones//zone")}
    declared = scopes(board)
    for zone in zones:
        name, param = zone.get("name"), zone.get("param", "")
        if name is not None and name not in known:
            yield f"zone {zone.get('id')} shows the sheet {name}, which is not there"
        if on_desktop.get(zone.get("id")) != _shows(zone):
            yield f"zone {zone.get('id')} is another one than on the desktop"
        if zone.get("type-v2") == "filter":
            own = {it.get("column") for it in known[name].findall("table/view/filter")} if name in known else set()
            if param not in own | set(shared_filters(workbook)):
                yield f"zone {zone.get('id')} is for the filter {param}, which is not there"
            for source, field in references(param):
                if source not in declared or field not in declared[source].instances:
                    yield f"zone {zone.get('id')} uses {param}, which the dashboard does not declare"
    shown = {zone.get("name") for zone in zones if zone.get("type-v2") is None}
    yield from (f"the sheet {name} is not shown" for name in known if name not in shown)
    yield from _place_faults(zones)


def _shows(zone: ET.Element) -> tuple[str | None, ...]:
    return zone.get("type-v2"), zone.get("name"), zone.get("param")


def _place_faults(zones: list[ET.Element]) -> Iterator[str]:
    boxes = [(zone.get("id"), *(int(zone.get(side, "0")) for side in "xywh")) for zone in zones]
    for number, x, y, width, height in boxes:
        if min(x, y) < 0 or min(width, height) <= 0 or x + width > WHOLE or y + height > WHOLE:
            yield f"zone {number} reaches beyond the dashboard"
    for at, (one, x, y, width, height) in enumerate(boxes):
        for other, left, top, across, down in boxes[at + 1 :]:
            if x < left + across and left < x + width and y < top + down and top < y + height:
                yield f"zones {one} and {other} lie on each other"


def _action_faults(workbook: ET.Element, boards: dict[str, ET.Element], action: ET.Element) -> Iterator[str]:
    known = sheets(workbook)
    source, command = action.find("source"), action.find("command")
    sheet, board = source.get("worksheet"), source.get("dashboard")
    if board not in boards:
        yield f"starts on the dashboard {board}, which is not there"
    elif sheet not in {zone.get("name") for zone in boards[board].findall("zones//zone")}:
        yield f"starts on the sheet {sheet}, which is not on {board}"
    if command.get("command") not in COMMANDS:
        yield f"there is no command {command.get('command')}"
    params = {param.get("name"): param.get("value", "") for param in command.findall("param")}
    if params.get("target") not in {*boards, *known}:
        yield f"acts on {params.get('target')}, which is not there"
    for name in filter(None, params.get("exclude", "").split(",")):
        if name not in known:
            yield f"leaves out the sheet {name}, which is not there"
    if command.get("command") == "tsc:tsl-filter":
        yield from _link_faults(workbook, action, known.get(sheet), params.get("target"))
    else:
        declared = scopes(workbook.find("actions")).values()
        captions = {column.caption for scope in declared for column in scope.columns.values()}
        for caption in params.get("field-captions", "").split(","):
            if caption not in captions:
                yield f"highlights by {caption}, which is no field's caption"


def _link_faults(
    workbook: ET.Element, action: ET.Element, sheet: ET.Element | None, target: str | None
) -> Iterator[str]:
    link = action.find("link")
    found = LINK.fullmatch(link.get("expression", "")) if link is not None else None
    if not found:
        yield "passes no field on"
        return
    to, key, value = urllib.parse.unquote(found[1]), urllib.parse.unquote(found[2]), found[3]
    if to != target:
        yield f"is linked to {to}, and acts on {target}"
    if key != value:
        yield f"passes {value} on as {key}"
    declared = scopes(workbook.find("actions"))
    for source, name in references(value) or [("", value)]:
        if source not in declared or name not in declared[source].columns:
            yield f"passes on {value}, which is not declared"
        elif sheet is not None and name not in _shown_columns(sheet, source):
            yield f"passes on {value}, which its sheet does not show"


def _shown_columns(sheet: ET.Element, source: str) -> set[str]:
    shelves = [sheet.findtext(f"table/{shelf}") for shelf in ("rows", "cols")]
    encodings = [it.get("column") for it in sheet.findall("table/panes/pane/encodings/*")]
    instances = scopes(sheet.find("table/view"))[source].instances
    return {
        instances[name].column for text in [*shelves, *encodings] for _, name in references(text) if name in instances
    }


def _window_faults(workbook: ET.Element, boards: dict[str, ET.Element]) -> Iterator[str]:
    known = {"worksheet": set(sheets(workbook)), "dashboard": set(boards)}
    seen: dict[str, set[str]] = {"worksheet": set(), "dashboard": set()}
    for window in workbook.findall("windows/window"):
        kind, name = window.get("class", ""), window.get("name", "")
        if name not in known.get(kind, set()):
            yield f"there is a window for the {kind} {name}, which is not there"
        seen.setdefault(kind, set()).add(name)
        for viewpoint in window.findall("viewpoints/viewpoint"):
            if viewpoint.get("name") not in known["worksheet"]:
                yield f"the window {name} shows {viewpoint.get('name')}, which is not there"
    for kind, names in known.items():
        yield from (f"the {kind} {name} has no window" for name in sorted(names - seen[kind]))
