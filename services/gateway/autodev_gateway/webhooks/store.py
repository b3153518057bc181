"""The table `webhook_receipts`: what was acknowledged, and what of it is still to be passed on.

A receipt is its own outbox: one row, written in one transaction before the webhook is acknowledged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Table, delete, func, or_, select, update

from autodev_gateway.rows import ReceiptRow
from autodev_runtime.columns import insert_if_absent
from autodev_runtime.database import Database
from autodev_runtime.repeating import repeatable

PRUNED_AT_ONCE = 1000
LONGEST_WAIT_US = 15 * 60 * 1_000_000
"""No receipt waits longer for its turn: one that seems to was written before the clock was set back."""


class State(StrEnum):
    """How far a webhook has come."""

    PENDING = "pending"
    """Acknowledged; to be passed on."""
    DELIVERED = "delivered"
    """The fitness service has it."""
    DEAD = "dead"
    """Given up. The same webhook, sent again, makes it pending again, and so does an operator (dead.py)."""


class Kept(StrEnum):
    """What became of a webhook that came in."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REVIVED = "revived"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Key:
    """Which webhook: ids are the senders' own, so the source is part of it."""

    tenant: str
    source: str
    webhook_id: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A webhook that came in."""

    key: Key
    body_sha256: bytes
    call: bytes
    traceparent: str


@dataclass(frozen=True, slots=True)
class Due:
    """A receipt whose turn it is to be passed on."""

    key: Key
    call: bytes
    traceparent: str
    attempts: int
    """Those before."""
    pending_since_us: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a try to pass one on ended. `due_us`: when to try again, for one that stays pending; otherwise now."""

    tried: Due
    state: State
    due_us: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What waits, of all tenants."""

    pending: Mapping[tuple[str, str], int]
    """By tenant and source."""
    oldest_us: int | None
    """Since when the oldest waits."""
    dead: int


_receipts: Table = ReceiptRow.__table__  # type: ignore[assignment]
_pending = _receipts.c.state == State.PENDING.value


class ReceiptStore:
    """Reads and writes receipts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def keep(self, receipt: Receipt, now_us: int) -> tuple[Kept, State]:
        """Write a receipt unless it is there. On disk when this returns. Raises Unavailable."""
        key = receipt.key
        async with self._database.session(key.tenant) as session:
            inserted = await insert_if_absent(
                session,
                ReceiptRow,
                source=key.source,
                webhook_id=key.webhook_id,
                body_sha256=receipt.body_sha256,
                call=receipt.call,
                traceparent=receipt.traceparent,
                state=State.PENDING,
                received_us=now_us,
                pending_since_us=now_us,
                due_us=now_us,
                attempts=0,
                error="",
            )
            if inserted:
                return Kept.ACCEPTED, State.PENDING
            known = (
                await session.scalars(
                    select(ReceiptRow)
                    .where(ReceiptRow.source == key.source, ReceiptRow.webhook_id == key.webhook_id)
                    .with_for_update()
                )
            ).one()
            if known.body_sha256 != receipt.body_sha256:
                return Kept.CONFLICT, State(known.state)
            if known.state != State.DEAD:
                return Kept.REPEATED, State(known.state)
            for name, value in pending_again(now_us).items():
                setattr(known, name, value)
            return Kept.REVIVED, State.PENDING

    @repeatable
    async def take(self, now_us: int, lease_us: int, limit: int) -> list[Due]:
        """Receipts whose turn it is, the longest waiting first. Nobody else takes them until the lease is over."""
        is_due = or_(_receipts.c.due_us <= now_us, _receipts.c.due_us > now_us + LONGEST_WAIT_US)
        chosen = select(_receipts).where(_pending, is_due).order_by(_receipts.c.due_us).limit(limit)
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            rows = (await connection.execute(chosen.with_for_update(skip_locked=True))).all()
            due = [
                Due(
                    Key(row.tenant_id, row.source, row.webhook_id),
                    row.call,
                    row.traceparent,
                    row.attempts,
                    row.pending_since_us,
                )
                for row in rows
            ]
            for each in due:
                values: dict[str, Any] = {"due_us": now_us + lease_us, "attempts": each.attempts + 1}
                await connection.execute(update(_receipts).where(*_is(each.key)).values(values))
        return due

    @repeatable
    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Write down how tries ended. What was settled meanwhile stays so, and what somebody else took is theirs."""
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            for each in settlements:
                values: dict[str, Any] = {"state": each.state.value, "error": each.error, "due_us": each.due_us}
                await connection.execute(update(_receipts).where(*_is_held(each.tried), _pending).values(values))

    @repeatable
    async def standing(self) -> Standing:
        """What waits now."""
        waiting = select(
            _receipts.c.tenant_id, _receipts.c.source, func.count(), func.min(_receipts.c.pending_since_us)
        ).where(_pending)
        dead = select(func.count()).select_from(_receipts).where(_receipts.c.state == State.DEAD.value)
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            rows = (await connection.execute(waiting.group_by(_receipts.c.tenant_id, _receipts.c.source))).all()
            return Standing(
                {(tenant, source): count for tenant, source, count, _ in rows},
                min((since for *_, since in rows), default=None),
                (await connection.execute(dead)).scalar_one(),
            )

    @repeatable
    async def prune(self, before_us: int) -> int:
        """Forget settled webhooks that came before a time, some at once. Returns how many."""
        old = (
            select(_receipts.c.tenant_id, _receipts.c.source, _receipts.c.webhook_id)
            .where(_receipts.c.received_us < before_us, _receipts.c.state != State.PENDING.value)
            .limit(PRUNED_AT_ONCE)
        )
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            keys = [Key(*row) for row in await connection.execute(old)]
            for key in keys:
                await connection.execute(delete(_receipts).where(*_is(key), _receipts.c.received_us < before_us))
        return len(keys)


def pending_again(now_us: int) -> dict[str, Any]:
    """What a dead receipt is changed to, so that it is passed on as if it had just come in."""
    return {"state": State.PENDING.value, "attempts": 0, "error": "", "pending_since_us": now_us, "due_us": now_us}


def _is(key: Key) -> tuple[Any, Any, Any]:
    columns = _receipts.c
    return columns.tenant_id == key.tenant, columns.source == key.source, columns.webhook_id == key.webhook_id


def _is_held(tried: Due) -> tuple[Any, ...]:
    """The receipt, as long as nobody took it after this try: not when its lease was over, nor after a replay."""
    columns = _receipts.c
    tries = columns.attempts == tried.attempts + 1, columns.pending_since_us == tried.pending_since_us
    return *_is(tried.key), *tries
