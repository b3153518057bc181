"""Transactions in literal SQL, written once for both databases, for work so frequent that anything between costs most.

A script is a generator: it yields statements and is sent the rows of each. `Database.script` does it in one hop to
SQLite's thread, or on PostgreSQL by the driver itself, in one transaction of a tenant. Each statement names its tenant
itself; on PostgreSQL row-level security holds for it all the same.

Statements are written as PostgreSQL has them, with four words that each database spells otherwise:

    EACH($2)      the rows of a JSON array (`array`), in one column `value`; `value ->> 0` is a row's first, a text
    MOMENT($3)    a time that is given, or read from `value ->> 3`, as a text that `Dialect.written` makes
    JOINED(x, y)  the texts x of a group with y between, in no order; NULL where there is none
    FOR UPDATE    which SQLite, with its one writer, neither has nor needs
"""

import json
import re
import sqlite3
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, TypeVar

Result = TypeVar("Result")
Rows = Sequence[Sequence[Any]]

_EACH = re.compile(r"EACH\((\$\d+)\)")
_AMONG = re.compile(r"(?<!NOT )IN \((SELECT value ->> 0 FROM EACH\(\$\d+\))\)")
_LOCK = re.compile(r"FOR UPDATE( OF \w+)?")
_MOMENT = re.compile(r"MOMENT\(([^()]+)\)")


class Statement(NamedTuple):
    """One statement and its parameters: `$1` is the first."""

    sql: str
    parameters: Sequence[Any]


class Change(Statement):
    """A statement that is answered by one row with one number: how many rows it wrote.

    To have each come back (RETURNING) lets Python's lock go, and wins it back from a busy thread, once a row.
    """


Script = Generator[Statement, Rows, Result]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database spells what differs."""

    is_sqlite: bool

    def spelled(self, sql: str) -> str:
        """The statement as the database takes it."""
        return _on_sqlite(sql) if self.is_sqlite else _on_postgresql(sql)

    def written(self, moment: datetime) -> str:
        """A time, for MOMENT and for comparison with one."""
        text = moment.astimezone(UTC).isoformat(" ", "microseconds")
        return text.removesuffix("+00:00") if self.is_sqlite else text

    def read(self, moment: str | datetime) -> datetime:
        """A time that a row has."""
        found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found


SQLITE, POSTGRESQL = Dialect(is_sqlite=True), Dialect(is_sqlite=False)


def array(rows: Sequence[Sequence[object]]) -> str:
    """Rows as a parameter of EACH."""
    return json.dumps(rows)


@cache
def _on_sqlite(sql: str) -> str:
    moments = _MOMENT.sub(r"(\1)", _EACH.sub(r"json_each(\1) AS each", sql)).replace("JOINED(", "group_concat(")
    return _LOCK.sub("", re.sub(r"\$(\d+)", r"?\1", moments))


@cache
def _on_postgresql(sql: str) -> str:
    # What is among an array's elements is looked up in an index. With rows of JSON, which are always a hundred to its
    # planner, all of a tenant's rows would be joined.
    among = _AMONG.sub(r"= ANY(ARRAY(\1))", sql)
    rows = _EACH.sub(r"jsonb_array_elements(CAST(\1 AS jsonb)) AS each(value)", among)
    # As a text first, or the driver would take the parameter to be a time already.
    return _MOMENT.sub(r"CAST(CAST(\1 AS text) AS timestamptz)", rows).replace("JOINED(", "string_agg(")


def done_on_sqlite(connection: sqlite3.Connection, script: Script[Result]) -> Result:
    """Do a script within the caller's transaction."""
    rows: Rows = ()
    try:
        statement = next(script)
        while True:
            cursor = connection.execute(_on_sqlite(statement.sql), statement.parameters)
            rows = ((cursor.rowcount,),) if isinstance(statement, Change) else cursor.fetchall()
            statement = script.send(rows)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]


async def done_on_postgresql(driver: Any, script: Script[Result]) -> Result:
    """Do a script within the caller's transaction, by asyncpg."""
    try:
        statement = next(script)
        while True:
            sql = _on_postgresql(statement.sql)
            if isinstance(statement, Change):
                # What the server says of it: "INSERT 0 3", "UPDATE 3".
                said = await driver.execute(sql, *statement.parameters)
                rows: Rows = ((int(said.rpartition(" ")[2]),),)
            else:
                rows = await driver.fetch(sql, *statement.parameters)
            statement = script.send(rows)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]


async def done_by_aiosqlite(driver: Any, script: Script[Result]) -> Result:
    """The same by aiosqlite: one hop to its thread for each statement."""
    try:
        statement = next(script)
        while True:
            async with driver.execute(_on_sqlite(statement.sql), statement.parameters) as cursor:
                is_change = isinstance(statement, Change)
                rows: Rows = ((cursor.rowcount,),) if is_change else await cursor.fetchall()
            statement = script.send(rows)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]
