"""A workbook with other choices in its filters of all sheets, as if a reader had made and saved them.

<workbook>, members or a period by field -> <workbook>
"""

from __future__ import annotations

import copy
import datetime
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from .reading import references, shared_filters

Period = tuple[datetime.datetime, datetime.datetime]


class ChoiceError(Exception):
    """Says for which field there is no filter."""


def chosen(
    workbook: ET.Element, members: Mapping[str, Sequence[str]] | None = None, period: Period | None = None
) -> ET.Element:
    """A copy in which each filter named, such as `region`, has these members, and that of time this period.

    The period's two ends are inclusive, as in Tableau. Raises ChoiceError.
    """
    workbook = copy.deepcopy(workbook)
    wanted = dict(members or {})
    for column, element in shared_filters(workbook).items():
        name = references(column)[0][1]
        field = name[1:-1].split(":")[1]
        if element.get("class") == "quantitative":
            if period:
                _set_period(element, period)
        elif field in wanted:
            _set_members(element, name, wanted.pop(field))
    if wanted:
        raise ChoiceError(f"there is no filter for {', '.join(wanted)}")
    return workbook


def _set_period(element: ET.Element, period: Period) -> None:
    element.set("included-values", "in-range")
    for tag, moment in zip(("min", "max"), period, strict=True):
        ET.SubElement(element, tag).text = f"#{moment:%Y-%m-%d %H:%M:%S}#"


def _set_members(element: ET.Element, name: str, members: Sequence[str]) -> None:
    for group in element.findall("groupfilter"):
        element.remove(group)
    union = ET.SubElement(element, "groupfilter", {"function": "union"})
    for member in members:
        ET.SubElement(union, "groupfilter", {"function": "member", "level": name, "member": f'"{member}"'})
