"""SQLite's transactions in few hops to a thread."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from autodev_runtime import sqlite
from autodev_runtime.sqlite_direct import SqliteThreads

ADD = "INSERT INTO things VALUES ('added')"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "things.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
    return path


@pytest_asyncio.fixture
async def writing(path: Path) -> AsyncIterator[SqliteThreads]:
    threads, reading = sqlite.threads(f"sqlite+aiosqlite:///{path}")
    yield threads
    await threads.close()
    await reading.close()


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM things").fetchone()[0])


def add(connection: sqlite3.Connection) -> int:
    connection.execute(ADD)
    return count(connection)


def fail(connection: sqlite3.Connection) -> None:
    connection.execute(ADD)
    raise ValueError("stop")


async def test_a_short_transaction_is_committed_with_its_result(writing: SqliteThreads, path: Path) -> None:
    assert await writing.short_transaction(add) == 1
    with closing(sqlite3.connect(path)) as another:
        assert count(another) == 1


async def test_one_that_raises_is_undone_and_the_next_is_done(writing: SqliteThreads) -> None:
    with pytest.raises(ValueError, match="stop"):
        await writing.short_transaction(fail)
    assert await writing.short_transaction(add) == 1


async def test_another_writer_is_waited_for_while_the_loop_goes_on_and_one_who_left_wrote_nothing(
    writing: SqliteThreads, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(writing.short_transaction(add))
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
        another.execute("ROLLBACK")
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await writing.short_transaction(add) == 1


async def test_one_that_is_cancelled_while_it_is_committed_has_ended_when_it_says_so(
    writing: SqliteThreads, path: Path
) -> None:
    def add_and_leave(connection: sqlite3.Connection) -> None:
        connection.execute(ADD)
        leaving.cancel()

    leaving = asyncio.ensure_future(writing.short_transaction(add_and_leave))
    with pytest.raises(asyncio.CancelledError):
        await leaving
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as another:
        another.execute("BEGIN IMMEDIATE")
        written = count(another)
        another.execute("ROLLBACK")
    assert await writing.short_transaction(add) == written + 1
