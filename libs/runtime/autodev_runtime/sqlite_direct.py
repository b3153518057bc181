"""SQLite transactions that are one hop to a thread, for work so frequent that more hops would cost the most."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
Configure = Callable[[sqlite3.Connection, object], None]


class SqliteThreads:
    """Threads with a connection of its own each. All are made when they are first used."""

    def __init__(self, path: str, configure: Configure, threads: int, begin: str) -> None:
        """`configure` prepares a new connection; `begin` is how its transactions do."""
        self._path = path
        self._configure = configure
        self._begin = begin
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sqlite")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []

    async def transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do the work in one transaction: committed when it returns, rolled back when it raises.

        It is not broken off: a caller that is cancelled goes on being cancelled once the transaction is over.
        Raises sqlite3.Error.
        """
        running = asyncio.get_running_loop().run_in_executor(self._threads, self._transaction, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    def _transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        connection = self._connection()
        with _committed(connection, self._begin):
            return work(connection)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            # Used by this thread only, and closed by another after this one ended.
            connection = sqlite3.connect(self._path, check_same_thread=False)
            self._configure(connection, None)
            self._own.connection = connection
            self._connections.append(connection)
        return connection

    async def close(self) -> None:
        """Wait for what runs, and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._connections:
            connection.close()


@contextlib.contextmanager
def _committed(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors, a full disk for one.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
