"""The drivers by which Tableau and others connect: pgjdbc, psqlODBC, psycopg and psql, as they are.

What they ask a database about itself, and the ways in which they send statements and take rows.
"""

from __future__ import annotations

import datetime
from decimal import Decimal

import psycopg
import pyodbc
import pytest

from harness.sql import PASSWORD, USER

# What Tableau does not ask: the first is missing in the driver, the others need catalogues that are not there.
UNANSWERED = {"getAttributes", "getColumnPrivileges", "getTablePrivileges", "getUDTs", "getVersionColumns"}
COLUMNS = {
    "kafka_partition": "int4", "kafka_offset": "int8", "sale_id": "text", "sold_at": "timestamptz", "region": "text",
    "store_id": "text", "product_id": "text", "product_name": "text", "category": "text", "quantity": "int4",
    "unit_price": "numeric", "amount": "numeric", "currency": "text", "customer_id": "text", "channel": "text",
}  # fmt: skip


@pytest.fixture(scope="module")
def metadata(sql_endpoint) -> dict[str, object]:
    """Everything that pgjdbc's DatabaseMetaData says."""
    return {line["method"]: line["told"] for line in sql_endpoint.java("Metadata", "sales_lake")}


@pytest.fixture(scope="module")
def odbc(sql_endpoint):
    """Connects by psqlODBC."""

    def connect(**options: object) -> pyodbc.Connection:
        told = {"DRIVER": "PostgreSQL Unicode", "SERVER": "127.0.0.1", "PORT": sql_endpoint.port, "DATABASE": "lake",
                "UID": USER, "PWD": "{" + PASSWORD.replace("}", "}}") + "}", **options}  # fmt: skip
        return pyodbc.connect(";".join(f"{name}={value}" for name, value in told.items()))

    return connect


def test_every_question_of_jdbc_about_the_database_is_answered(metadata) -> None:
    """No method of DatabaseMetaData that Tableau calls throws."""
    thrown = {name: told["thrown"] for name, told in metadata.items() if isinstance(told, dict)}
    thrown = {name: text for name, text in thrown.items() if name not in UNANSWERED}
    assert not thrown, "\n".join(f"{name}: {text}" for name, text in thrown.items())


def test_jdbc_sees_our_tables_and_their_columns(metadata) -> None:
    """Names, types, precision and scale; no keys, indexes or functions, because there are none."""
    tables = {row["TABLE_NAME"] for row in metadata["getTables"]}
    assert "sales_lake" in tables
    assert tables == {row["TABLE_NAME"] for row in metadata["getTablesOfTableau"]}
    columns = {row["COLUMN_NAME"]: row for row in metadata["getColumns"]}
    assert {name: columns[name]["TYPE_NAME"] for name in COLUMNS} == COLUMNS
    assert [columns["amount"][it] for it in ("COLUMN_SIZE", "DECIMAL_DIGITS")] == ["18", "2"]
    assert [int(row["ORDINAL_POSITION"]) for row in metadata["getColumns"]] == list(range(1, len(columns) + 1))
    assert [row["TABLE_SCHEM"] for row in metadata["getSchemas"]] == ["pg_catalog", "public"]
    assert [row["TABLE_CAT"] for row in metadata["getCatalogs"]] == ["lake"]
    keys = ("getPrimaryKeys", "getImportedKeys", "getExportedKeys", "getIndexInfo")
    for nothing in (*keys, "getProcedures", "getFunctions"):
        assert metadata[nothing] == [], nothing
    assert {"numeric", "timestamptz", "int4", "text"} <= {row["TYPE_NAME"] for row in metadata["getTypeInfo"]}
    assert metadata["getMaxColumnsInIndex"] == 32
    assert metadata["getDatabaseMajorVersion"] == 15
    assert metadata["getUserName"] == USER


def test_jdbc_sends_statements_in_all_its_ways(sql_endpoint, postgres) -> None:
    """Portals with row limits, binary values, parameters, cancelling, timeouts, temporary tables that are refused."""
    with postgres.connect() as connection:
        count = connection.execute("SELECT count(*) FROM sales_lake").fetchone()[0]
        some = connection.execute(
            "SELECT count(*) FROM sales_lake WHERE amount > 1.50 AND quantity >= 1 AND channel IN ('web', 'store')"
        ).fetchone()[0]
    told = {line["asked"]: line["told"] for line in sql_endpoint.java("Statements", "sales_lake")}
    assert told["count"] == str(count)
    assert told["fetched"] == count
    assert told["parameters"] == some
    assert told["batch of settings"] == "1"
    assert told["cancelled"] == "57014 soon"
    assert told["timed out"] == "57014 soon"
    assert told["temporary table"] == "thrown 42501"
    assert told["still well after an error"] == "42703 1"
    assert "after" not in told["prepared often, in binary"]
    assert "amount numeric(18,2)" in told["types"]
    assert "sold_at timestamptz" in told["types"]


def test_a_zone_of_the_machine_is_taken_from_jdbc(sql_endpoint) -> None:
    """pgjdbc says its zone when it connects; an extra parameter at the start is one of the session."""
    told = sql_endpoint.java("Metadata", "sales_lake", ApplicationName="Tableau", options="-c%20statement_timeout=90s")
    assert len(told) > 30


@pytest.mark.parametrize("fetch", [0, 1])
def test_odbc_reads_tables_and_rows(odbc, postgres, fetch) -> None:
    """SQLTables, SQLColumns, SQLGetTypeInfo; rows whole and by cursors (UseDeclareFetch)."""
    with postgres.connect() as connection:
        expected = connection.execute("SELECT count(*), sum(amount) FROM sales_lake").fetchone()
    with odbc(UseDeclareFetch=fetch, Fetch=50) as connection:
        cursor = connection.cursor()
        assert "sales_lake" in {row.table_name for row in cursor.tables(schema="public", tableType="TABLE")}
        columns = {row.column_name: row for row in cursor.columns(table="sales_lake", schema="public")}
        assert {name: columns[name].type_name for name in COLUMNS} == COLUMNS
        assert (columns["amount"].column_size, columns["amount"].decimal_digits) == (18, 2)
        assert "numeric" in {row.type_name for row in cursor.getTypeInfo()}
        assert not list(cursor.primaryKeys("sales_lake", schema="public"))
        assert not list(cursor.statistics("sales_lake", schema="public"))
        query = "SELECT amount, sold_at, quantity, region FROM sales_lake ORDER BY kafka_offset"
        rows = cursor.execute(query).fetchall()
        assert (len(rows), sum(row.amount for row in rows)) == expected
        assert isinstance(rows[0].amount, Decimal)
        assert isinstance(rows[0].sold_at, datetime.datetime)
        query = "SELECT count(*) FROM sales_lake WHERE region = ? AND quantity > ?"
        one = cursor.execute(query, "Bretagne", 1).fetchone()
        assert 0 < one[0] < expected[0]
        with pytest.raises(pyodbc.Error, match=r"42703|does not exist"):
            cursor.execute("SELECT nothing FROM sales_lake")
        connection.rollback()
        assert cursor.execute("SELECT 1").fetchone()[0] == 1


def test_psycopg_reads_in_all_its_ways(sql_endpoint) -> None:
    """Parameters, prepared statements, server-side cursors, transactions, streams."""
    with sql_endpoint.connect(autocommit=False) as connection:
        count = connection.execute("SELECT count(*) FROM sales_lake").fetchone()[0]
        with connection.cursor("named") as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT amount FROM sales_lake WHERE quantity >= 1")
            assert len(list(cursor)) == count
        with connection.cursor("binary", binary=True, withhold=True) as cursor:
            cursor.execute("SELECT sold_at, amount FROM sales_lake ORDER BY kafka_partition, kafka_offset")
            connection.commit()
            assert len(cursor.fetchmany(10)) == 10
            assert len(cursor.fetchall()) == count - 10
        for _ in range(7):
            found = connection.execute(
                "SELECT count(*) FROM sales_lake WHERE amount BETWEEN %s AND %s AND sold_at < %s"
                " AND region IN (%s, %s)",
                (Decimal("1.00"), 5000, datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC), "Bretagne", "Corse"),
                prepare=True,
            ).fetchone()[0]
            assert 0 < found < count
        assert sum(1 for _ in connection.cursor().stream("SELECT region FROM sales_lake")) == count
        with pytest.raises(psycopg.errors.UndefinedTable), connection.transaction():
            connection.execute("SELECT * FROM nothing")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_psycopg_binds_arrays_and_the_parameters_of_cursors(sql_endpoint, postgres) -> None:
    """As texts and in binary, to statements and to cursors; and psycopg's names for none."""
    count = "SELECT count(*) FROM sales_lake WHERE region = ANY(%{0}) AND NOT quantity = ANY(%{0}) AND sold_at > %{0}"
    page = """SELECT sale_id FROM sales_lake WHERE region = ANY(%{0}) AND quantity <> ALL(%{0}) AND sold_at > %{0}
        ORDER BY 1"""
    since = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    given = (["Bretagne", "Île-de-France", 'with "quotes", {braces} and a \\'], [1, 7], since)
    answers = []
    for server in (sql_endpoint, postgres):
        with server.connect(autocommit=False) as connection:
            told = [connection.execute(count.format(kind), given, prepare=True).fetchone() for kind in "stb"]
            with connection.cursor("named") as cursor:
                cursor.execute(page.format("s"), given)
                told += [cursor.fetchmany(5), cursor.fetchall()]
            for nothing in ([], None, [None]):
                told.append(connection.execute("SELECT count(*) FROM sales_lake WHERE quantity <> ALL(%s::int[])",
                                               (nothing,)).fetchone())  # fmt: skip
            answers.append(told)
    assert answers[0] == answers[1]
    assert answers[0][0][0] > 0 and len(answers[0][3]) == 5


def test_outer_joins_with_catalogues_of_what_there_is_none_of_keep_their_rows(sql_endpoint) -> None:
    """A table without keys is a row with none; what only keys are asked of has no rows."""
    rows = sql_endpoint.rows
    left = """SELECT c.relname, i.indexrelid FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid
        WHERE c.relname = %s"""
    assert rows(left, "sales_lake") == [("sales_lake", None)]
    right = """SELECT c.relname FROM pg_catalog.pg_constraint k RIGHT JOIN pg_class c ON k.conrelid = c.oid
        WHERE c.relname = %s"""
    assert rows(right, "sales_lake") == [("sales_lake",)]
    inner = "SELECT c.relname FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid WHERE c.relname = %s"
    assert rows(inner, "sales_lake") == []
    assert rows("SELECT count(*) FROM pg_index WHERE indrelid > %s", 0) == [(0,)]


def test_psql_describes_what_there_is(sql_endpoint) -> None:
    """The commands that people type first."""
    for command, expected in {
        r"\d": "sales_lake", r"\dt": "sales_lake", r"\d sales_lake": "numeric(18,2)", r"\l": "lake", r"\du": USER,
        r"\dn": "public", r"\conninfo": "lake", r"\df": "0 rows", r"\dv": "", r"\di": "", r"\dt+": "sales_lake",
    }.items():  # fmt: skip
        told = sql_endpoint.psql(command)
        assert expected in told, f"{command}: {told}"
        assert "ERROR" not in told, f"{command}: {told}"
    assert "timestamp with time zone" in sql_endpoint.psql(r"\d sales_lake")
    assert "pg_class" not in sql_endpoint.psql(r"\dt")
    assert "postgres" not in sql_endpoint.psql(r"\l")


def test_catalogues_say_what_clients_look_for(sql_endpoint) -> None:
    """What Tableau and others ask by hand."""
    for query, expected in {
        "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_index_keys'": [("32",)],
        "SELECT current_database(), current_schema(), current_user, session_user": [("lake", "public", USER, USER)],
        "SELECT 'public' = ANY(current_schemas(true))": [(True,)],
        "SELECT split_part(version(), '.', 1)": [("PostgreSQL 15",)],
        "SELECT current_setting('server_version_num')": [("150000",)],
        "SELECT table_schema FROM information_schema.tables WHERE table_name = 'sales_lake'": [("public",)],
        "SELECT numeric_precision, numeric_scale FROM information_schema.columns "
        "WHERE table_name = 'sales_lake' AND column_name = 'amount'": [(18, 2)],
        "SELECT datname FROM pg_database": [("lake",)],
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'amount' "
        "AND attrelid = 'sales_lake'::regclass": [("numeric(18,2)",)],
        "SELECT usename FROM pg_user": [(USER,)],
        "SHOW server_version_num": [("150000",)],
        "SHOW transaction_isolation": [("read committed",)],
    }.items():
        assert sql_endpoint.rows(query) == expected, query
