"""What keeps the events: the interface that the database (store.py) and NATS JetStream (jetstream/) serve.

The log above it is the same for both: group commit, the tail in memory, subscriptions, groups, retention's rules.
Whichever engine keeps the events, the database has a row of each (`index`): ids, sizes and episodes are found there.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from autodev_gateway.event_log.appending import Stamp, Written
from autodev_gateway.event_log.model import Appended, Filter, Joined, Page, PageBounds, Record

if TYPE_CHECKING:
    from autodev_gateway.event_log.store import EventStore


class Reading(NamedTuple):
    """A page, and up to where the log was deleted when it was read, by tenant, as far as this process may not know."""

    page: Page
    trimmed: dict[str, int]


class JoinedReading(NamedTuple):
    """The same of messages: at least one, the last of which may be empty."""

    messages: Sequence[Joined]
    trimmed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the log ends, and up to where each tenant's events are deleted."""

    head: int
    trimmed: dict[str, int]


class Newest(NamedTuple):
    """The database's newest row of an event, and whether the event itself is in it."""

    seq: int
    tenant: str
    stored: bool


class WrongLog(RuntimeError):
    """The database belongs to another event log: going on with it would lose events."""


class Engine(Protocol):
    """Keeps all tenants' events in one order. Every method raises Unavailable where its server is away."""

    @property
    def shared(self) -> bool:
        """Whether other gateways may append to the same log."""

    @property
    def index(self) -> "EventStore":
        """The database's rows of the events. Retention decides by them what is to go."""

    async def ready(self) -> bool:
        """Whether its server answers, where that is not the database's."""

    async def bounds(self) -> Bounds:
        """Where the log stands. It comes first."""

    async def run(self) -> None:
        """What there is to do beside the calls, for ever; returns where that is nothing."""

    def append(self, stamp: Stamp, followed: int) -> Awaitable[Written]:
        """Store a batch, all or nothing, and return once it is on disk.

        Events whose id the tenant's log holds are not stored again. A batch's events are of one tenant after the
        other. It is never stored twice, whatever fails on the way.

        Args:
            stamp: gives the batch's events their places, all after the one it is given. It may be called again.
            followed: up to where this process knows the log.
        """

    def notices(self, heard: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Call `heard`, within the block, when another gateway may have appended. Notices may be lost."""

    async def after(self, place: int, limit: int) -> Sequence[Appended]:
        """All tenants' events after a place, in order; fewer than the limit only where there are no more by now."""

    async def last(self, tenant: str, through: int) -> int:
        """The last place up to `through` at which the tenant had an event, or up to where they are deleted; 0: none."""

    async def read(self, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds) -> Reading:
        """The next events of the tenant in (after, through]. A page without any was looked through to its end."""

    async def joined(self, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds) -> JoinedReading:
        """The same as messages within bounds, so many that the next read is worth its while."""

    async def by_seq(self, tenant: str, seqs: Sequence[int], wanted: Filter) -> list[Record]:
        """The tenant's events at these places, in order; those that are gone or not wanted are left out."""

    def trim(self, through: dict[str, int]) -> Awaitable[int]:
        """Delete the tenants' events up to these places, but for what a group needs. Returns how many."""

    async def indexed(self) -> None:
        """Wait until the index, and with it the episodes, has all that was acknowledged by now."""
