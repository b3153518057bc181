"""Ways to keep an execution apart, one module each. A backend gives started sandboxes, each for one execution."""

from dataclasses import dataclass
from typing import Protocol

from autodev_sandbox.execution import IsolationLevel, Limits, Status
from autodev_sandbox.wire import Confinement


class Sandbox(Protocol):
    """A started sandbox whose supervisor waits for its one request. Used by one execution, then ended."""

    @property
    def level(self) -> IsolationLevel:
        """What it gives."""

    @property
    def confinement(self) -> Confinement:
        """What the code's process must still do to itself in there."""

    async def send(self, data: bytes) -> None:
        """Give bytes to the supervisor. One that is gone takes them silently."""

    async def receive(self) -> bytes:
        """The next bytes from the supervisor; none when it is gone."""

    def oom_kills(self) -> int:
        """How often the host saw memory run out in it; 0 where it cannot see."""

    def peak_memory_bytes(self) -> int:
        """The most memory that the host saw in it; 0 where it cannot see."""

    async def why_lost(self) -> Status:
        """OOM or KILLED, after its supervisor went away. Raises BackendUnavailable if it never was there."""

    async def end(self) -> None:
        """End all that runs in it and remove it. When this returns, nothing of it is left. May be called twice."""


@dataclass(frozen=True)
class Facility:
    """One thing that isolation is made of. `detail`: what it gives here, or why it is missing."""

    name: str
    available: bool
    detail: str


@dataclass(frozen=True)
class PoolStatus:
    """Counts of a level's sandboxes by what they are at; `floor` and `ceiling` bound them (0: no pool)."""

    ready: int = 0
    starting: int = 0
    in_use: int = 0
    ending: int = 0
    floor: int = 0
    ceiling: int = 0


class Backend(Protocol):
    """One way, at one level."""

    @property
    def level(self) -> IsolationLevel:
        """What it gives."""

    async def probe(self) -> str:
        """Make ready, run something for real, and tell in a line what gives the level. Raises BackendUnavailable."""

    async def take(self, limits: Limits) -> Sandbox:
        """A started sandbox with these limits: one that waits, or one made now. Raises BackendUnavailable."""

    def retire(self, sandbox: Sandbox) -> None:
        """End a sandbox that was taken, after the caller has gone on."""

    def facilities(self) -> list[Facility]:
        """What its isolation is made of on this machine, as the last probe found."""

    def pool_status(self) -> PoolStatus:
        """Its sandboxes now."""

    async def close(self) -> None:
        """End every sandbox; when this returns, nothing is left."""
