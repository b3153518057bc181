"""Scripts: statements written once for both databases."""

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta, timezone

import aiosqlite
import pytest

from autodev_runtime.scripts import (
    POSTGRESQL,
    SQLITE,
    Change,
    Script,
    Statement,
    array,
    done_by_aiosqlite,
    done_on_sqlite,
)

SQL = "SELECT JOINED(value ->> 0, ',') FROM EACH($2) WHERE MOMENT(value ->> 1) <= MOMENT($1) FOR UPDATE OF things"


def test_each_database_has_its_own_words() -> None:
    assert (
        SQLITE.spelled(SQL)
        == "SELECT group_concat(value ->> 0, ',') FROM json_each(?2) AS each WHERE (value ->> 1) <= (?1) "
    )
    assert POSTGRESQL.spelled(SQL) == (
        "SELECT string_agg(value ->> 0, ',') FROM jsonb_array_elements(CAST($2 AS jsonb)) AS each(value)"
        " WHERE CAST(CAST(value ->> 1 AS text) AS timestamptz) <= CAST(CAST($1 AS text) AS timestamptz)"
        " FOR UPDATE OF things"
    )


def test_postgresql_looks_up_what_is_among_texts() -> None:
    among = "SELECT 1 FROM things WHERE name IN (SELECT value ->> 0 FROM EACH($2))"
    assert SQLITE.spelled(among).endswith("WHERE name IN (SELECT value ->> 0 FROM json_each(?2) AS each)")
    rows = "jsonb_array_elements(CAST($2 AS jsonb)) AS each(value)"
    assert POSTGRESQL.spelled(among).endswith(f"WHERE name = ANY(ARRAY(SELECT value ->> 0 FROM {rows}))")
    without = POSTGRESQL.spelled(among.replace(" IN ", " NOT IN "))
    assert without.endswith(f"WHERE name NOT IN (SELECT value ->> 0 FROM {rows})")


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL])
def test_times_come_back_as_they_were_written(dialect: object) -> None:
    assert dialect in (SQLITE, POSTGRESQL)
    moment = datetime(2025, 11, 24, 1, 2, 3, 45, timezone(timedelta(hours=2)))
    assert SQLITE.read(SQLITE.written(moment)) == POSTGRESQL.read(moment) == moment
    # As SQLAlchemy writes them.
    assert SQLITE.written(moment) == "2025-11-23 23:02:03.000045"
    assert POSTGRESQL.written(moment) == "2025-11-23 23:02:03.000045+00:00"
    assert SQLITE.read("2025-11-23 23:02:03.000045").tzinfo is UTC


def test_a_script_is_sent_the_rows_of_each_of_its_statements() -> None:
    def script() -> Script[list[str]]:
        yield Statement("CREATE TABLE things (name TEXT)", ())
        rows = array([("o'neil",), ('"é\\',)])
        added = yield Statement(
            "INSERT INTO things SELECT value ->> 0 FROM EACH($1) WHERE TRUE RETURNING name", (rows,)
        )
        found = yield Statement("SELECT name FROM things WHERE name <> $2 AND $1 = $1", ("", "gone"))
        assert list(found) == list(added)
        return [name for (name,) in found]

    connection = sqlite3.connect(":memory:")
    assert done_on_sqlite(connection, script()) == ["o'neil", '"é\\']
    connection.close()


def _changing() -> Script[tuple[int, int, int]]:
    yield Statement("CREATE TABLE things (name TEXT UNIQUE)", ())
    add = Change(
        "INSERT INTO things SELECT value ->> 0 FROM EACH($1) WHERE TRUE ON CONFLICT DO NOTHING",
        (array([("a",), ("b",), ("c",)]),),
    )
    ((added,),) = yield add
    ((again,),) = yield add
    ((changed,),) = yield Change("UPDATE things SET name = name || $1 WHERE name <> 'b'", ("!",))
    return added, again, changed


async def test_a_change_is_answered_by_how_many_rows_it_wrote() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        assert done_on_sqlite(connection, _changing()) == (3, 0, 2)
    async with aiosqlite.connect(":memory:") as driver:
        assert await done_by_aiosqlite(driver, _changing()) == (3, 0, 2)
