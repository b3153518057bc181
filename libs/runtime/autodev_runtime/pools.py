"""Pools of connections to the database, and how full they are, as metrics."""

import asyncio
from functools import partial
from typing import Any

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

CONNECTIONS = Gauge(
    "autodev_database_pool_connections",
    "Connections to the database that the pool has: in_use, or idle. Pools are tenant (of transactions of one tenant) "
    "and all_tenants (of relays and sweeps); on SQLite one that is shared",
    ["pool", "state"],
)
LIMIT = Gauge("autodev_database_pool_limit_connections", "How many connections the pool may have", ["pool"])
WAITING = Gauge(
    "autodev_database_pool_waiting_transactions",
    "Transactions that wait for a connection: all are in use, or the database takes long to accept one more",
    ["pool"],
)
TENANT, ALL_TENANTS, SHARED = "tenant", "all_tenants", "shared"


class Pool(AsyncAdaptedQueuePool):
    """A pool that also knows who waits."""

    def __init__(self, *given: Any, **stated: Any) -> None:
        super().__init__(*given, **stated)
        self._waiters: set[object] = set()

    @property
    def limit(self) -> int:
        """How many connections there may be."""
        return self.size() + self._max_overflow

    @property
    def waiting(self) -> int:
        """How many wait for a connection."""
        return len(self._waiters)

    @property
    def full(self) -> bool:
        """Whether who asks for a connection now has to wait until one is given back."""
        return self.checkedout() >= self.limit

    def _do_get(self) -> ConnectionPoolEntry:
        # It calls itself where somebody else was faster: so it is noted who waits, and not how often.
        waiter = asyncio.current_task()
        self._waiters.add(waiter)
        try:
            return super()._do_get()
        finally:
            self._waiters.discard(waiter)

    def abandon(self) -> None:
        """Close the connections that nobody uses without a word to the server."""
        while self.checkedin():
            super()._do_get().invalidate()


class _Shown:
    """The pools that are open, by what they are called. Read by the thread that serves metrics."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[AsyncEngine, ...]] = {}

    def add(self, name: str, engine: AsyncEngine) -> None:
        if name not in self._open:
            CONNECTIONS.labels(name, "in_use").set_function(partial(self._sum, name, "in_use"))
            CONNECTIONS.labels(name, "idle").set_function(partial(self._sum, name, "idle"))
            LIMIT.labels(name).set_function(partial(self._sum, name, "limit"))
            WAITING.labels(name).set_function(partial(self._sum, name, "waiting"))
        # SQLAlchemy makes the pool's queue when it is first looked at, which two threads must not do at once.
        _figures(engine)
        self._open[name] = (*self._open.get(name, ()), engine)

    def remove(self, name: str, engine: AsyncEngine) -> None:
        self._open[name] = tuple(each for each in self._open[name] if each is not engine)

    def _sum(self, name: str, figure: str) -> int:
        return sum(_figures(engine)[figure] for engine in self._open[name])


def _figures(engine: AsyncEngine) -> dict[str, int]:
    pool = engine.pool
    assert isinstance(pool, Pool)
    return {"in_use": pool.checkedout(), "idle": pool.checkedin(), "limit": pool.limit, "waiting": pool.waiting}


SHOWN = _Shown()
