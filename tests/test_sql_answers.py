"""The SQL endpoint answers what PostgreSQL answers: queries in Tableau's shapes, on the same rows in both.

Values, names and types of columns, and the order of rows where a query says it.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from decimal import Decimal

import psycopg
import pytest

from harness.tableau_sql import Query, Table, queries

TEXTS = ("region", "category", "channel", "store_id", "product_name", "currency")
DIGITS = 10
# Where the engine's type is another than PostgreSQL's. Values are compared all the same.
OTHER_TYPES = {
    ("numeric", "float8"): "averages of whole numbers, and CEIL and FLOOR of them",
    ("numeric", "int4"): "EXTRACT outside of a CAST",
    ("float8", "numeric"): "literals with a fraction are exact",
    ("int4", "int8"): "whole literals, and what is computed of them",
}
# Quotients of decimals have four decimals more than what was divided, not sixteen digits.
SHORT_QUOTIENTS = ("exact average", "window share")


@pytest.fixture(scope="module")
def connections(sql_endpoint, postgres):
    """The endpoint's connection, and PostgreSQL's with the same rows."""
    with sql_endpoint.connect() as ours, postgres.connect(autocommit=True) as theirs:
        yield ours, theirs


@pytest.fixture(scope="module")
def asked(connections) -> list[Query]:
    """Every query, of values that there are."""
    _, theirs = connections
    examples = {}
    for column in TEXTS:
        examples[column] = theirs.execute(
            f"SELECT {column} FROM sales_lake GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).fetchone()[0]
    return queries(Table("sales_lake", TEXTS, ("quantity", "unit_price", "amount"), "sold_at", "customer_id", examples))


class Close:
    """A quotient, equal to one that is as good as the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Close) and math.isclose(self.value, other.value, rel_tol=1e-4, abs_tol=2e-5)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return f"about {self.value}"


def plain(value: object, short: bool = False) -> object:
    """A value as it is compared: numbers by their first digits, whatever their type."""
    if short and isinstance(value, float | Decimal):
        return Close(float(value))
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        number = float(value)
        return 0.0 if number == 0 else round(number, DIGITS - 1 - math.floor(math.log10(abs(number))))
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC) if value.tzinfo else value
    return value


def names_and_types(cursor: psycopg.Cursor) -> list[tuple[str, str]]:
    """The columns of an answer."""
    registry = cursor.connection.adapters.types
    return [(column.name, registry[column.type_code].name) for column in cursor.description]


def differences(ours: psycopg.Connection, theirs: psycopg.Connection, query: Query) -> list[str]:
    """In what two answers to a query differ."""
    expected = theirs.execute(query.text)
    try:
        got = ours.execute(query.text)
    except psycopg.Error as error:
        return [f"{error.sqlstate} {str(error).splitlines()[0]}"]
    found = []
    for (name, kind), (known, known_kind) in zip(names_and_types(got), names_and_types(expected), strict=True):
        if name != known:
            found.append(f"column {name!r}, not {known!r}")
        if kind != known_kind and (known_kind, kind) not in OTHER_TYPES:
            found.append(f"{name} is {kind}, not {known_kind}")
    short = query.name.startswith(SHORT_QUOTIENTS)
    rows = [tuple(plain(value, short) for value in row) for row in got.fetchall()]
    known_rows = [tuple(plain(value, short) for value in row) for row in expected.fetchall()]
    if query.ordered and rows != known_rows:
        first = next((pair for pair in zip(rows, known_rows, strict=False) if pair[0] != pair[1]), None)
        found.append(f"{len(rows)} rows, not {len(known_rows)}; first other one {first}")
    if not query.ordered and Counter(rows) != Counter(known_rows):
        more = list((Counter(rows) - Counter(known_rows)).elements())[:2]
        fewer = list((Counter(known_rows) - Counter(rows)).elements())[:2]
        found.append(f"{len(rows)} rows, not {len(known_rows)}; ours alone {more}, theirs alone {fewer}")
    return found


def test_what_tableau_asks_is_answered_as_postgresql_answers(connections, asked) -> None:
    """Every shape of query, of every column that it can be asked of."""
    ours, theirs = connections
    assert len(asked) >= 150
    wrong = {query.name: told for query in asked if (told := differences(ours, theirs, query))}
    report = "\n".join(f"{name}: {'; '.join(told)}" for name, told in wrong.items())
    assert not wrong, f"{len(wrong)} of {len(asked)} differ\n{report}"


def test_answers_are_the_same_in_binary(connections, asked) -> None:
    """Drivers ask for binary values as soon as a statement is used often."""
    ours, _ = connections
    with ours.cursor(binary=True) as binary, ours.cursor() as text:
        for query in asked[::4]:
            rows = [tuple(map(plain, row)) for row in binary.execute(query.text).fetchall()]
            assert Counter(rows) == Counter(tuple(map(plain, row)) for row in text.execute(query.text)), query.name


def test_amounts_are_exact(connections) -> None:
    """A sum of money has every cent, in text and in binary, and is a number with two decimals."""
    ours, theirs = connections
    query = "SELECT sum(amount), max(unit_price), sum(quantity * unit_price) FROM sales_lake"
    expected = theirs.execute(query).fetchone()
    for binary in (False, True):
        assert ours.cursor(binary=binary).execute(query).fetchone() == expected


def test_one_aggregate_does_not_take_rows_from_another(connections) -> None:
    """Rows that the largest value is not among may hold the smallest difference."""
    ours, theirs = connections
    for query in (
        "SELECT max(sold_at), min(CAST(sold_at AS TIMESTAMP)) FROM sales_lake",
        "SELECT min(amount), max(amount - unit_price), min(quantity) FROM sales_lake",
        "SELECT max(kafka_offset), min(kafka_offset * 2) FROM sales_lake",
    ):
        assert ours.execute(query).fetchone() == theirs.execute(query).fetchone(), query


def test_instants_are_the_same_in_every_zone_and_days_are_those_of_the_zone(sql_endpoint, postgres) -> None:
    """What a session's zone changes is the day that a time is counted to, never what it is."""
    cut = """SELECT CAST(sold_at AS DATE) AS day, CAST(EXTRACT(HOUR FROM sold_at) AS INTEGER) AS hour, count(*) AS n,
        max(sold_at) AS m FROM sales_lake GROUP BY 1, 2 ORDER BY 1, 2"""
    for zone in ("Europe/Paris", "America/New_York", "Asia/Kolkata", "UTC"):
        told = []
        for server in (sql_endpoint, postgres):
            with server.connect(autocommit=True) as connection:
                connection.execute(f"SET TIME ZONE '{zone}'")
                told.append([tuple(map(plain, row)) for row in connection.execute(cut)])
        assert told[0] == told[1], zone
