"""Queries in the shapes that Tableau writes for PostgreSQL, made from a table's columns.

    columns of a table -> shapes x columns -> Query(name, text, ordered)

Tableau quotes every name, gives every column an alias such as `sum:amount:ok`, groups by position, and asks for
levels of detail, sets and the best N by joins with subqueries. One function is one shape; it is asked of every column
that it can be asked of.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

DAY = "DATE_TRUNC('DAY', {})"
MOMENT = "(TIMESTAMP '2026-01-31 00:00:00.000')"


@dataclass(frozen=True)
class Query:
    """A query, and whether its order is said in full."""

    name: str
    text: str
    ordered: bool = False


@dataclass(frozen=True)
class Table:
    """What Tableau knows of a table: which columns part it, which are summed, which are times."""

    name: str
    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    time: str
    # A text column that may be NULL.
    sparse: str
    # A value of each text column that some rows have.
    examples: Mapping[str, str]

    @property
    def source(self) -> str:
        """As it stands in FROM."""
        return f'"public"."{self.name}" "{self.name}"'

    def of(self, column: str) -> str:
        """A column as it is written."""
        return f'"{self.name}"."{column}"'

    @property
    def at(self) -> str:
        """The time without its zone."""
        return f"CAST({self.of(self.time)} AS TIMESTAMP)"

    def example(self, column: str) -> str:
        """A value that some rows have and others have not."""
        return self.examples[column]


Shape = Callable[[Table], Iterator[Query]]
SHAPES: list[Shape] = []


def shape(function: Shape) -> Shape:
    """Keeps a shape."""
    SHAPES.append(function)
    return function


def queries(table: Table) -> list[Query]:
    """Every query of every shape; names are unique."""
    made = [query for one in SHAPES for query in one(table)]
    assert len({query.name for query in made}) == len(made)
    return made


@shape
def domain(t: Table) -> Iterator[Query]:
    """The values of a filter's list."""
    for c in t.texts:
        yield Query(f"domain {c}", f'SELECT {t.of(c)} AS "{c}" FROM {t.source} GROUP BY 1 ORDER BY 1 ASC NULLS FIRST', True)


@shape
def sums(t: Table) -> Iterator[Query]:
    """A bar for each value."""
    for c, m in itertools.product(t.texts, t.numbers):
        yield Query(f"sum {m} by {c}", f'SELECT {t.of(c)} AS "{c}", SUM({t.of(m)}) AS "sum:{m}:ok" FROM {t.source} GROUP BY 1')


@shape
def aggregates(t: Table) -> Iterator[Query]:
    """Every aggregation of a measure's menu."""
    kinds = {"min": "MIN({})", "max": "MAX({})", "cnt": "COUNT({})", "ctd": "COUNT(DISTINCT {})",
             "avg": "AVG(CAST({} AS DOUBLE PRECISION))", "std": "STDDEV_SAMP(CAST({} AS DOUBLE PRECISION))",
             "var": "VAR_POP(CAST({} AS DOUBLE PRECISION))"}  # fmt: skip
    for (name, kind), m in itertools.product(kinds.items(), t.numbers):
        yield Query(f"{name} of {m}", f'SELECT {kind.format(t.of(m))} AS "{name}:{m}:ok" FROM {t.source} HAVING (COUNT(1) > 0)')
    for c in t.texts:
        yield Query(f"distinct {c}", f'SELECT COUNT(DISTINCT {t.of(c)}) AS "ctd:{c}:ok" FROM {t.source} HAVING (COUNT(1) > 0)')
    for m in t.numbers:
        yield Query(f"median of {m}", f'SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY CAST({t.of(m)} AS DOUBLE PRECISION)) AS "med:{m}:ok" FROM {t.source} HAVING (COUNT(1) > 0)')
        yield Query(f"exact average of {m}", f'SELECT AVG({t.of(m)}) AS "avg:{m}:ok" FROM {t.source}')


@shape
def counted(t: Table) -> Iterator[Query]:
    """Number of records, of the whole and of parts."""
    yield Query("records", f'SELECT SUM(1) AS "sum:Number of Records:ok" FROM {t.source} HAVING (COUNT(1) > 0)')
    for c in t.texts:
        yield Query(f"records by {c}", f'SELECT {t.of(c)} AS "{c}", SUM(1) AS "cnt:{t.name}:ok" FROM {t.source} GROUP BY 1 HAVING (COUNT(1) > 0)')


@shape
def truncated(t: Table) -> Iterator[Query]:
    """A line over time, at every step."""
    for unit in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"):
        cut = f"DATE_TRUNC('{unit}', {t.at})"
        yield Query(f"by {unit}", f'SELECT SUM({t.of("amount")}) AS "sum:amount:ok", {cut} AS "t{unit.lower()}:{t.time}:ok" FROM {t.source} GROUP BY 2')
    for unit in ("MONTH", "DAY", "HOUR"):
        cut = f"DATE_TRUNC('{unit}', {t.at})"
        yield Query(f"by {unit} in order", f'SELECT {cut} AS "t", COUNT(1) AS "n" FROM {t.source} GROUP BY 1 ORDER BY 1 ASC NULLS FIRST', True)
    yield Query("by date", f'SELECT CAST({t.of(t.time)} AS DATE) AS "day", SUM({t.of("quantity")}) AS "q" FROM {t.source} GROUP BY 1 ORDER BY 1', True)
    yield Query("week from Sunday", f"""SELECT (CAST(DATE_TRUNC('DAY', {t.at}) AS DATE) + (-EXTRACT(DOW FROM {t.at}) * INTERVAL '1 DAY')) AS "twk", SUM(1) AS "n" FROM {t.source} GROUP BY 1""")


@shape
def parts_of_times(t: Table) -> Iterator[Query]:
    """Months of all years together, days of the week, hours of the day."""
    for part in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DOW", "DOY", "HOUR", "MINUTE"):
        yield Query(f"part {part}", f'SELECT CAST(EXTRACT({part} FROM {t.at}) AS INTEGER) AS "{part.lower()}", SUM({t.of("amount")}) AS "sum:amount:ok" FROM {t.source} GROUP BY 1')
        yield Query(f"trunc of part {part}", f'SELECT CAST(TRUNC(EXTRACT({part} FROM {t.at})) AS INTEGER) AS "{part.lower()}", COUNT(1) AS "n" FROM {t.source} GROUP BY 1 ORDER BY 1', True)


@shape
def filters(t: Table) -> Iterator[Query]:
    """Quick filters: values, ranges, all but some, NULL."""
    for c in t.texts:
        value, other = t.example(c), "nowhere"
        yield Query(f"only {c}", f"SELECT SUM({t.of('amount')}) AS \"sum:amount:ok\" FROM {t.source} WHERE ({t.of(c)} = '{value}') HAVING (COUNT(1) > 0)")
        yield Query(f"some of {c}", f"SELECT {t.of(c)} AS \"{c}\", COUNT(1) AS \"n\" FROM {t.source} WHERE ({t.of(c)} IN ('{value}', '{other}')) GROUP BY 1")
        yield Query(f"all but {c}", f"SELECT COUNT(1) AS \"n\" FROM {t.source} WHERE ((NOT ({t.of(c)} IN ('{value}', '{other}'))) OR ({t.of(c)} IS NULL))")
        yield Query(f"like {c}", f"SELECT COUNT(1) AS \"n\" FROM {t.source} WHERE (LOWER({t.of(c)}) LIKE '%a%')")
    for m in t.numbers:
        yield Query(f"range of {m}", f'SELECT COUNT(1) AS "n", SUM({t.of(m)}) AS "s" FROM {t.source} WHERE (({t.of(m)} >= 2) AND ({t.of(m)} <= 10.5))')
        yield Query(f"bounds of {m}", f'SELECT MIN({t.of(m)}) AS "low", MAX({t.of(m)}) AS "high", COUNT(1) AS "n" FROM {t.source} HAVING (COUNT(1) > 0)')
    yield Query("no card", f'SELECT COUNT(1) AS "n" FROM {t.source} WHERE ({t.of(t.sparse)} IS NULL)')
    yield Query("a card", f'SELECT COUNT(1) AS "n" FROM {t.source} WHERE (NOT ({t.of(t.sparse)} IS NULL))')


@shape
def filters_of_times(t: Table) -> Iterator[Query]:
    """Ranges of dates, relative dates, whole days and months."""
    for name, condition in {
        "from": f"({t.at} >= {MOMENT})",
        "between": f"({t.at} >= {MOMENT} - 12 * INTERVAL '1 HOUR') AND ({t.at} < {MOMENT})",
        "days before": f"({t.at} >= DATE_TRUNC('DAY', {MOMENT}) + (-1 * INTERVAL '1 DAY')) AND ({t.at} < DATE_TRUNC('DAY', {MOMENT}))",
        "months before": f"({t.at} >= (DATE_TRUNC('MONTH', {MOMENT}) + (-2 * INTERVAL '1 MONTH')))",
        "one day": f"(DATE_TRUNC('DAY', {t.at}) = {MOMENT})",
        "one of the days": f"(DATE_TRUNC('DAY', {t.at}) IN ({MOMENT}, TIMESTAMP '2026-02-01 00:00:00'))",
        "one date": f"(CAST({t.of(t.time)} AS DATE) = DATE '2026-01-30')",
        "one month": f"(CAST(EXTRACT(MONTH FROM {t.at}) AS INTEGER) = 1)",
        "until now": f"({t.of(t.time)} < (CURRENT_TIMESTAMP + 36500 * INTERVAL '1 DAY'))",
        "since a text": f"({t.of(t.time)} >= '2026-01-31 06:30:00+00')",
    }.items():
        yield Query(f"when {name}", f'SELECT COUNT(1) AS "n", SUM({t.of("amount")}) AS "s" FROM {t.source} WHERE ({condition})')


@shape
def best(t: Table) -> Iterator[Query]:
    """The best N: a join with a subquery that is sorted and cut."""
    for c, m in itertools.product(t.texts[:4], t.numbers):
        ranked = f'SELECT {t.of(c)} AS "{c}", SUM({t.of(m)}) AS "$__alias__0" FROM {t.source} GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 ASC LIMIT 3'
        yield Query(
            f"best of {c} by {m}",
            f'SELECT {t.of(c)} AS "{c}", SUM({t.of("amount")}) AS "sum:amount:ok" FROM {t.source} '
            f'INNER JOIN ({ranked}) "t0" ON ({t.of(c)} = "t0"."{c}") GROUP BY 1',
        )  # fmt: skip


@shape
def sets(t: Table) -> Iterator[Query]:
    """In and out of a set: a CASE over a join with the set's members, and membership by IN."""
    for c in t.texts[:4]:
        members = f'SELECT {t.of(c)} AS "{c}" FROM {t.source} GROUP BY 1 HAVING (SUM({t.of("amount")}) > 20000)'
        yield Query(
            f"in or out of a set of {c}",
            f'SELECT (CASE WHEN ("t0"."xy" IS NULL) THEN 0 ELSE 1 END) AS "io:Set:nk", COUNT(1) AS "n" FROM {t.source} '
            f'LEFT JOIN (SELECT "m"."{c}" AS "{c}", 1 AS "xy" FROM ({members}) "m") "t0" ON ({t.of(c)} IS NOT DISTINCT FROM "t0"."{c}") GROUP BY 1',
        )  # fmt: skip
        yield Query(f"members of a set of {c}", f'SELECT SUM({t.of("quantity")}) AS "q" FROM {t.source} WHERE ({t.of(c)} IN ({members}))')
        yield Query(f"not of a set of {c}", f'SELECT SUM({t.of("quantity")}) AS "q" FROM {t.source} WHERE NOT ({t.of(c)} IN ({members}))')


@shape
def levels_of_detail(t: Table) -> Iterator[Query]:
    """FIXED, INCLUDE and EXCLUDE: aggregates joined back."""
    for c, d in itertools.pairwise((*t.texts[:4], t.sparse)):
        fixed = f'SELECT {t.of(d)} AS "{d}", SUM({t.of("amount")}) AS "__measure__1" FROM {t.source} GROUP BY 1'
        yield Query(
            f"fixed {d} within {c}",
            f'SELECT {t.of(c)} AS "{c}", SUM({t.of("amount")}) AS "sum:amount:ok", MIN("t1"."__measure__1") AS "min:lod:ok" FROM {t.source} '
            f'INNER JOIN ({fixed}) "t1" ON ({t.of(d)} IS NOT DISTINCT FROM "t1"."{d}") GROUP BY 1',
        )  # fmt: skip
        include = f'SELECT {t.of(c)} AS "{c}", {t.of(d)} AS "{d}", SUM({t.of("quantity")}) AS "__measure__0" FROM {t.source} GROUP BY 1, 2'
        yield Query(f"include {d} in {c}", f'SELECT "t0"."{c}" AS "{c}", AVG(CAST("t0"."__measure__0" AS DOUBLE PRECISION)) AS "avg:lod:ok" FROM ({include}) "t0" GROUP BY 1')
    total = f'SELECT SUM({t.of("amount")}) AS "__measure__2" FROM {t.source}'
    yield Query(
        "share of everything",
        f'SELECT {t.of("region")} AS "region", (CAST(SUM({t.of("amount")}) AS DOUBLE PRECISION) / MIN("t2"."__measure__2")) AS "usr:share:ok" '
        f'FROM {t.source} CROSS JOIN ({total}) "t2" GROUP BY 1',
    )  # fmt: skip


@shape
def calculated(t: Table) -> Iterator[Query]:
    """Calculated fields: CASE, IF, numbers, texts, NULL."""
    amount, quantity, product, card = (t.of(name) for name in ("amount", "quantity", "product_name", t.sparse))
    for name, expression in {
        "if": f"(CASE WHEN ({amount} > 50) THEN 'large' WHEN ({amount} > 10) THEN 'middle' ELSE 'small' END)",
        "if without else": f"(CASE WHEN ({quantity} > 1) THEN {product} ELSE NULL END)",
        "case of": f"(CASE {t.of('channel')} WHEN 'web' THEN 'online' WHEN 'app' THEN 'online' ELSE 'store' END)",
        "null of zero": f"NULLIF({quantity}, 1)",
        "zero of null": f"COALESCE({card}, 'none')",
        "is null": f"({card} IS NULL)",
        "and or": f"(({quantity} > 1) AND (({amount} < 10) OR ({t.of('channel')} = 'web')))",
        "product": f"({quantity} * {t.of('unit_price')})",
        "difference": f"({amount} - {quantity} * {t.of('unit_price')})",
        "whole division": f"({quantity} / 2)",
        "remainder": f"MOD({quantity}, 2)",
        "power": f"POWER(CAST({quantity} AS DOUBLE PRECISION), 2)",
        "rounded": f"ROUND({t.of('unit_price')}, 0)",
        "rounded to tenths": f"ROUND(CAST({amount} AS NUMERIC(18, 2)), 1)",
        "floor": f"FLOOR({amount})",
        "ceiling": f"CEIL({amount})",
        "absolute": f"ABS(2 - {quantity})",
        "sign": f"SIGN(CAST({quantity} - 2 AS DOUBLE PRECISION))",
        "as text": f"CAST({quantity} AS TEXT)",
        "amount as text": f"CAST({amount} AS TEXT)",
        "text as number": f"CAST(SUBSTRING({t.of('store_id')} FROM 2) AS INTEGER)",
        "as whole": f"CAST(TRUNC({amount}) AS BIGINT)",
        "bin": f"FLOOR({amount} / 25) * 25",
        "boolean": "(1 = 1)",
    }.items():
        yield Query(f"calculated {name}", f'SELECT {expression} AS "Calculation_1", COUNT(1) AS "n" FROM {t.source} GROUP BY 1')


@shape
def functions_of_texts(t: Table) -> Iterator[Query]:
    """Text functions as Tableau translates its own."""
    region = t.of("region")
    for name, expression in {
        "upper": f"UPPER({region})", "lower": f"LOWER({region})", "length": f"LENGTH({region})",
        "left": f"LEFT({region}, 3)", "right": f"RIGHT({region}, 4)", "mid": f"SUBSTRING({region} FROM 2 FOR 3)",
        "substr": f"SUBSTR({region}, 3, 2)", "trim": f"TRIM({region} || '  ')", "ltrim": f"LTRIM({region}, 'B')",
        "rtrim": f"RTRIM({region})", "replace": f"REPLACE({region}, 'e', '_')", "joined": f"({region} || '/' || {t.of('channel')})",
        "position": f"POSITION('a' IN {region})", "strpos": f"STRPOS({region}, 'e')", "split": f"SPLIT_PART({region}, '-', 1)",
        "ascii": f"ASCII({region})", "char": f"CHR(65 + {t.of('quantity')})", "starts": f"(LEFT({region}, LENGTH('Br')) = 'Br')",
        "contains": f"(POSITION('le' IN {region}) > 0)", "ends": f"(RIGHT({region}, 1) = 'e')", "padded": f"LPAD({t.of('channel')}, 8, '.')",
        "concatenated": f"CONCAT({t.of('channel')}, {t.of(t.sparse)})", "reversed": f"REVERSE({t.of('channel')})",
        "matches": f"({region} ~ '^[A-C]')", "like": f"({region} LIKE 'Bre%')", "ilike": f"({region} ILIKE 'bre%')",
        "initials": f"INITCAP({t.of('channel')})", "repeated": f"REPEAT({t.of('channel')}, 2)",
    }.items():  # fmt: skip
        yield Query(f"text {name}", f'SELECT {expression} AS "Calculation_2", COUNT(1) AS "n" FROM {t.source} GROUP BY 1')


@shape
def arithmetic_of_times(t: Table) -> Iterator[Query]:
    """DATEADD, DATEDIFF, DATEPARSE and what they become."""
    for name, expression in {
        "a day later": f"DATE_TRUNC('DAY', {t.at} + 1 * INTERVAL '1 DAY')",
        "a month earlier": f"DATE_TRUNC('MONTH', {t.at} - INTERVAL '1 MONTH')",
        "days since": f"(CAST({t.at} AS DATE) - DATE '2026-01-01')",
        "hours of day": f"CAST(EXTRACT(HOUR FROM {t.at}) AS INTEGER) / 6",
        "month name": f"TO_CHAR({t.at}, 'YYYY-MM')",
        "epoch": f"CAST(FLOOR(EXTRACT(EPOCH FROM DATE_TRUNC('HOUR', {t.at}))) AS BIGINT)",
        "made date": f"CAST(TO_CHAR({t.at}, 'YYYY-MM-DD') AS DATE)",
    }.items():
        yield Query(f"time {name}", f'SELECT {expression} AS "Calculation_3", COUNT(1) AS "n" FROM {t.source} GROUP BY 1')


@shape
def windows(t: Table) -> Iterator[Query]:
    """Custom SQL with windows; Tableau's own table calculations are made in Tableau."""
    for name, window in {
        "rank": 'RANK() OVER (ORDER BY SUM({m}) DESC)', "dense rank": 'DENSE_RANK() OVER (ORDER BY SUM({m}) DESC)',
        "row number": "ROW_NUMBER() OVER (ORDER BY SUM({m}) DESC, {c})", "share": "SUM({m}) / SUM(SUM({m})) OVER ()",
        "running": "SUM(SUM({m})) OVER (ORDER BY {c} ROWS UNBOUNDED PRECEDING)", "last": "LAG(SUM({m})) OVER (ORDER BY {c})",
        "next": "LEAD(SUM({m}), 1) OVER (ORDER BY {c})", "first": "FIRST_VALUE(SUM({m})) OVER (ORDER BY {c})",
        "moving": "AVG(CAST(SUM({m}) AS DOUBLE PRECISION)) OVER (ORDER BY {c} ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
        "percent": "PERCENT_RANK() OVER (ORDER BY SUM({m}))", "tile": "NTILE(4) OVER (ORDER BY SUM({m}), {c})",
    }.items():  # fmt: skip
        for c in t.texts[:2]:
            asked = window.format(m=t.of("amount"), c=t.of(c))
            yield Query(f"window {name} over {c}", f'SELECT {t.of(c)} AS "{c}", {asked} AS "w" FROM {t.source} GROUP BY {t.of(c)} ORDER BY 1', True)


@shape
def custom(t: Table) -> Iterator[Query]:
    """Custom SQL: wrapped in a subquery and probed without rows, then asked."""
    inner = f'SELECT region, channel, amount, sold_at, quantity, customer_id FROM {t.name} WHERE amount > 5'
    yield Query("probe", f'SELECT * FROM ({inner}) "subquery" LIMIT 0')
    yield Query("probe of one", f'SELECT "subquery"."region" AS "region" FROM ({inner}) "subquery" GROUP BY 1 LIMIT 0')
    yield Query("probe of a table", f"SELECT * FROM {t.source} LIMIT 0")
    yield Query("asked", f'SELECT "Custom SQL Query"."channel" AS "channel", SUM("Custom SQL Query"."amount") AS "s" FROM ({inner}) "Custom SQL Query" GROUP BY 1')
    yield Query("constant", 'SELECT 1 AS "COL"')
    yield Query("united", f"SELECT region AS r FROM {t.name} WHERE channel = 'web' UNION SELECT region FROM {t.name} WHERE channel = 'app' ORDER BY r", True)
    yield Query("except", f"SELECT store_id FROM {t.name} EXCEPT SELECT store_id FROM {t.name} WHERE region = 'Bretagne' ORDER BY 1", True)
    yield Query("with", f"WITH d AS (SELECT CAST(sold_at AS DATE) AS day, sum(amount) AS s FROM {t.name} GROUP BY 1) SELECT day, s, s > (SELECT avg(s) FROM d) AS above FROM d ORDER BY day", True)
    yield Query("exists", f"SELECT count(*) AS n FROM {t.name} a WHERE EXISTS (SELECT 1 FROM {t.name} b WHERE b.customer_id = a.customer_id AND b.channel = 'app')")
    yield Query("filtered", f"SELECT region, count(*) FILTER (WHERE channel = 'web') AS web, sum(amount) FILTER (WHERE quantity > 1) AS more FROM {t.name} GROUP BY region ORDER BY region", True)
    yield Query("grouping sets", f"SELECT region, channel, sum(quantity) AS q FROM {t.name} GROUP BY ROLLUP (region, channel)")
    yield Query("distinct", f"SELECT DISTINCT channel, currency FROM {t.name} ORDER BY channel DESC", True)
    yield Query("rows", f"SELECT kafka_partition, kafka_offset, sale_id, sold_at, amount FROM {t.name} ORDER BY kafka_partition, kafka_offset LIMIT 25 OFFSET 5", True)
    yield Query("everything of some", f"SELECT * FROM {t.name} WHERE kafka_offset < 40 ORDER BY kafka_partition, kafka_offset", True)
    yield Query("correlated", f"SELECT s.region, s.n FROM (SELECT region, count(*) AS n FROM {t.name} GROUP BY region) s WHERE s.n >= (SELECT max(n) FROM (SELECT count(*) AS n FROM {t.name} GROUP BY region) m)")
    yield Query("unnamed columns", f"SELECT count(*), sum(quantity), max(amount), upper(min(region)), min(quantity) + 1 FROM {t.name}")


@shape
def crossed(t: Table) -> Iterator[Query]:
    """Two dimensions and several measures, as a text table asks."""
    for c, d in itertools.combinations(t.texts[:4], 2):
        yield Query(
            f"{c} and {d}",
            f'SELECT {t.of(c)} AS "{c}", {t.of(d)} AS "{d}", SUM({t.of("amount")}) AS "sum:amount:ok", SUM({t.of("quantity")}) AS "sum:quantity:ok", '
            f'MAX({t.of("unit_price")}) AS "max:unit_price:ok", COUNT(DISTINCT {t.of(t.sparse)}) AS "ctd:card:ok" FROM {t.source} GROUP BY 1, 2',
        )  # fmt: skip
