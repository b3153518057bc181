"""How fast uses of a capability are reserved, and how fast the database alone would do the same."""

import asyncio
import contextlib
import itertools
import sqlite3
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_runtime.identity import Identity, Role
from autodev_runtime.scripts import (
    POSTGRESQL,
    SQLITE,
    Dialect,
    Script,
    Statement,
    done_on_postgresql,
    done_on_sqlite,
)
from tests.mesh import DEVELOPER, TENANT, Mesh
from tests.postgresql import SUPERUSER

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub
    from tests.postgresql import TestDatabase

CAPABILITY = "auto_dev.alpha_evolver"
AGENT = "agent-1"
LIMIT = 1_000_000
CALLS_IN_FLIGHT = 64

_SETTINGS = """
SELECT enabled, memento_skills, alpha_evolver, background_evolution, max_mutations_per_day, max_skill_candidates_per_day
FROM workspace_settings WHERE tenant_id = $1
"""
_AGENT = """
SELECT agents.level, own.level, own.set_by_operator FROM agents LEFT JOIN capability_standings AS own
    ON own.tenant_id = agents.tenant_id AND own.agent_id = agents.agent_id AND own.capability = $1
WHERE agents.tenant_id = $2 AND agents.agent_id = $3
"""
_EARLIER = "SELECT id, state, expires_at, used, quota FROM reservations WHERE tenant_id = $1 AND request_id = $2"
_COUNTER = """
INSERT INTO quota_counters (tenant_id, capability, holder, day, granted, announced)
VALUES ($1, $2, $3, $4, 0, false) ON CONFLICT DO NOTHING
"""
_LAPSE = """
UPDATE reservations SET state = 'lapsed' WHERE tenant_id = $1 AND capability = $2 AND holder = $3 AND day = $4
    AND state = 'reserved' AND expires_at <= MOMENT($5)
"""
_TAKE = """
UPDATE quota_counters SET granted = granted + 1
WHERE tenant_id = $1 AND capability = $2 AND holder = $3 AND day = $4 AND granted < $5 RETURNING granted
"""
_RESERVE = """
INSERT INTO reservations (id, tenant_id, request_id, agent_id, capability, holder, day, state, expires_at, used, quota)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'reserved', MOMENT($8), $9, $10)
"""
numbers = itertools.count()


class Reserving:
    """The capability service of a mesh, with an agent that may use a capability of a limit that is never met."""

    def __init__(self, mesh: Mesh, stub: "CapabilityServiceAsyncStub", database: "TestDatabase | None" = None) -> None:
        """On PostgreSQL where there is a `database`, else on the mesh's own file."""
        self._directory = mesh.directory
        self._database = database
        self._stub = stub
        self._metadata = Identity(TENANT, DEVELOPER, frozenset({Role.OPERATOR})).metadata()

    async def allow(self) -> None:
        """Let the agent."""
        settings = pb.WorkspaceSettings(enabled=True, alpha_evolver=True, max_mutations_per_day=LIMIT)
        request = pb.UpdateWorkspaceSettingsRequest(settings=settings)
        await self._stub.UpdateWorkspaceSettings(request, metadata=self._metadata)
        maturity = pb.SetMaturityRequest(agent_id=AGENT, maturity=pb.MATURITY_LEVEL_SUPERVISED)
        await self._stub.SetMaturity(maturity, metadata=self._metadata)

    async def rate(self, count: int) -> float:
        """Reservations a second by calls."""

        async def reserve(_: int) -> None:
            await self._reserve()

        return await _rate(reserve, count)

    async def counted(self) -> None:
        """Have PostgreSQL count the rows, as it does by itself a minute after a table began to fill."""
        if self._database is not None:
            connection = await self._database.connect(SUPERUSER)
            try:
                await connection.execute("ANALYZE")
            finally:
                await connection.close()

    async def commit_rate(self, count: int) -> float:
        """Commits a second of reservations that are there."""
        held = [await self._reserve() for _ in range(count)]

        async def commit(number: int) -> None:
            request = pb.CommitUsageRequest(reservation_id=held[number])
            await self._stub.CommitUsage(request, metadata=self._metadata, timeout=60)

        return await _rate(commit, count)

    async def _reserve(self) -> str:
        request = pb.ReserveUsageRequest(request_id=f"call-{next(numbers)}", agent_id=AGENT, capability=CAPABILITY)
        answer = await self._stub.ReserveUsage(request, metadata=self._metadata, timeout=60)
        return answer.reservation.id

    async def database_rate(self, count: int) -> float:
        """Reservations a second in the same database by its driver: every statement that one takes, each for one row.

        One transaction each, on disk when it ends; the same rows are written as by calls.
        """
        if self._database is not None:
            return await _bare_on_postgresql(await self._database.connect(SUPERUSER), count)
        return _bare_on_sqlite(self._directory / "capability.sqlite3", count)


async def _rate(call: Callable[[int], Awaitable[None]], count: int) -> float:
    """Calls a second, so many in flight."""
    due = iter(range(count))

    async def one_after_the_other() -> None:
        for number in due:
            await call(number)

    started = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(CALLS_IN_FLIGHT)))
    return count / (time.perf_counter() - started)


def _one(dialect: Dialect, day: str) -> Script[None]:
    """One reservation."""
    number = next(numbers)
    key = TENANT, "bare", "", day
    now = datetime.now(UTC)
    yield Statement(_SETTINGS, (TENANT,))
    yield Statement(_AGENT, (CAPABILITY, TENANT, AGENT))
    yield Statement(_EARLIER, (TENANT, f"bare-{number}"))
    yield Statement(_COUNTER, key)
    yield Statement(_LAPSE, (*key, dialect.written(now)))
    ((used,),) = yield Statement(_TAKE, (*key, LIMIT))
    expires = dialect.written(now + timedelta(minutes=10))
    yield Statement(_RESERVE, (f"bare-{number}", TENANT, f"bare-{number}", AGENT, *key[1:], expires, used, LIMIT))


def _bare_on_sqlite(path: Path, count: int) -> float:
    day = datetime.now(UTC).date().isoformat()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        started = time.perf_counter()
        for _ in range(count):
            connection.execute("BEGIN IMMEDIATE")
            done_on_sqlite(connection, _one(SQLITE, day))
            connection.execute("COMMIT")
        return count / (time.perf_counter() - started)


async def _bare_on_postgresql(connection: Any, count: int) -> float:
    day = datetime.now(UTC).date().isoformat()
    try:
        await connection.execute("SET search_path TO capability")
        started = time.perf_counter()
        for _ in range(count):
            async with connection.transaction():
                await done_on_postgresql(connection, _one(POSTGRESQL, day))
        return count / (time.perf_counter() - started)
    finally:
        await connection.close()
