"""How fast uses of a capability are reserved, and how fast the database alone would do the same."""

import asyncio
import contextlib
import itertools
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_runtime.identity import Identity, Role
from tests.mesh import DEVELOPER, TENANT, Mesh

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub

CAPABILITY = "auto_dev.alpha_evolver"
AGENT = "agent-1"
LIMIT = 1_000_000
CALLS_IN_FLIGHT = 64

_SETTINGS = """
SELECT enabled, memento_skills, alpha_evolver, background_evolution, max_mutations_per_day, max_skill_candidates_per_day
FROM workspace_settings WHERE tenant_id = ?
"""
_AGENT = """
SELECT agents.level, own.level, own.set_by_operator FROM agents LEFT JOIN capability_standings AS own
    ON own.tenant_id = agents.tenant_id AND own.agent_id = agents.agent_id AND own.capability = ?
WHERE agents.tenant_id = ? AND agents.agent_id = ?
"""
_EARLIER = "SELECT id, state, expires_at, used, quota FROM reservations WHERE tenant_id = ? AND request_id = ?"
_LAPSE = """
UPDATE reservations SET state = 'lapsed'
WHERE tenant_id = ? AND capability = ? AND holder = ? AND day = ? AND state = 'reserved' AND expires_at <= ?
"""
_COUNTER = "INSERT INTO quota_counters VALUES (?, ?, ?, ?, 0, 0) ON CONFLICT DO NOTHING"
_TAKE = """
UPDATE quota_counters SET granted = granted + 1
WHERE tenant_id = ? AND capability = ? AND holder = ? AND day = ? AND granted < ? RETURNING granted
"""
_RESERVE = """
INSERT INTO reservations (id, tenant_id, request_id, agent_id, capability, holder, day, state, expires_at, used, quota)
VALUES (?, ?, ?, ?, ?, ?, ?, 'reserved', ?, ?, ?)
"""
numbers = itertools.count()


class Reserving:
    """The capability service of a mesh, with an agent that may use a capability of a limit that is never met."""

    def __init__(self, mesh: Mesh, stub: "CapabilityServiceAsyncStub") -> None:
        self._directory = mesh.directory
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
        due = iter(range(count))

        async def one_after_the_other() -> None:
            for _ in due:
                request = pb.ReserveUsageRequest(
                    request_id=f"call-{next(numbers)}", agent_id=AGENT, capability=CAPABILITY
                )
                await self._stub.ReserveUsage(request, metadata=self._metadata, timeout=60)

        started = time.perf_counter()
        await asyncio.gather(*(one_after_the_other() for _ in range(CALLS_IN_FLIGHT)))
        return count / (time.perf_counter() - started)

    def database_rate(self, count: int) -> float:
        """Reservations a second in the same file by SQLite's driver: every statement that one takes, each for one row.

        One transaction each, on disk when it ends; the same rows are written as by calls.
        """
        return _bare(self._directory / "capability.sqlite3", count)


def _bare(path: Path, count: int) -> float:
    day = datetime.now(UTC).date().isoformat()
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    expires = (datetime.now(UTC) + timedelta(minutes=10)).strftime("%Y-%m-%d %H:%M:%S.%f")
    key = TENANT, "bare", "", day
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        started = time.perf_counter()
        for _ in range(count):
            number = next(numbers)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_SETTINGS, (TENANT,)).fetchone()
            connection.execute(_AGENT, (CAPABILITY, TENANT, AGENT)).fetchone()
            connection.execute(_EARLIER, (TENANT, f"bare-{number}")).fetchone()
            connection.execute(_COUNTER, key)
            connection.execute(_LAPSE, (*key, now))
            (used,) = connection.execute(_TAKE, (*key, LIMIT)).fetchone()
            values = (f"bare-{number}", TENANT, f"bare-{number}", AGENT, *key[1:], expires, used, LIMIT)
            connection.execute(_RESERVE, values)
            connection.execute("COMMIT")
        return count / (time.perf_counter() - started)
