"""Formulas of calculated fields: the part of Tableau's language that the workbook needs.

    text -> tokens -> tree -> fields that it names, whether it aggregates, SQL

What is not understood is an error; nothing is passed through.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

AGGREGATES = {"SUM": "sum({})", "AVG": "avg({})", "MIN": "min({})", "MAX": "max({})", "COUNT": "count({})",
              "COUNTD": "count(DISTINCT {})"}  # fmt: skip
TOKEN = re.compile(r"\s*(?:(?P<field>\[[^\]]+\])|(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z]+)|(?P<sign>[-+*/()]))")


class FormulaError(Exception):
    """Says what is not understood."""


@dataclass(frozen=True)
class Formula:
    """A parsed formula."""

    # ("field", name), ("number", text), ("call", function, argument) or (sign, left, right).
    tree: tuple

    def fields(self) -> set[str]:
        """The columns that it names, with brackets."""
        return {node[1] for node in self._nodes(self.tree) if node[0] == "field"}

    def aggregates(self) -> bool:
        """Whether it has a value for a group of rows rather than for each row."""
        return any(node[0] == "call" for node in self._nodes(self.tree))

    def sql(self, column: Callable[[str], str]) -> str:
        """The same in SQL; `column` gives the SQL of a field."""
        return _sql(self.tree, column)

    def _nodes(self, node: tuple) -> list[tuple]:
        inner = [part for part in node[1:] if isinstance(part, tuple)]
        return [node] + [found for part in inner for found in self._nodes(part)]


def _sql(node: tuple, column: Callable[[str], str]) -> str:
    kind = node[0]
    if kind == "field":
        return column(node[1])
    if kind == "number":
        return node[1]
    if kind == "call":
        return AGGREGATES[node[1]].format(_sql(node[2], column))
    left, right = _sql(node[1], column), _sql(node[2], column)
    # Tableau gives null where it would divide by zero.
    return f"({left} / nullif({right}, 0))" if kind == "/" else f"({left} {kind} {right})"


def parse(text: str) -> Formula:
    """Parses a formula. Raises FormulaError."""
    tokens, at = [], 0
    while at < len(text.rstrip()):
        found = TOKEN.match(text, at)
        if not found:
            raise FormulaError(f"`{text[at:]}` is not understood in `{text}`")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    tree, rest = _sum(tokens)
    if rest:
        raise FormulaError(f"`{rest[0][1]}` is not expected in `{text}`")
    return Formula(tree)


def _chain(tokens: list, signs: str, inner: Callable) -> tuple[tuple, list]:
    left, tokens = inner(tokens)
    while tokens and tokens[0][0] == "sign" and tokens[0][1] in signs:
        right, rest = inner(tokens[1:])
        left, tokens = (tokens[0][1], left, right), rest
    return left, tokens


def _sum(tokens: list) -> tuple[tuple, list]:
    return _chain(tokens, "+-", _product)


def _product(tokens: list) -> tuple[tuple, list]:
    return _chain(tokens, "*/", _atom)


def _atom(tokens: list) -> tuple[tuple, list]:
    if not tokens:
        raise FormulaError("a formula ends too early")
    (kind, text), rest = tokens[0], tokens[1:]
    if kind in ("field", "number"):
        return (kind, text), rest
    if text == "(":
        return _closed(rest)
    if kind == "word" and text.upper() in AGGREGATES and rest and rest[0][1] == "(":
        argument, rest = _closed(rest[1:])
        return ("call", text.upper(), argument), rest
    raise FormulaError(f"`{text}` is not understood")


def _closed(tokens: list) -> tuple[tuple, list]:
    inner, rest = _sum(tokens)
    if not rest or rest[0][1] != ")":
        raise FormulaError("a parenthesis is not closed")
    return inner, rest[1:]
