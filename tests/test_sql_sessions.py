"""Sessions of the SQL endpoint: who may come in, what a statement may use, what is refused, and how it stops."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import errors

from harness.sql import PASSWORD, USER, SqlEndpoint, add_user
from native_stack import tls

USAGE, INTERRUPTED = 2, 7
# Rows enough for minutes, of a table that is small.
SLOW = """SELECT count(*) FROM sales_lake a CROSS JOIN sales_lake b CROSS JOIN sales_lake c
    WHERE a.amount + b.amount < c.amount"""
# Rows without end, for all that matters here.
STREAM = "SELECT a.sale_id, b.sale_id FROM sales_lake a CROSS JOIN sales_lake b"


@pytest.fixture
def endpoint(lake_sql, sql_config, tmp_path):
    """Makes endpoints of the test's own."""
    made = []

    def make(*options: object, **named: object) -> SqlEndpoint:
        made.append(SqlEndpoint(lake_sql, tmp_path, sql_config, *options, **named))
        return made[-1]

    yield make
    for one in made:
        one.running.__exit__()


def failure(run, *arguments: object, **named: object) -> psycopg.Error:
    """The error of what must fail."""
    with pytest.raises(psycopg.Error) as failed:
        run(*arguments, **named)
    return failed.value


def sqlstate(run, *arguments: object, **named: object) -> str:
    """Its SQLSTATE."""
    return failure(run, *arguments, **named).sqlstate


# -- who may come in ------------------------------------------------------------------------------


def test_wrong_users_and_wrong_passwords_cannot_be_told_apart(sql_endpoint) -> None:
    """Neither the answer nor what is asked on the way says whether a user exists."""
    told = []
    for user, password in ((USER, "wrong"), ("nobody", PASSWORD)):
        with pytest.raises(psycopg.OperationalError) as refused:
            sql_endpoint.connect(user=user, password=password)
        told.append(str(refused.value).replace(user, "…").split("FATAL")[1])
    assert told[0] == told[1]
    assert "password authentication failed" in told[0]
    first = [scram_first(sql_endpoint.port, user) for user in (USER, "nobody", "nobody")]
    (_, salt, rounds), (_, other_salt, other_rounds), (_, again, _) = first
    assert (len(salt), rounds) == (len(other_salt), other_rounds)
    assert other_salt == again != salt
    with pytest.raises(psycopg.OperationalError, match='database "other" does not exist'):
        sql_endpoint.connect(dbname="other")


def scram_first(port: int, user: str) -> list[str]:
    """What the server asks a user for, before it has seen a password: nonce, salt, iterations."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        body = struct.pack("!i", 196608) + b"user\0" + user.encode() + b"\0database\0lake\0\0"
        connection.sendall(struct.pack("!i", len(body) + 4) + body)
        read_message(connection)
        first = b"n,,n=,r=abcdefghijklmnop"
        body = b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first
        connection.sendall(b"p" + struct.pack("!i", len(body) + 4) + body)
        return [part[2:] for part in read_message(connection)[4:].decode().split(",")]


def read_message(connection: socket.socket) -> bytes:
    """The body of the next message."""
    head = connection.recv(5, socket.MSG_WAITALL)
    return connection.recv(struct.unpack("!i", head[1:])[0] - 4, socket.MSG_WAITALL)


def test_nothing_is_done_for_a_client_whose_password_was_wrong(sql_endpoint) -> None:
    """A statement sent along with a wrong proof is not even read."""
    with socket.create_connection(("127.0.0.1", sql_endpoint.port)) as connection:
        body = struct.pack("!i", 196608) + f"user\0{USER}\0database\0lake\0\0".encode()
        connection.sendall(struct.pack("!i", len(body) + 4) + body)
        read_message(connection)
        first = b"n,,n=,r=abcdefghijklmnop"
        body = b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first
        connection.sendall(b"p" + struct.pack("!i", len(body) + 4) + body)
        nonce = read_message(connection)[4:].decode().split(",")[0]
        last = f"c=biws,{nonce},p={'A' * 43}=".encode()
        query = b"SELECT 1\0"
        proof = b"p" + struct.pack("!i", len(last) + 4) + last
        connection.sendall(proof + b"Q" + struct.pack("!i", len(query) + 4) + query)
        answer = b""
        while more := connection.recv(4096):
            answer += more
    assert b"28P01" in answer
    assert answer.count(b"SFATAL") == 1
    assert b"SELECT" not in answer and b"Z\0\0\0\x05" not in answer


def test_a_file_of_users_tells_no_password_and_is_nobody_elses(endpoint, lake_sql, sql_config, tmp_path) -> None:
    """What is stored is no password; a file that others may read is refused; users come and change while it runs."""
    server = endpoint()
    text = server.users.read_text()
    assert PASSWORD not in text
    assert server.users.stat().st_mode & 0o777 == 0o600
    add_user(lake_sql, server.users, "bert", "another")
    assert server.connect(user="bert", password="another").execute("SELECT current_user").fetchone() == ("bert",)
    add_user(lake_sql, server.users, USER, "changed")
    assert server.connect(password="changed").execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        server.connect()
    assert "changed" not in server.running.log and PASSWORD not in server.running.log
    server.users.chmod(0o644)
    refused = lake_sql.run("--config", sql_config, "--users", server.users, "--listen", "127.0.0.1:0", code=USAGE)
    assert "chmod 600" in refused.stderr
    refused = lake_sql.run("--config", sql_config, "--listen", "127.0.0.1:0", code=USAGE)
    assert "--users" in refused.stderr
    refused = lake_sql.run("add-user", "--users", tmp_path / "more", "carla", code=USAGE)
    assert "password is empty" in refused.stderr


def test_connections_are_encrypted_or_refused(endpoint, lake_sql, sql_config, tmp_path) -> None:
    """TLS with the certificate checked; without it only this machine is served, unless somebody insists."""
    own = tls.Certificates(tmp_path / "tls").ensure()
    server = endpoint("--tls-certificate", own.certificate, "--tls-key", own.key)
    strict = {"sslmode": "verify-full", "sslrootcert": str(own.ca), "host": "localhost"}
    for binding in ("require", "disable"):
        with server.connect(**strict, channel_binding=binding) as connection:
            assert connection.execute("SELECT setting FROM pg_settings WHERE name = 'ssl'").fetchone() == ("on",)
    with pytest.raises(psycopg.OperationalError, match="must be encrypted"):
        server.connect(sslmode="disable")
    context = ssl.create_default_context(cafile=str(own.ca))
    context.set_alpn_protocols(["postgresql"])
    with (
        socket.create_connection(("localhost", server.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as direct,
    ):
        assert direct.selected_alpn_protocol() == "postgresql"
    refused = lake_sql.run("--config", sql_config, "--users", server.users, "--listen", "0.0.0.0:0", code=USAGE)
    assert "--tls-certificate" in refused.stderr and "--allow-plaintext" in refused.stderr
    other = tls.Certificates(tmp_path / "other").ensure()
    mixed = ("--tls-certificate", other.certificate, "--tls-key", own.key)
    lake_sql.run("--config", sql_config, "--users", server.users, *mixed, code=USAGE)


def test_one_client_too_many_is_told_so(endpoint) -> None:
    """53300, and a seat that is left can be taken."""
    server = endpoint("--max-connections", 2)
    first, second = server.connect(), server.connect()
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        server.connect()
    first.close()
    deadline = time.monotonic() + 10
    while True:
        try:
            third = server.connect()
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
    assert third.execute("SELECT 1").fetchone() == second.execute("SELECT 1").fetchone()


# -- what a statement may use ---------------------------------------------------------------------


def test_statements_end_when_their_time_is_up(endpoint) -> None:
    """While planning, computing and sending; a session may ask for less, never for more."""
    server = endpoint("--statement-timeout", "1500ms")
    with server.connect() as connection:
        for statement in (SLOW, STREAM):
            began = time.monotonic()
            assert sqlstate(connection.execute, statement) == "57014"
            assert 1.2 < time.monotonic() - began < 5
        connection.execute("SET statement_timeout = '200ms'")
        began = time.monotonic()
        assert sqlstate(connection.execute, SLOW) == "57014"
        assert time.monotonic() - began < 1.2
        connection.execute("SET statement_timeout = 0")
        assert sqlstate(connection.execute, SLOW) == "57014"
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_client_that_does_not_read_is_not_waited_for(endpoint) -> None:
    """Rows that nobody takes end with the statement's time, and the connection with them."""
    server = endpoint("--statement-timeout", "1s")
    silent = server.connect()
    silent.pgconn.send_query(STREAM.encode())
    time.sleep(3)
    began = time.monotonic()
    with server.connect() as other:
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert time.monotonic() - began < 2
    silent.close()


def test_memory_is_bounded_and_others_go_on(endpoint) -> None:
    """53200 for a statement that wants too much; the server and other sessions stay."""
    server = endpoint("--memory-limit", "2MiB")
    with server.connect() as greedy, server.connect() as modest:
        pairs = "FROM sales_lake a CROSS JOIN sales_lake b"
        wanted = f"SELECT a.sale_id || b.sale_id AS k, count(*) {pairs} GROUP BY 1 ORDER BY 1"
        assert sqlstate(greedy.execute, wanted) == "53200"
        assert greedy.execute("SELECT 1").fetchone() == modest.execute("SELECT 1").fetchone()


def test_cancelling_stops_a_statement(sql_endpoint) -> None:
    """While it computes and while it sends rows; a wrong key cancels nothing."""
    for statement in (SLOW, STREAM):
        with sql_endpoint.connect() as connection, ThreadPoolExecutor() as pool:
            began = time.monotonic()
            running = pool.submit(sqlstate, connection.execute, statement)
            time.sleep(0.5)
            connection.cancel_safe()
            assert running.result(10) == "57014"
            assert time.monotonic() - began < 5
            assert connection.execute("SELECT 1").fetchone() == (1,)
    with sql_endpoint.connect() as connection, ThreadPoolExecutor() as pool:
        connection.execute("SET statement_timeout = '2s'")
        running = pool.submit(failure, connection.execute, SLOW)
        time.sleep(0.3)
        with socket.create_connection(("127.0.0.1", sql_endpoint.port)) as stranger:
            stranger.sendall(struct.pack("!iiii", 16, 80877102, connection.info.backend_pid, 12345))
            assert stranger.recv(1) == b""
        assert "timeout" in str(running.result(10))


def test_statements_of_every_depth_and_length_are_survived(sql_endpoint) -> None:
    """A long chain of conditions is answered or refused; nothing of it ends the server."""
    chain = " OR ".join(f"quantity = {number}" for number in range(3_000))
    nested = "(" * 3_000 + "1" + ")" * 3_000
    values = ", ".join(f"'{number}'" for number in range(20_000))
    with sql_endpoint.connect() as connection:
        assert connection.execute(f"SELECT count(*) FROM sales_lake WHERE {chain}").fetchone()[0] > 0
        assert sqlstate(connection.execute, f"SELECT {nested}") == "54001"
        assert connection.execute(f"SELECT count(*) FROM sales_lake WHERE region IN ({values})").fetchone() == (0,)


# -- statements -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("INSERT INTO sales_lake (region) VALUES ('x')", "25006"),
        ("UPDATE sales_lake SET amount = 0", "25006"),
        ("DELETE FROM sales_lake", "25006"),
        ("TRUNCATE sales_lake", "25006"),
        ("DROP TABLE sales_lake", "25006"),
        ("CREATE TABLE x (a int)", "25006"),
        ("CREATE VIEW x AS SELECT 1", "25006"),
        ("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'", "25006"),
        ("COPY sales_lake TO '/tmp/x.csv'", "25006"),
        ("COPY (SELECT 1) TO STDOUT", "25006"),
        ("WITH d AS (DELETE FROM sales_lake RETURNING *) SELECT * FROM d", "25006"),
        ("SELECT * FROM sales_lake FOR UPDATE", "25006"),
        ("SELECT * INTO x FROM sales_lake", "25006"),
        ("CREATE TEMPORARY TABLE x AS SELECT 1", "42501"),
        ('CREATE LOCAL TEMPORARY TABLE "#Tableau_9" ("COL" INTEGER) ON COMMIT PRESERVE ROWS', "42501"),
        ("CREATE GLOBAL TEMPORARY TABLE x (a int)", "42501"),
        ('SELECT * INTO TEMPORARY TABLE "#Tableau_9" FROM sales_lake', "42501"),
        ("SELECT * FROM '/etc/passwd'", "42P01"),
        ('SELECT * FROM "/etc/passwd"', "42P01"),
        ('SELECT * FROM "file:///etc/passwd"', "42P01"),
        ("SELECT * FROM read_csv('/etc/passwd')", "42883"),
        ("SET datafusion.execution.batch_size = 1", "42501"),
        ("SET SESSION AUTHORIZATION other", "42501"),
        ("SET no_such_parameter = 1", "42704"),
        ("SELECT * FROM nothing", "42P01"),
        ("SELECT nothing FROM sales_lake", "42703"),
        ("SELECT no_such_function(1)", "42883"),
        ("SELECT region FROM sales_lake a, sales_lake b", "42702"),
        ("SELECT region, count(*) FROM sales_lake", "42803"),
        ("SELEC 1", "42601"),
        ("SELECT (1", "42601"),
        ("SELECT CAST(region AS INTEGER) FROM sales_lake", "22P02"),
        ("SELECT CAST('x' AS DATE)", "22P02"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT quantity / (quantity - quantity) FROM sales_lake", "22012"),
        ("SELECT $1", "42P02"),
        ("FETCH 1 FROM nothing", "34000"),
        ("SAVEPOINT s", "25P01"),
        ("LISTEN x", "0A000"),
    ],
)  # fmt: skip
def test_what_is_refused_has_the_code_by_which_clients_know_it(sql_endpoint, statement, code) -> None:
    """In both protocols; and the session goes on."""
    with sql_endpoint.connect() as connection:
        result = connection.pgconn.exec_(statement.encode())
        assert (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"none").decode() == code
        if code != "42P02":
            assert sqlstate(connection.execute, statement) == code
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_transactions_fail_and_end_as_drivers_expect(sql_endpoint) -> None:
    """A failed one refuses all but its end; savepoints lead back; COMMIT of a failed one is a ROLLBACK."""
    with sql_endpoint.connect() as connection:
        run = connection.execute
        for mode in ("", "READ ONLY", "ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", "TRANSACTION READ WRITE"):
            run(f"BEGIN {mode}")
            run("COMMIT")
        run("START TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert sqlstate(run, "SELECT nothing FROM sales_lake") == "42703"
        assert sqlstate(run, "SELECT 1") == "25P02"
        assert run("COMMIT").statusmessage == "ROLLBACK"
        run("BEGIN")
        run("SAVEPOINT here")
        assert sqlstate(run, "SELECT nothing FROM sales_lake") == "42703"
        run("ROLLBACK TO SAVEPOINT here")
        assert run("SELECT 1").fetchone() == (1,)
        run("RELEASE here")
        assert sqlstate(run, "ROLLBACK TO here") == "3B001"
        run("ROLLBACK")
        run("BEGIN")
        run("SET application_name = 'given up'")
        run("SET LOCAL statement_timeout = 5000")
        assert run("SHOW statement_timeout").fetchone() == ("5000",)
        run("ROLLBACK")
        assert run("SHOW application_name").fetchone() != ("given up",)
        assert run("SHOW statement_timeout").fetchone() == ("0",)
        run("DISCARD ALL")


def test_parameters_are_set_and_shown(sql_endpoint) -> None:
    """What drivers set when they connect, and what clients are told of it."""
    with sql_endpoint.connect() as connection:
        for statement in ("SET extra_float_digits = 3", "SET client_encoding TO 'UTF8'", "SET DateStyle = ISO",
                          "SET TIME ZONE 'Europe/Paris'", "SET application_name = 'x'", "SET search_path TO public",
                          "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET NAMES 'utf-8'", "RESET ALL",
                          "SET standard_conforming_strings = on", "SET lock_timeout = '10s'"):  # fmt: skip
            connection.execute(statement)
        connection.execute("SET TIME ZONE 'America/New_York'")
        assert connection.info.parameter_status("TimeZone") == "America/New_York"
        assert connection.execute("SHOW TimeZone").fetchone() == ("America/New_York",)
        assert sqlstate(connection.execute, "SET client_encoding = 'LATIN1'") == "22023"
        assert sqlstate(connection.execute, "SET TIME ZONE 'Mars/Olympus'") == "22023"
        assert len(connection.execute("SHOW ALL").fetchall()) > 30
        assert connection.info.parameter_status("server_version").startswith("15.")


def test_cursors_go_forwards_and_say_how_far(sql_endpoint) -> None:
    """DECLARE, FETCH, MOVE, CLOSE, with the tags that psqlODBC counts by."""
    with sql_endpoint.connect() as connection:
        run = connection.execute
        total = run("SELECT count(*) FROM sales_lake").fetchone()[0]
        assert sqlstate(run, "DECLARE c CURSOR FOR SELECT 1") == "25P01"
        run("BEGIN")
        run("DECLARE c CURSOR FOR SELECT kafka_offset FROM sales_lake ORDER BY kafka_offset")
        assert sqlstate(run, "FETCH BACKWARD 1 FROM c") == "55000"
        run("ROLLBACK")
        run("BEGIN")
        run("DECLARE c NO SCROLL CURSOR FOR SELECT kafka_offset FROM sales_lake")
        assert run("FETCH 10 FROM c").statusmessage == "FETCH 10"
        assert run("MOVE 5 IN c").statusmessage == "MOVE 5"
        assert run("FETCH NEXT FROM c").statusmessage == "FETCH 1"
        assert run("FETCH ALL FROM c").statusmessage == f"FETCH {total - 16}"
        assert run("FETCH 10 FROM c").statusmessage == "FETCH 0"
        assert run("CLOSE c").statusmessage == "CLOSE CURSOR"
        run("DECLARE gone CURSOR FOR SELECT 1")
        run("DECLARE held CURSOR WITH HOLD FOR SELECT 1 AS one")
        run("COMMIT")
        assert sqlstate(run, "FETCH 1 FROM gone") == "34000"
        assert run("FETCH 1 FROM held").fetchall() == [(1,)]
        run("CLOSE ALL")


def test_several_statements_at_once_are_done_in_order(sql_endpoint) -> None:
    """Up to the first that fails."""
    with sql_endpoint.connect() as connection:
        connection.pgconn.send_query(b"SELECT 1; SHOW timezone; SELECT 2/0; SELECT 3")
        told = []
        while result := connection.pgconn.get_result():
            told.append(result.get_value(0, 0) or result.error_field(psycopg.pq.DiagnosticField.SQLSTATE))
        assert told == [b"1", b"UTC", b"22012"]


# -- starting and stopping ------------------------------------------------------------------------


def test_it_stops_when_asked_and_at_once_when_asked_twice(endpoint) -> None:
    """Idle clients are told; running statements have their time; a second signal does not wait for it."""
    server = endpoint()
    idle = server.connect()
    assert server.running.terminate() == 0
    with pytest.raises(errors.AdminShutdown):
        idle.execute("SELECT 1")

    server.start()
    busy = server.connect()
    threading.Thread(target=lambda: swallow(busy.execute, SLOW), daemon=True).start()
    time.sleep(0.5)
    os.kill(server.running.process.pid, signal.SIGTERM)
    time.sleep(1)
    assert server.running.running()
    os.kill(server.running.process.pid, signal.SIGTERM)
    server.running.wait(5, code=INTERRUPTED)

    server.options = ("--stop-timeout", "1s")
    server.start()
    busy = server.connect()
    threading.Thread(target=lambda: swallow(busy.execute, SLOW), daemon=True).start()
    time.sleep(0.5)
    began = time.monotonic()
    assert server.running.terminate() == INTERRUPTED
    assert time.monotonic() - began < 4


def swallow(run, *arguments: object) -> None:
    """Runs what ends with its server."""
    try:
        run(*arguments)
    except psycopg.Error:
        return


def test_one_statement_without_a_server(lake_sql, sql_config, sql_endpoint) -> None:
    """As a table, as CSV and as JSON; errors with their code."""
    query = "SELECT region, sum(amount) AS s FROM sales_lake GROUP BY region ORDER BY region LIMIT 2"
    expected = sql_endpoint.rows(query)
    told = lake_sql.run("--config", sql_config, "query", "--output", "csv", query).stdout
    assert told == "region,s\n" + "".join(f"{region},{amount}\n" for region, amount in expected)
    told = lake_sql.run("--config", sql_config, "query", "--output", "json", query).json_lines()
    assert told == [{"region": region, "s": str(amount)} for region, amount in expected]
    assert expected[0][0] in lake_sql.run("--config", sql_config, "query", query).stdout
    refused = lake_sql.run("--config", sql_config, "query", "DELETE FROM sales_lake", code=1)
    assert "25006" in refused.stderr or "no query" in refused.stderr
    assert "complete" in lake_sql.run("completions", "bash").stdout
    assert "lake" in lake_sql.run("man").stdout
