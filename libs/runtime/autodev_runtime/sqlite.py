"""SQLite as a service's database: one writer, a log written ahead, on disk when a commit returns."""

import asyncio
import contextlib
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event, exc, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from autodev_runtime import pools
from autodev_runtime.database_faults import AWAY, DISK_FULL, FULL
from autodev_runtime.errors import Unavailable
from autodev_runtime.sqlite_direct import SqliteThreads

BUSY_TIMEOUT_MS, BUSY_PAUSE_S = 10_000, 0.005
CACHE_KIB = 8 * 1024
"""What each connection may keep in memory of a file, once it has read it. By default it is 2 MiB, less than a look for
what one failure among 100,000 is similar to may go through: a thousand pages of 4 KiB."""
POOL_SIZE = 4
READING_THREADS = 2


def make_engine(url: str) -> AsyncEngine:
    """The engine of a database file."""
    # Parameters are tenants' data, and an error's text ends in the log.
    engine = create_async_engine(url, poolclass=pools.Pool, pool_size=POOL_SIZE, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", configure)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def threads(url: str) -> tuple[SqliteThreads, SqliteThreads]:
    """One that writes, and some that read."""
    path = make_url(url).database or ""
    return (
        SqliteThreads(path, configure, 1, "BEGIN IMMEDIATE"),
        SqliteThreads(path, configure, READING_THREADS, "BEGIN"),
    )


async def answers(url: URL) -> None:
    """Have the file answer, on a connection outside of the pool. Raises sqlite3.Error."""
    await asyncio.to_thread(_read, Path(url.database or "").absolute())


def _read(path: Path) -> None:
    # One that is gone must not be made anew.
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        connection.execute("PRAGMA schema_version")


def configure(connection: Any, _: object) -> None:
    """Prepare a new connection."""
    # The driver's own transaction control begins too late for BEGIN IMMEDIATE; `_begin` does it instead.
    connection.isolation_level = None
    # As PostgreSQL has it.
    connection.create_function("translate", 3, lambda text, old, new: text.translate(str.maketrans(old, new)))
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    _keep_private(cursor)
    _write_ahead(cursor)
    # FULL: a commit is on disk when it returns, also when the machine loses power.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    cursor.close()


def meaning(error: exc.DBAPIError) -> Unavailable | None:
    """What a caller is told of SQLite's error; None where the fault is the statement's own."""
    return meaning_of_driver(error.orig)


def meaning_of_driver(error: BaseException | None) -> Unavailable | None:
    """The same of the driver's own error."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return Unavailable(FULL, reason=DISK_FULL)
    away = isinstance(error, sqlite3.OperationalError | sqlite3.InterfaceError | sqlite3.InternalError)
    # A bare DatabaseError is what SQLite says of a file that is no database, or is damaged.
    if away or type(error) is sqlite3.DatabaseError:
        return Unavailable(AWAY, reason="DATABASE_UNAVAILABLE")
    return None


def _keep_private(cursor: Any) -> None:
    """Let nobody else on the machine read the file, which holds tenants' data, and those beside it.

    By name: a descriptor of it that is closed would give up the locks that this process holds. Those that SQLite will
    make beside it get its mode.
    """
    cursor.execute("PRAGMA database_list")
    path = cursor.fetchall()[0][2]
    for file in (path, f"{path}-wal", f"{path}-shm") if path else ():
        # Another's file keeps its mode, and one beside it may go at any moment.
        with contextlib.suppress(OSError):
            if stat.S_IMODE(os.stat(file).st_mode) & 0o077:
                os.chmod(file, 0o600)


def _write_ahead(cursor: Any) -> None:
    """Use a log that is written ahead. Of two that turn a new file to it at once, SQLite refuses one without a wait."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(BUSY_PAUSE_S)


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail with SQLITE_BUSY at once; IMMEDIATE waits its turn.
    writes = connection.get_execution_options().get("autodev_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
