"""Tables of the SQL endpoint over a real lake and mirror: DuckDB's answers, each sale once, while sales stream in.

    sales-producer -> Kafka -> lake-writer run -> lake -> DuckDB
                        `----> lake-writer mirror -> MongoDB
                     lake + mirror -> lake-sql -> the same answers
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from harness.lake import Lake
from harness.mirror import SUMS, sale
from harness.programs import Program, wait_until, write_config
from harness.sales import Sales, send_more
from harness.sql import SqlEndpoint

# Of a table, and with DuckDB of its files: the same SQL for both.
ASKED = (
    "SELECT count(*), count(DISTINCT sale_id), sum(amount), sum(quantity), min(unit_price), max(kafka_offset) FROM {}",
    "SELECT region, count(*), sum(amount), min(amount), max(amount) FROM {} GROUP BY region",
    "SELECT count(*), sum(amount) FROM {} WHERE region IN ('Corse', 'Île-de-France') AND quantity > 1",
    "SELECT count(*) FROM {} WHERE region NOT IN ('Corse', 'Bretagne') OR customer_id IS NULL",
    "SELECT count(*), count(customer_id) FROM {} WHERE NOT (region = 'Provence-Alpes-Côte d''Azur' AND amount > 20)",
    "SELECT product_name, sum(amount) FROM {} WHERE product_name LIKE 'C%' GROUP BY 1 HAVING sum(amount) > 100",
    "SELECT channel, category, count(*), sum(quantity) FROM {} WHERE amount BETWEEN 5 AND 30.5 GROUP BY 1, 2",
    "SELECT count(*) FROM {} WHERE sold_at >= '2026-01-30T12:00:00Z' AND sold_at < '2026-01-31T06:30:00Z'",
    "SELECT sum(amount) FROM {} WHERE region = 'Atlantis'",
    "SELECT count(*) FROM {} WHERE customer_id <> 'C0000001'",
    "SELECT sale_id, amount FROM {} WHERE kafka_partition = 1 AND kafka_offset BETWEEN 10 AND 20",
)
BY_TIME = "SELECT date_trunc('{}', sold_at) AS t, count(*), sum(amount) FROM {} GROUP BY 1"


class World:
    """A topic, its lake, its mirror and the SQL endpoint over both."""

    def __init__(self, programs: dict[str, Program], kafka, lake: Lake, mongodb: dict, folder: Path) -> None:
        self.programs, self.kafka, self.lake, self.folder = programs, kafka, lake, folder
        self.topic = kafka.create_topic(partitions=3)
        rotation = {"max_age_ms": 400}
        place = lake, kafka.bootstrap, self.topic
        self.config = write_config(folder / "both.toml", *place, rotation=rotation, mirror={"mongodb": mongodb})
        # `run` mirrors as well where a mirror is set: with this one it does not.
        self.alone = write_config(folder / "lake.toml", *place, rotation=rotation)

    def sell(self, count: int, *options: object) -> Sales:
        """Sales in the topic."""
        return send_more(self.programs["producer"], self.kafka, self.folder, self.topic, count, *options)

    def write(self, *commands: str) -> None:
        """The lake, or the mirror, up to the end of the topic."""
        for command in commands or ("run", "mirror"):
            config = self.alone if command == "run" else self.config
            self.programs["writer"].run("--config", config, command, "--until-end", env=self.lake.environment)

    @contextmanager
    def endpoint(self, config: Path | None = None) -> Iterator[SqlEndpoint]:
        """The SQL endpoint of both, or of another configuration."""
        folder = self.folder / f"sql-{time.monotonic_ns()}"
        folder.mkdir()
        with SqlEndpoint(self.programs["sql"], folder, config or self.config, env=self.lake.environment) as endpoint:
            yield endpoint


@pytest.fixture
def world(lake_writer, sales_producer, lake_sql, kafka, stack, database, tmp_path):
    """Makes a world on a store; what is told besides are settings of the mirror."""

    def make(lake: Lake, **mirror: object) -> World:
        programs = {"writer": lake_writer, "producer": sales_producer, "sql": lake_sql}
        place = {"uri": stack.mongodb.uri, "database": database.name, "rollup": SUMS, **mirror}
        return World(programs, kafka, lake, place, tmp_path)

    return make


def in_order(rows: list[tuple]) -> list[tuple]:
    """Rows without their order."""
    return sorted(map(tuple, rows), key=lambda row: [str(value) for value in row])


def explained(endpoint: SqlEndpoint, query: str) -> str:
    """What would be done."""
    return "\n".join(str(row) for row in endpoint.rows(f"EXPLAIN {query}"))


def test_every_table_answers_as_duckdb_does(lake, world, judge) -> None:
    # GIVEN sales and dead letters, in the lake and in the mirror
    world = world(lake)
    world.sell(4_000, "--malformed-ratio", 0.01)
    world.write()
    seen = judge(lake)
    seen.connection.sql("SET TimeZone = 'UTC'")
    with world.endpoint() as endpoint:
        tables = {name for (name,) in endpoint.rows("SELECT table_name FROM information_schema.tables")}
        assert {"sales", "sales_lake", "sales_live", "sales_rollup_minute", "sales_rollup_day"} <= tables
        # THEN each table has them, to the cent
        for query in ASKED:
            expected = in_order(seen.query(query.format("lake")))
            for table in ("sales_lake", "sales_live", "sales"):
                assert in_order(endpoint.rows(query.format(table))) == expected, f"{table}: {query}"
        for unit in ("year", "month", "week", "day", "hour", "minute"):
            asked = BY_TIME.format(unit, "lake")
            expected = in_order(seen.query(f"SELECT epoch_us(t) // 1000000, * EXCLUDE (t) FROM ({asked})"))
            for table in ("sales_lake", "sales_live", "sales"):
                found = endpoint.rows(BY_TIME.format(unit, table))
                assert in_order([(int(t.timestamp()), *sums) for t, *sums in found]) == expected, f"{table}: {unit}"
        # AND rollups add up to the same
        whole = endpoint.rows("SELECT region, count(*), sum(amount), sum(quantity) FROM sales GROUP BY 1")
        for rollup in ("sales_rollup_minute", "sales_rollup_day"):
            added = endpoint.rows(f"SELECT region, sum(count), sum(amount), sum(quantity) FROM {rollup} GROUP BY 1")
            assert in_order(added) == in_order(whole), rollup


def test_the_lake_is_pruned_and_mongodb_computes(local, world) -> None:
    world = world(local)
    world.sell(4_000)
    world.write()
    with world.endpoint() as endpoint:
        # Files of one region and day, of 2 days and 13 regions
        some = explained(endpoint, "SELECT sale_id FROM sales_lake WHERE region = 'Corse' AND sold_at < '2026-01-31'")
        assert some.count(".parquet") == 1 and "region=Corse" in some, some
        for query, stage in {
            "SELECT region, sum(amount) FROM sales_live WHERE quantity > 1 GROUP BY region": "$group",
            "SELECT date_trunc('day', sold_at), count(*) FROM sales_live GROUP BY 1": "$group",
            "SELECT max(amount) FROM sales_live": "$group",
            "SELECT sale_id FROM sales_live WHERE region <> 'Corse' LIMIT 5": "$limit",
            "SELECT sum(count) FROM sales_rollup_day WHERE region = 'Corse'": "$match",
        }.items():
            plan = explained(endpoint, query)
            assert stage in plan, plan
        # What has no exact translation is computed here, on what MongoDB was asked for
        plan = explained(endpoint, "SELECT count(DISTINCT region) FROM sales_live WHERE upper(region) = 'CORSE'")
        assert "$group" not in plan and "$project" in plan, plan


def test_each_sale_is_there_once_while_sales_stream_in(local, world) -> None:
    world = world(local)
    world.sell(1_000)
    world.write()
    writer, sql = world.programs["writer"], "SELECT kafka_partition, count(*), count(DISTINCT kafka_offset), "
    sql += "max(kafka_offset) + 1, count(DISTINCT sale_id) FROM sales GROUP BY 1"
    with ExitStack() as running:
        running.enter_context(writer.start("--config", world.alone, "run"))
        running.enter_context(writer.start("--config", world.config, "mirror"))
        endpoint = running.enter_context(world.endpoint())
        connection = running.enter_context(endpoint.connect())
        selling = running.enter_context(
            world.programs["producer"].start(
                "--bootstrap", world.kafka.bootstrap, "--topic", world.topic, "--count", 6_000, "--rate", 600,
                "--seed", 11, "--quiet",
            )
        )
        counts, lakes, last = [], set(), {}
        while selling.running() or len(counts) < 10:
            # THEN at every moment the offsets of each partition are there once, without a gap, and none goes away
            seen = {row[0]: row[1:] for row in connection.execute(sql)}
            for partition, (rows, offsets, reached, ids) in seen.items():
                assert rows == offsets == reached == ids, (partition, seen)
                assert rows >= last.get(partition, 0), (partition, last, seen)
            last = {partition: rows for partition, (rows, *_) in seen.items()}
            counts.append(sum(last.values()))
            lakes.add(connection.execute("SELECT count(*) FROM sales_lake").fetchone()[0])
        assert selling.wait(60) == 0
        # Both have grown in front of it, or it has shown nothing.
        assert len(set(counts)) > 5 and len(lakes) > 2, (counts, lakes)
        wait_until(
            lambda: connection.execute("SELECT count(*) FROM sales").fetchone()[0] == 7_000, "the last sales", 60
        )


def test_whoever_is_behind_the_other_has_the_rest(local, world) -> None:
    world = world(local)
    count = "SELECT (SELECT count(*) FROM sales_lake), (SELECT count(*) FROM sales_live), (SELECT count(*) FROM sales)"
    with ExitStack() as running:
        world.sell(500)
        world.write("mirror")
        endpoint = running.enter_context(world.endpoint())
        # A lake that nobody has written yet
        assert endpoint.rows(count) == [(0, 500, 500)]
        world.write("run")
        world.sell(300, "--seed", 8)
        world.write("mirror")
        assert endpoint.rows(count) == [(500, 800, 800)]
        world.sell(200, "--seed", 9)
        world.write("run")
        assert endpoint.rows(count) == [(1_000, 800, 1_000)]


def test_a_mirror_of_keys_or_none_leaves_the_union_out(local, world) -> None:
    keyed = world(local, id="field:sale_id")
    keyed.sell(200)
    keyed.write()
    with keyed.endpoint() as endpoint:
        counts = "SELECT (SELECT count(*) FROM sales_lake), (SELECT count(*) FROM sales_live)"
        assert endpoint.rows(counts) == [(200, 200)]
        with pytest.raises(psycopg.errors.UndefinedTable):
            endpoint.rows("SELECT * FROM sales")
        assert "no table `sales` of both" in endpoint.running.log
    with keyed.endpoint(keyed.alone) as endpoint:
        found = endpoint.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        assert len(found) == 1 and found[0][0].endswith("_lake"), found


def test_a_mirror_that_begins_behind_the_lakes_end_is_a_gap(local, world, database) -> None:
    world = world(local)
    world.sell(300)
    world.write("run")
    ends = {number: end for number, (_, end) in world.kafka.watermarks(world.topic).items()}
    world.kafka.delete_records(world.topic, ends)
    more = world.sell(100, "--seed", 8)
    world.write("mirror")
    with world.endpoint() as endpoint:
        # The mirror begins where the lake ends: nothing is missing
        assert endpoint.rows("SELECT count(*) FROM sales") == [(300 + more.rows,)]
        # WHEN the first messages that it has are behind the lake's end
        database["sales_checkpoint"].update_many({"_id": {"$type": "int"}}, {"$inc": {"first": 5}})
        with pytest.raises(psycopg.Error, match=r"the lake ends at offset \d+ and the mirror begins at \d+"):
            endpoint.rows("SELECT count(*) FROM sales")
        assert endpoint.rows("SELECT count(*) FROM sales_lake") == [(300,)]


def test_a_sale_is_in_sql_soon_after_it_is_in_kafka(local, world) -> None:
    world = world(local)
    world.sell(1_000)
    world.write()
    with ExitStack() as running:
        running.enter_context(world.programs["writer"].start("--config", world.config, "run"))
        endpoint = running.enter_context(world.endpoint())
        connection = running.enter_context(endpoint.connect())
        delays: dict[str, list[float]] = {"sales_live": [], "sales": []}
        for number in range(40):
            table = ("sales_live", "sales")[number % 2]
            made = sale(number + 1, product_name=f"Nouveauté {number}")
            world.kafka.produce(world.topic, [json.dumps(made).encode()])
            begun = time.monotonic()
            query = f"SELECT count(*) FROM {table} WHERE product_name = %s"
            while connection.execute(query, (made["product_name"],)).fetchone() != (1,):
                assert time.monotonic() - begun < 20, f"the sale is not in {table}"
            if number >= 4:
                delays[table].append(time.monotonic() - begun)
        for table, taken in delays.items():
            middle, worst = statistics.median(taken) * 1e3, max(taken) * 1e3
            print(f"\na sale is in {table} after {middle:.0f} ms, at most {worst:.0f} ms")
            # A gross fault, such as an answer from a cache; the figures above are the measurement.
            assert statistics.median(taken) < 5
