"""The tables `audit_entries`, `audit_open`, `audit_acts`. A tenant's entries come one by one, whatever the gateway."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_gateway.rows import AuditActRow, AuditEntryRow, AuditOpenRow
from autodev_runtime.audit_chain import VERSION, Head, canonical, chained
from autodev_runtime.columns import insert_if_absent
from autodev_runtime.database import Database
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.repeating import repeatable

DECISION, OUTCOME, ACT = "decision", "outcome", "act"
UNFINISHED = "UNFINISHED"
MOST_RECOVERED = 100

_TURN = text("SELECT pg_advisory_xact_lock(:key)")
_OPEN = AuditOpenRow.__table__


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry, and its hash in hexadecimal."""

    number: int
    content: bytes
    hash: str


class AuditLog:
    """Every tenant's chain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def decided(self, tenant: str, facts: Mapping[str, Any], now_us: int) -> int:
        """Add a decision. Returns its number once it is on disk."""
        async with self._database.session(tenant) as session:
            number = await self._append(session, tenant, {**facts, "kind": DECISION, "at_us": now_us})
            session.add(AuditOpenRow(number=number, at_us=now_us))
            return number

    @repeatable
    async def ended(self, tenant: str, decision: int, facts: Mapping[str, Any], now_us: int) -> None:
        """Add how a decision ended."""
        async with self._database.session(tenant) as session:
            await self._append(session, tenant, _outcome(decision, facts, now_us))
            await _close(session, decision)

    @repeatable
    async def acted(self, tenant: str, event_id: str, facts: Mapping[str, Any], now_us: int) -> None:
        """Add what a service did by itself, once for each event's id."""
        async with self._database.session(tenant) as session:
            if await insert_if_absent(session, AuditActRow, event_id=event_id):
                await self._append(session, tenant, {**facts, "kind": ACT, "event_id": event_id, "at_us": now_us})

    async def recover(self, before_us: int, now_us: int) -> int:
        """Say of decisions since a time ago, whose outcome nobody has written, that it is not known. Returns how many.

        One that is still being served gets its true outcome as well, when it ends.
        """
        async with self._database.connection(ALL_TENANTS) as connection:
            query = select(_OPEN.c.tenant_id, _OPEN.c.number).where(_OPEN.c.at_us < before_us).limit(MOST_RECOVERED)
            found = [(row.tenant_id, row.number) for row in await connection.execute(query)]
        return sum([await self._abandon(tenant, number, now_us) for tenant, number in found])

    @repeatable
    async def _abandon(self, tenant: str, decision: int, now_us: int) -> bool:
        async with self._database.session(tenant) as session:
            await self._turn(session, tenant)
            if not await _close(session, decision):
                # Another gateway was faster.
                return False
            await self._append(session, tenant, _outcome(decision, {"status": UNFINISHED}, now_us))
            return True

    async def after(self, tenant: str, number: int, limit: int) -> Sequence[StoredEntry]:
        """The entries after a number, the oldest first."""
        rows = select(AuditEntryRow).where(AuditEntryRow.number > number).order_by(AuditEntryRow.number)
        return await self._read(tenant, rows.limit(limit))

    async def before(self, tenant: str, number: int | None, limit: int) -> Sequence[StoredEntry]:
        """The entries before a number, or before the end, the newest first."""
        rows = select(AuditEntryRow).order_by(AuditEntryRow.number.desc())
        if number is not None:
            rows = rows.where(AuditEntryRow.number < number)
        return await self._read(tenant, rows.limit(limit))

    async def _read(self, tenant: str, statement: Any) -> Sequence[StoredEntry]:
        async with self._database.reading(tenant) as session:
            return [StoredEntry(row.number, row.entry, row.hash) for row in await session.scalars(statement)]

    async def _append(self, session: AsyncSession, tenant: str, facts: Mapping[str, Any]) -> int:
        await self._turn(session, tenant)
        last = select(AuditEntryRow.number, AuditEntryRow.hash).order_by(AuditEntryRow.number.desc()).limit(1)
        found = (await session.execute(last)).first()
        head = Head(found.number, bytes.fromhex(found.hash)) if found is not None else Head()
        number = head.number + 1
        content = canonical({**facts, "number": number, "tenant": tenant, "version": VERSION})
        session.add(AuditEntryRow(number=number, entry=content, hash=chained(head.hash, content).hex()))
        await session.flush()
        return number

    async def _turn(self, session: AsyncSession, tenant: str) -> None:
        """Wait until no other transaction adds to the tenant's chain. SQLite has one writer anyway."""
        if not self._database.is_sqlite:
            digest = hashlib.sha256(f"audit {tenant}".encode()).digest()
            await session.execute(_TURN, {"key": int.from_bytes(digest[:8], signed=True)})


def _outcome(decision: int, facts: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    return {**facts, "kind": OUTCOME, "decision": decision, "at_us": now_us}


async def _close(session: AsyncSession, decision: int) -> bool:
    closed = await session.execute(delete(AuditOpenRow).where(AuditOpenRow.number == decision))
    assert isinstance(closed, CursorResult)
    return closed.rowcount == 1
