"""What an append writes and finds, whichever engine does it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from autodev_gateway import wire
from autodev_gateway.event_log.model import Appended, EpisodeReport, Record
from autodev_gateway.rows import EventRow

_events: Table = EventRow.__table__  # type: ignore[assignment]


class Stamped(NamedTuple):
    """An event about to be stored, with what only the database needs."""

    appended: Appended
    event_id: str
    episode: EpisodeReport | None
    size_elsewhere: int | None = None
    """Where another engine keeps the event itself and the database only a row: the event's size in bytes."""

    @property
    def stored(self) -> tuple[int, bytes]:
        """The event's size in bytes, and what the database is to have of it."""
        if self.size_elsewhere is not None:
            return self.size_elsewhere, b""
        event = wire.unsized(self.appended.record.sized)
        return len(event), event


Stamp = Callable[[int], Sequence[Stamped]]


@dataclass(frozen=True, slots=True)
class Written:
    """What an append did."""

    batch: Sequence[Stamped]
    known: dict[tuple[str, str], int]
    """By tenant and id, the places of events that were there before."""
    missed: Sequence[Appended] | None
    """What other gateways have appended before, and this process has not heard of; None: too much to say."""


async def appended_after(connection: AsyncConnection, place: int, limit: int) -> list[Appended]:
    """The events of all tenants after a place, in order, with what filters look at."""
    columns = (_events.c.seq, _events.c.event, _events.c.tenant_id, _events.c.type, _events.c.agent_id)
    query = select(*columns, _events.c.skill_id).where(_events.c.seq > place).order_by(_events.c.seq).limit(limit)
    return [
        Appended(Record(seq, wire.sized(event)), tenant, kind, agent_id, skill_id)
        for seq, event, tenant, kind, agent_id, skill_id in await connection.execute(query)
    ]
