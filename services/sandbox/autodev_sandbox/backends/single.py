"""A bubblewrap of its own for one execution, as long as no nest is kept."""

from typing import Self

from autodev_sandbox import cgroup
from autodev_sandbox.backends.bubblewrap import Bubblewrap, Recipe
from autodev_sandbox.backends.socket_channel import SocketChannel, channel_pair
from autodev_sandbox.execution import BackendUnavailable, IsolationLevel, Limits, Status
from autodev_sandbox.wire import Confinement

OWN_PROCESSES = 1  # The supervisor.


class SingleSandbox:
    """Its request may be sent before its supervisor is there."""

    level = IsolationLevel.NAMESPACE

    def __init__(self, bubblewrap: Bubblewrap, channel: SocketChannel) -> None:
        self.bubblewrap = bubblewrap
        self.channel = channel
        self.send = channel.send
        self.receive = channel.receive

    @classmethod
    def start(cls, recipe: Recipe, entry: str, limits: Limits) -> Self:
        """Raises BackendUnavailable."""
        channel, theirs = channel_pair()
        try:
            return cls(Bubblewrap.start(recipe, entry, limits.tmp_bytes, theirs), channel)
        except BaseException:
            channel.close()
            raise

    async def admit(self, limits: Limits, group: cgroup.Group | None) -> None:
        """Put it under the limits of its execution. Raises BackendUnavailable."""
        try:
            if group:
                group.set_limits(limits, 0, OWN_PROCESSES)
        except OSError as error:
            raise BackendUnavailable(f"a sandbox's limits cannot be set: {error}") from error
        finally:
            self.bubblewrap.group = group
        await self.bubblewrap.enter(group)

    @property
    def confinement(self) -> Confinement:
        grouped = self.bubblewrap.group is not None
        return Confinement(limits_memory=not grouped, limits_processes=not grouped)

    def oom_kills(self) -> int:
        return self.bubblewrap.group.oom_kills() if self.bubblewrap.group else 0

    def peak_memory_bytes(self) -> int:
        return self.bubblewrap.group.whole_peak_bytes() if self.bubblewrap.group else 0

    async def why_lost(self) -> Status:
        # What it could not set up it complained of; the code has no way to.
        if complaint := await self.bubblewrap.complaint():
            raise BackendUnavailable(complaint)
        return Status.OOM if self.oom_kills() else Status.KILLED

    async def end(self) -> None:
        self.channel.close()
        await self.bubblewrap.end()
