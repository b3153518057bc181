"""What only one process of a service may do at a time, where several share one PostgreSQL.

A claim is an advisory lock of a connection that the process keeps. PostgreSQL lets it go when the connection ends, so
what a killed process had claimed is free at once.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from typing import Any

from autodev_runtime import postgresql
from autodev_runtime.database import Database
from autodev_runtime.database_faults import AWAY
from autodev_runtime.errors import Unavailable

FAREWELL_S = 1.0
ANSWER_S = 5.0
"""An advisory lock is taken, or not, without waiting for anybody."""


class Claims:
    """The claims of this process. On SQLite it is alone, and may do everything."""

    def __init__(self, database: Database, lost: Callable[[], None]) -> None:
        """`lost` is called when all claims are lost at once, with the connection: others may have them now."""
        self._database = database
        self._lost = lost
        self._connection: Any = None
        self._connecting = asyncio.Lock()

    async def claim(self, name: str) -> bool:
        """Claim a name, until it is released. Returns False where another process has it. Raises Unavailable."""
        if self._database.is_sqlite:
            return True
        async with self._connecting:
            try:
                if self._connection is None:
                    await self._connect()
                return bool(await self._answer("SELECT pg_try_advisory_lock($1)", name))
            except postgresql.driver_errors() as error:
                raise Unavailable(AWAY, reason="DATABASE_UNAVAILABLE") from error

    async def release(self, name: str) -> None:
        """Give a claimed name back. Where the database is away, the claim ends with its connection."""
        async with self._connecting:
            if self._connection is not None:
                with contextlib.suppress(*postgresql.driver_errors()):
                    await self._answer("SELECT pg_advisory_unlock($1)", name)

    async def _answer(self, query: str, name: str) -> Any:
        """What the server says. One that says nothing may have ended the connection, and with it every claim."""
        connection = self._connection
        try:
            async with asyncio.timeout(ANSWER_S):
                return await connection.fetchval(query, _key(name))
        except TimeoutError:
            connection.terminate()
            raise

    async def _connect(self) -> None:
        connection = await postgresql.connect(self._database.url, self._database.options)
        connection.add_termination_listener(self._ended)
        self._connection = connection

    def _ended(self, connection: Any) -> None:
        if connection is self._connection:
            self._connection = None
            self._lost()

    async def close(self) -> None:
        """Give everything back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*postgresql.driver_errors()):
                await connection.close(timeout=self._database.patience.left_s(FAREWELL_S))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
