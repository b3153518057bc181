"""SQLite transactions that are one hop to a thread, for writes so frequent that more hops would cost the most."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class SqliteWriter:
    """A connection of its own, in a thread of its own. Both are made when they are first used."""

    def __init__(self, path: str, configure: Callable[[sqlite3.Connection, object], None]) -> None:
        """`configure` prepares the new connection."""
        self._path = path
        self._configure = configure
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do the work in one transaction: committed when it returns, rolled back when it raises.

        It is not broken off: a caller that is cancelled goes on being cancelled once the transaction is over.
        Raises sqlite3.Error.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    def _transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._connection is None:
            # Only ever used by this thread, and closed by another after this one ended.
            connection = sqlite3.connect(self._path, check_same_thread=False)
            self._configure(connection, None)
            self._connection = connection
        with _committed(self._connection):
            return work(self._connection)

    async def close(self) -> None:
        """Wait for what runs, and close the connection."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown)
        if self._connection is not None:
            self._connection.close()


@contextlib.contextmanager
def _committed(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors, a full disk for one.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
