"""What the event log is made of. Events are opaque bytes here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from autodev_gateway import wire
from autodev_runtime.errors import InvalidArgument, OutOfRange
from autodev_runtime.identity import ALL_TENANTS

CURSOR_DIGITS = 16


class EpisodeReport(NamedTuple):
    """What a task's event says of its episode."""

    episode_id: str
    agent_id: str
    outcome: int
    task: bytes
    """The TaskEvent, serialised."""


class Draft(NamedTuple):
    """An event to append. `body` is the serialised Event without cursor and recorded_at."""

    tenant: str
    event_id: str
    type: int
    agent_id: str
    skill_id: str
    body: bytes
    episode: EpisodeReport | None = None


class Record(NamedTuple):
    """An event in the log.

    `seq` orders the log of all tenants. It is the time of recording in microseconds since 1970, made unique by
    counting on, so a time is a place in the log and needs no index.
    """

    seq: int
    sized: bytes
    """The complete serialised Event with its length before it; see wire.py."""


class Appended(NamedTuple):
    """A record with what filters look at."""

    record: Record
    tenant: str
    type: int
    agent_id: str
    skill_id: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events to send. An empty set lets every one pass."""

    types: frozenset[int] = frozenset()
    agents: frozenset[str] = frozenset()
    skills: frozenset[str] = frozenset()

    @property
    def passes_all(self) -> bool:
        """Whether nothing is held back."""
        return not (self.types or self.agents or self.skills)

    def passes(self, appended: Appended) -> bool:
        """Whether the event is wanted."""
        return self.passes_of(appended.type, appended.agent_id, appended.skill_id)

    def passes_of(self, kind: int, agent_id: str, skill_id: str) -> bool:
        """Whether an event of this kind, agent and skill is wanted."""
        return (
            (not self.types or kind in self.types)
            and (not self.agents or agent_id in self.agents)
            and (not self.skills or skill_id in self.skills)
        )


ALL_EVENTS = Filter()


@dataclass(frozen=True, slots=True)
class PageBounds:
    """How much to read at once."""

    events: int = 256
    size_bytes: int = 1024 * 1024


class Page(NamedTuple):
    """Records of a part of the log that was looked through up to `through`, included."""

    records: Sequence[Record]
    through: int

    def split(self, bounds: "PageBounds") -> "tuple[Page, Page]":
        """The first part of the page, within bounds, and the rest."""
        size_bytes = 0
        for index, record in enumerate(self.records):
            size_bytes += len(record.sized)
            if index == bounds.events or (index and size_bytes > bounds.size_bytes):
                first = self.records[:index]
                return Page(first, first[-1].seq), Page(self.records[index:], self.through)
        return self, Page((), self.through)


class Joined(NamedTuple):
    """Some events in a row, as a subscriber's message has them, of a part of the log up to `through`."""

    body: bytes
    through: int
    events: int


READ_AHEAD = PageBounds(1024, 2 * 1024 * 1024)
"""How much a subscriber's reads take from the database at once, in messages of their own bounds."""


def joined_of(page: Page, bounds: PageBounds) -> list[Joined]:
    """A page as messages within bounds. The last reaches as far as the page does."""
    messages = []
    while True:
        first, page = page.split(bounds)
        body = wire.joined(record.sized for record in first.records)
        messages.append(Joined(body, first.through, len(first.records)))
        if not page.records:
            return messages


class Trims:
    """Up to where retention has deleted each tenant's events."""

    def __init__(self, through: dict[str, int]) -> None:
        self._through = dict(through)
        self._newest = max(through.values(), default=0)
        self.revision = 0
        """Changes whenever more is gone."""

    def through(self, tenant: str) -> int:
        """The last place whose events may be gone; for the tenant `*` none, since some tenant's may all be there."""
        return self._through.get(tenant, 0)

    def past(self, tenant: str, position: int) -> dict[str, int]:
        """Up to where events after a position may be gone, by tenant; of every one for the tenant `*`."""
        if position >= self._newest:
            return {}
        asked = self._through if tenant == ALL_TENANTS else {tenant: self.through(tenant)}
        return {name: seq for name, seq in asked.items() if seq > position}

    def advance(self, through: dict[str, int]) -> None:
        """Note what was deleted."""
        for tenant, seq in through.items():
            if seq > self._through.get(tenant, 0):
                self._through[tenant] = seq
                self._newest = max(self._newest, seq)
                self.revision += 1

    def check(self, tenant: str, position: int) -> None:
        """Raises OutOfRange where events of the tenant after the position are gone; for `*` never: see gaps.py."""
        oldest = self.through(tenant)
        if position < oldest:
            raise OutOfRange(
                "events after this place are past retention; resume after oldest_cursor to go on with what is kept",
                reason="CURSOR_EXPIRED",
                metadata={"oldest_cursor": cursor_of(oldest)},
            )


def cursor_of(seq: int) -> str:
    """The cursor of a place in the log. Cursors sort as places do."""
    return f"{seq:0{CURSOR_DIGITS}x}"


def seq_of(cursor: str, head: int, field: str) -> int:
    """The place that a cursor names. Raises InvalidArgument for one that this log, ending at `head`, never gave."""
    digits = len(cursor) == CURSOR_DIGITS and all(each in "0123456789abcdef" for each in cursor)
    if not digits or (seq := int(cursor, 16)) > head:
        raise InvalidArgument.field(field, "is not a cursor that this log gave")
    return seq
