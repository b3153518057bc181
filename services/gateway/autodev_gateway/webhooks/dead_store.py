"""The SQL of webhooks that were given up: which there are, and having them passed on after all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, tuple_, update

from autodev_gateway.rows import ReceiptRow
from autodev_gateway.webhooks.store import State, pending_again
from autodev_runtime.database import Database
from autodev_runtime.repeating import repeatable

REPLAYED_AT_ONCE = 1000

Place = tuple[int, str, str]
"""Where one stands in the list: when it was given up, its source, its id."""


@dataclass(frozen=True, slots=True)
class DeadWebhook:
    """A webhook that was given up."""

    source: str
    webhook_id: str
    call: bytes
    """The call of fitness that it is passed on by."""
    attempts: int
    error: str
    received_us: int
    dead_us: int

    @property
    def place(self) -> Place:
        """Where it stands in the list."""
        return self.dead_us, self.source, self.webhook_id


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of a tenant's dead webhooks are meant: those of a source, or of all; these, or all."""

    source: str = ""
    ids: Sequence[tuple[str, str]] | None = None
    """Sources and the senders' ids."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of those that were chosen."""

    replayed: int
    remaining: int
    """Those that are dead still."""


_place = (ReceiptRow.due_us, ReceiptRow.source, ReceiptRow.webhook_id)
_name = tuple_(ReceiptRow.source, ReceiptRow.webhook_id)


class DeadWebhooks:
    """Reads and revives dead receipts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, tenant: str, source: str, after: Place | None, limit: int) -> list[DeadWebhook]:
        """A tenant's dead webhooks after a place, the longest dead first; of a source, where one is named."""
        query = select(ReceiptRow).where(*_meant(Chosen(source))).order_by(*_place).limit(limit)
        if after is not None:
            query = query.where(tuple_(*_place) > after)
        async with self._database.reading(tenant) as session:
            return [_told(row) for row in await session.scalars(query)]

    @repeatable
    async def replay(self, tenant: str, chosen: Chosen, now_us: int) -> Replayed:
        """Make dead webhooks pending again, so many at once, the longest dead first."""
        meant = _meant(chosen)
        first = select(ReceiptRow.source, ReceiptRow.webhook_id).where(*meant).order_by(*_place)
        async with self._database.session(tenant) as session:
            names = [tuple(row) for row in await session.execute(first.limit(REPLAYED_AT_ONCE).with_for_update())]
            if names:
                await session.execute(
                    update(ReceiptRow).where(_name.in_(names)).values(pending_again(now_us)),
                    execution_options={"synchronize_session": False},
                )
            remaining = await session.scalar(select(func.count(ReceiptRow.webhook_id)).where(*meant))
        return Replayed(len(names), remaining or 0)


def _meant(chosen: Chosen) -> list[Any]:
    conditions: list[Any] = [ReceiptRow.state == State.DEAD.value]
    if chosen.source:
        conditions.append(ReceiptRow.source == chosen.source)
    if chosen.ids is not None:
        conditions.append(_name.in_(chosen.ids))
    return conditions


def _told(row: ReceiptRow) -> DeadWebhook:
    return DeadWebhook(row.source, row.webhook_id, row.call, row.attempts, row.error, row.received_us, row.due_us)
