"""Times in the session's zone: the SQL endpoint's answers around the hours at which clocks are set, and PostgreSQL's.

    sales at those hours -> lake and mirror -> SET TimeZone, the same query of both -> the same texts
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow.dataset
import pytest
from psycopg.pq import DiagnosticField, ExecStatus

from harness.kafka_cluster import KafkaCluster
from harness.lake import local_lake
from harness.mirror import SUMS, sale
from harness.programs import Program, built, write_config
from harness.sql import SqlEndpoint
from native_stack import Stack

ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Beirut", "GMT-02:00",
         "-3.5")  # fmt: skip
TABLES = ("zoned_lake", "zoned_live", "zoned")
# Clocks are set at these hours in Paris, New York, Lord Howe (by half an hour) and Beirut (at midnight).
SET = ("2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00", "2026-04-04T15:00",
       "2026-10-03T15:30", "2026-03-28T22:00", "2026-10-24T21:00")  # fmt: skip
BESIDE = (timedelta(), timedelta(milliseconds=1), timedelta(minutes=29, milliseconds=500), timedelta(minutes=59),
          timedelta(hours=1), timedelta(hours=1, minutes=45), timedelta(hours=3), timedelta(hours=23, minutes=30),
          timedelta(hours=25))  # fmt: skip
ENDS = ("2025-12-31T23:30", "2026-01-01T04:59:59.999", "2026-06-30T22:00", "2026-06-30T18:30", "2026-02-28T23:59")

UNITS = ("minute", "hour", "day", "week", "month", "quarter", "year")
PARTS = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DOW", "ISODOW", "DOY", "HOUR", "MINUTE", "ISOYEAR")
BY = "SELECT {} AS k, count(*), sum(quantity), min(sold_at), max(sold_at) FROM {{}} GROUP BY 1"
OF = "SELECT sale_id, {} FROM {{}}"
WHERE = "SELECT sale_id FROM {{}} WHERE {}"
QUERIES = (
    *(BY.format(f"date_trunc('{unit}', sold_at)") for unit in UNITS),
    *(BY.format(f"CAST(EXTRACT({part} FROM sold_at) AS INTEGER)") for part in PARTS),
    BY.format("CAST(sold_at AS DATE)"),
    BY.format("CAST(date_trunc('month', sold_at) AS DATE)"),
    BY.format("to_char(sold_at, 'YYYY-MM-DD HH24:MI')"),
    BY.format("date_trunc('hour', CAST(sold_at AS TIMESTAMP))"),
    OF.format("sold_at, CAST(sold_at AS TEXT), CAST(sold_at AS TIMESTAMP), CAST(CAST(sold_at AS TIMESTAMP) AS TEXT)"),
    OF.format("'at ' || sold_at, CAST(sold_at AS DATE), CAST(CAST(sold_at AS TIMESTAMP) AS TIMESTAMPTZ)"),
    OF.format("CAST(CAST(sold_at AS TEXT) AS TIMESTAMPTZ), CAST(CAST(sold_at AS DATE) AS TIMESTAMPTZ)"),
    OF.format("CAST(FLOOR(EXTRACT(EPOCH FROM date_trunc('day', sold_at))) AS BIGINT)"),
    OF.format("sold_at + INTERVAL '1 day', sold_at - INTERVAL '1 month', sold_at + INTERVAL '24 hours'"),
    OF.format("sold_at - INTERVAL '1 month 1 day 30 minutes', CAST(sold_at AS TIMESTAMP) + INTERVAL '1 day'"),
    OF.format("sold_at AT TIME ZONE 'Asia/Kolkata', CAST(sold_at AS TIMESTAMP) AT TIME ZONE 'America/New_York'"),
    OF.format("timezone('Europe/Paris', sold_at), CAST(sold_at AT TIME ZONE 'Europe/Paris' AS DATE)"),
    *(WHERE.format(condition) for condition in (
        "sold_at >= '2026-03-29 02:30:00'",
        "sold_at < TIMESTAMP '2026-10-25 02:30:00'",
        "sold_at <= '2026-10-25 02:30:00+01'",
        "sold_at = TIMESTAMPTZ '2026-03-29 03:00:00'",
        "sold_at >= DATE '2026-03-29' AND sold_at < DATE '2026-03-30'",
        "sold_at BETWEEN DATE '2026-10-25' AND DATE '2026-10-26'",
        "sold_at IN ('2026-03-29 01:00:00', '2026-10-25 01:00:00', '2026-03-08 02:00:00')",
        "CAST(sold_at AS DATE) = DATE '2026-03-29'",
        "CAST(sold_at AS DATE) <> DATE '2026-10-25'",
        "CAST(sold_at AS DATE) > '2026-10-24'",
        "CAST(sold_at AS DATE) IN (DATE '2026-03-28', DATE '2026-10-25', DATE '2026-11-01')",
        "CAST(sold_at AS TIMESTAMP) >= TIMESTAMP '2026-10-25 02:30:00'",
        "CAST(sold_at AS TIMESTAMP) < TIMESTAMP '2026-03-29 02:30:00'",
        "CAST(sold_at AS TIMESTAMP) BETWEEN TIMESTAMP '2026-11-01 00:00:00' AND TIMESTAMP '2026-11-01 12:00:00'",
        "CAST(sold_at AS TIMESTAMP) = TIMESTAMP '2026-10-25 02:00:00'",
        "date_trunc('day', sold_at) = '2026-03-29'",
        "date_trunc('month', sold_at) IN (DATE '2026-03-01', DATE '2026-10-01')",
        "EXTRACT(HOUR FROM sold_at) = 2",
        "EXTRACT(YEAR FROM sold_at) = 2026",
    )),
    *(f"SELECT CAST('{clock}' AS TIMESTAMPTZ), CAST(TIMESTAMP '{clock}' AS TIMESTAMPTZ), TIMESTAMPTZ '{clock}'"
      for clock in ("2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-03-08 02:00:00", "2026-11-01 01:59:59.25")),
    "SELECT CAST(DATE '2026-03-29' AS TIMESTAMPTZ), CAST(DATE '2026-10-25' AS TIMESTAMPTZ)",
    "SELECT CURRENT_DATE = CAST(now() AS DATE), now() >= CURRENT_DATE, now() < CURRENT_DATE + INTERVAL '1 day'",
)  # fmt: skip


@pytest.fixture(scope="module")
def zoned(
    kafka: KafkaCluster, stack: Stack, mongodb, postgres, lake_sql: Program, tmp_path_factory
) -> Iterator[tuple[SqlEndpoint, object]]:
    """Sales around those hours, in lake and mirror and in PostgreSQL."""
    folder: Path = tmp_path_factory.mktemp("zoned")
    moments = {datetime.fromisoformat(time).replace(tzinfo=UTC) for time in ENDS}
    for time in SET:
        change = datetime.fromisoformat(time).replace(tzinfo=UTC)
        moments |= {change + step for step in BESIDE} | {change - step for step in BESIDE}
    topic = kafka.create_topic(partitions=2)
    made = [sale(number, sold_at=moment.isoformat()) for number, moment in enumerate(sorted(moments))]
    kafka.produce(topic, [json.dumps(one).encode() for one in made])
    lake, database = local_lake(folder), f"zoned_{abs(hash(folder)) % 10**9}"
    mirror = {"uri": stack.mongodb.uri, "database": database, "collection": "zoned", "rollup": SUMS}
    config = write_config(folder / "both.toml", lake, kafka.bootstrap, topic, mirror={"mongodb": mirror})
    Program(built("lake-writer"), folder).run("--config", config, "run", "--until-end")
    rows = pyarrow.dataset.dataset(Path(lake.url.removeprefix("file://")) / "data", partitioning=None).to_table()
    assert rows.num_rows == len(made)
    postgres.load("zoned_lake", rows)
    with closing(postgres.connect(autocommit=True)) as connection:
        for view in TABLES[1:]:
            connection.execute(f"CREATE VIEW {view} AS SELECT * FROM zoned_lake")
    with SqlEndpoint(lake_sql, folder, config) as endpoint:
        yield endpoint, postgres
    mongodb.drop_database(database)


def told(connection: psycopg.Connection, query: str) -> list[tuple]:
    """The texts of an answer, in any order; or the SQLSTATE."""
    result = connection.pgconn.exec_(query.encode())
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return [(b"SQLSTATE", result.error_field(DiagnosticField.SQLSTATE))]
    columns = range(result.nfields)
    return sorted(
        (tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)),
        key=lambda row: [value or b"" for value in row],
    )


@pytest.mark.parametrize("zone", ZONES)
def test_times_are_cut_compared_and_written_in_the_zone_of_the_session(zoned, zone: str) -> None:
    endpoint, postgres = zoned
    wrong = {}
    with endpoint.connect() as ours, postgres.connect(autocommit=True) as theirs:
        for connection in (ours, theirs):
            connection.execute(f"SET TimeZone = '{zone}'")
        assert told(ours, "SHOW TimeZone") == told(theirs, "SHOW TimeZone")
        for query in QUERIES:
            expected = told(theirs, query.format("zoned_lake"))
            assert not expected or expected[0][0] != b"SQLSTATE", f"PostgreSQL refuses {query}: {expected}"
            for table in TABLES if "{}" in query else ("",):
                found = told(ours, query.format(table))
                if found != expected:
                    pairs = zip(found, expected, strict=False)
                    first = next((pair for pair in pairs if pair[0] != pair[1]), "none")
                    wrong[query.format(table)] = f"{len(found)} rows, not {len(expected)}; first other one {first}"
    assert not wrong, f"{len(wrong)} differ\n" + "\n".join(f"{query}\n    {how}" for query, how in wrong.items())


def test_prepared_statements_follow_the_zone(zoned) -> None:
    """What was prepared in one zone is cut in that of the time at which it runs; parameters are read by it."""
    endpoint, postgres = zoned
    query = "SELECT date_trunc('day', sold_at), count(*) FROM zoned WHERE sold_at >= %s GROUP BY 1 ORDER BY 1"
    answers = []
    for server in (endpoint, postgres):
        with server.connect(autocommit=True) as connection:
            for zone in ("Asia/Kolkata", "Europe/Paris", "UTC"):
                connection.execute(f"SET TimeZone = '{zone}'")
                answers.append(connection.execute(query, ("2026-03-29 02:30:00",), prepare=True).fetchall())
    assert answers[:3] == answers[3:]
    assert len({str(answer) for answer in answers[:3]}) == 3


def test_instants_are_the_same_in_binary_in_every_zone(zoned) -> None:
    endpoint, postgres = zoned
    query = "SELECT sold_at, date_trunc('day', sold_at), CAST(sold_at AS DATE) FROM zoned ORDER BY sale_id"
    for zone in ZONES[:4]:
        answers = []
        for server in (endpoint, postgres):
            with server.connect(autocommit=True) as connection:
                connection.execute(f"SET TimeZone = '{zone}'")
                answers.append(connection.cursor(binary=True).execute(query).fetchall())
        assert answers[0] == answers[1], zone


def test_what_depends_on_a_zone_is_pushed_down_where_that_is_exact(zoned) -> None:
    """A day is a range of instants wherever clocks show its midnights once; groups by days of a zone are made here."""
    endpoint, _ = zoned
    day = "SELECT sale_id FROM zoned_live WHERE CAST(sold_at AS DATE) = DATE '2026-03-29'"
    clock = "SELECT sale_id FROM zoned_live WHERE CAST(sold_at AS TIMESTAMP) >= TIMESTAMP '2026-10-25 12:00:00'"
    group = "SELECT date_trunc('day', sold_at), count(*) FROM zoned_live GROUP BY 1"
    pushed = {}
    for zone in ("UTC", "Europe/Paris", "Asia/Beirut"):
        with endpoint.connect() as connection:
            connection.execute(f"SET TimeZone = '{zone}'")
            plans = ["\n".join(map(str, connection.execute(f"EXPLAIN {query}"))) for query in (day, clock, group)]
        pushed[zone] = ("FilterExec" not in plans[0], "FilterExec" not in plans[1], "$group" in plans[2])
    # In Beirut 29 March has no midnight.
    assert pushed == {
        "UTC": (True, True, True), "Europe/Paris": (True, True, False), "Asia/Beirut": (False, True, False),
    }  # fmt: skip
    with endpoint.connect() as connection:
        connection.execute("SET TimeZone = 'Europe/Paris'")
        text = "\n".join(map(str, connection.execute(f"EXPLAIN {day}")))
    # From 28 March 23:00 UTC on, for 23 hours.
    assert "2026-03-28T23:00:00" in text or "2026-03-28 23:00:00" in text, text
    assert "2026-03-29T22:00:00" in text or "2026-03-29 22:00:00" in text, text


@pytest.mark.parametrize(
    "statement",
    [
        "SET TimeZone = 'Mars/Olympus'",
        "SET TimeZone = 'Europe'",
        "SET TIME ZONE 'x'",
        "SELECT sold_at AT TIME ZONE 'Mars/Olympus' FROM zoned_lake",
        "SELECT timezone('nowhere', sold_at) FROM zoned_lake",
    ],
)
def test_zones_that_there_are_none_of_are_refused_as_postgresql_refuses_them(zoned, statement: str) -> None:
    endpoint, postgres = zoned
    with endpoint.connect() as ours, postgres.connect(autocommit=True) as theirs:
        assert told(ours, statement) == told(theirs, statement) == [(b"SQLSTATE", b"22023")]


@pytest.mark.parametrize(
    "given", ["europe/paris", "utc", "GMT", "5", "-8", "5.5", "GMT+3", "+02:00", "EST5EDT", "UTC-3", "x+1"]
)
def test_zones_have_the_names_and_offsets_of_postgresql(zoned, given: str) -> None:
    endpoint, postgres = zoned
    query = "SELECT max(sold_at), min(CAST(sold_at AS TIMESTAMP)) FROM zoned_lake"
    with endpoint.connect() as ours, postgres.connect(autocommit=True) as theirs:
        for connection in (ours, theirs):
            connection.execute(f"SET TimeZone = '{given}'")
        assert told(ours, "SHOW TimeZone") == told(theirs, "SHOW TimeZone")
        assert told(ours, query) == told(theirs, query)
