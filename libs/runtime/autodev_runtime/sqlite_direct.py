"""SQLite transactions in few hops to a thread, for work so frequent that more hops would cost the most."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
        self._single = threads == 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sqlite")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []

    async def transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do the work in one transaction: committed when it returns, rolled back when it raises.

        It is not broken off: a caller that is cancelled goes on being cancelled once the transaction is over.
        Raises sqlite3.Error.
        """
        return await self._hop(partial(self._transaction, work))

    async def short_transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """The same of work that is many short statements, which is done here, between two hops to a single thread.

        There, each statement would let Python's lock go, and win it back from a busy event loop, which takes several
        times as long as the statement. What may take long is left to the thread: to wait for another writer, and for
        the disk.
        """
        # With several, each hop could be to another one, which has another connection.
        assert self._single
        try:
            connection = await self._hop(self._begun)
            result = work(connection)
            await self._hop(partial(connection.execute, "COMMIT"))
            return result
        except BaseException:
            await self._hop(self._undone)
            raise

    async def _hop(self, step: Callable[[], Result]) -> Result:
        running = asyncio.get_running_loop().run_in_executor(self._threads, step)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    def _transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            result = work(self._begun())
            self._connection().execute("COMMIT")
            return result
        except BaseException:
            self._undone()
            raise

    def _begun(self) -> sqlite3.Connection:
        connection = self._connection()
        connection.execute(self._begin)
        return connection

    def _undone(self) -> None:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        # SQLite has rolled back by itself after some errors, a full disk for one.
        if connection is not None and connection.in_transaction:
            connection.execute("ROLLBACK")

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
