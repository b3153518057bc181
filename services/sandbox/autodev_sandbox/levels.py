"""Which isolation levels this machine gives now, and sandboxes of the strongest that an execution may have."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from autodev_runtime.errors import FailedPrecondition
from autodev_sandbox.backends import Backend, Facility, PoolStatus, Sandbox
from autodev_sandbox.execution import BackendUnavailable, IsolationLevel, Limits
from autodev_sandbox.running import prove
from autodev_sdk.ending import results_of

log = logging.getLogger(__name__)

PROBE_AGAIN_S = 10.0
PROVE_AGAIN_S = 60.0
SETTLE_S = 5.0
ADVICE = (
    "Install bubblewrap (apt-get install bubblewrap) or a container engine (apt-get install docker.io, then start "
    "dockerd). To run code with resource limits alone, where it can read this user's files and reach the network, set "
    "AUTODEV_SANDBOX_ALLOW_PROCESS=1."
)

NOT_TRIED = "not tried yet"
TURNED_OFF = "turned off: see AUTODEV_SANDBOX_LEVELS and AUTODEV_SANDBOX_ALLOW_PROCESS"


@dataclass(frozen=True)
class LevelStatus:
    """What one level is on this machine. `detail`: what gives it, or what is missing and how to get it."""

    level: IsolationLevel
    available: bool
    detail: str
    facilities: Sequence[Facility] = ()
    pool: PoolStatus = field(default_factory=PoolStatus)


class Levels:
    """The offered backends, strongest first, and what is known of each."""

    def __init__(self, backends: Sequence[Backend], minimum: IsolationLevel) -> None:
        self.backends = sorted(backends, key=lambda backend: backend.level, reverse=True)
        self.minimum = minimum
        self._details = {backend.level: NOT_TRIED for backend in backends}
        self._available: set[IsolationLevel] = set()
        self._worked_s: dict[IsolationLevel, float] = {}
        self._probed = self._settled = False
        self._news = asyncio.Event()
        self._lost = asyncio.Event()

    async def required(self, asked: IsolationLevel | None) -> IsolationLevel:
        """The least level that an execution may have. Raises FailedPrecondition when there is none of it."""
        least = max(asked or self.minimum, self.minimum)
        while not (self._probed or (self._settled and self._at(least))):
            self._news.clear()
            await self._news.wait()
        self._refuse_below(least)
        return least

    async def take(self, least: IsolationLevel, limits: Limits) -> tuple[Backend, Sandbox]:
        """A sandbox of the strongest level that works. Raises FailedPrecondition."""
        while True:
            self._refuse_below(least)
            backend = self._at(least)[0]
            try:
                return backend, await backend.take(limits)
            except BackendUnavailable as error:
                self.lost(backend, error)

    def lost(self, backend: Backend, error: BackendUnavailable) -> None:
        """Do without a backend until it is found to work again."""
        self._note(backend, available=False, detail=str(error))
        self._lost.set()

    def worked(self, level: IsolationLevel) -> None:
        """Take note that something has just run there."""
        self._worked_s[level] = time.monotonic()

    def statuses(self) -> list[LevelStatus]:
        """Every level, strongest first."""
        offered = {backend.level: self._status(backend) for backend in self.backends}
        return [
            offered.get(level) or LevelStatus(level, available=False, detail=TURNED_OFF)
            for level in sorted(IsolationLevel, reverse=True)
        ]

    def best(self, least: IsolationLevel) -> IsolationLevel | None:
        """The strongest level that works, if it is strong enough."""
        return next((backend.level for backend in self._at(least)), None)

    async def ready(self) -> bool:
        """Whether an execution that asks for no level would run."""
        return self.best(self.minimum) is not None

    async def probe(self) -> None:
        """Try every backend that is not known to work, and those that have run nothing for a while."""
        await results_of(*map(self._probe, self.backends))
        if not self._probed:
            self._probed = True
            self._news.set()
            if self.best(self.minimum) is None:
                log.warning("no isolation of %s or more here: executions are refused. %s", self.minimum.name, ADVICE)

    async def watch(self) -> None:
        """Probe, and again now and then: an engine may be installed, go away, or come back."""
        asyncio.get_running_loop().call_later(SETTLE_S, self._settle)
        while True:
            self._lost.clear()
            await self.probe()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_AGAIN_S):
                    await self._lost.wait()

    async def close(self) -> None:
        """End every sandbox."""
        await asyncio.gather(*(backend.close() for backend in self.backends))  # noqa: TID251 -- all must close

    def _settle(self) -> None:
        """From now on, do with a level that works while stronger ones are still being made ready."""
        self._settled = True
        self._news.set()

    async def _probe(self, backend: Backend) -> None:
        level = backend.level
        try:
            if level not in self._available:
                self._note(backend, available=True, detail=await backend.probe())
            elif time.monotonic() - self._worked_s[level] > PROVE_AGAIN_S:
                await prove(backend)
            else:
                return
            self.worked(level)
        except BackendUnavailable as error:
            self._note(backend, available=False, detail=str(error))

    def _status(self, backend: Backend) -> LevelStatus:
        level = backend.level
        available = level in self._available
        return LevelStatus(level, available, self._details[level], backend.facilities(), backend.pool_status())

    def _note(self, backend: Backend, *, available: bool, detail: str) -> None:
        level = backend.level
        if (available, detail) != (level in self._available, self._details[level]):
            log.info("%s: %s: %s", level.name, "available" if available else "not available", detail)
        self._details[level] = detail
        self._news.set()
        (self._available.add if available else self._available.discard)(level)

    def _at(self, least: IsolationLevel) -> list[Backend]:
        return [each for each in self.backends if each.level >= least and each.level in self._available]

    def _refuse_below(self, least: IsolationLevel) -> None:
        if self._at(least):
            return
        details = {status.level.name: status.detail for status in self.statuses() if status.level >= least}
        raise FailedPrecondition(
            f"no isolation of {least.name} or more on this machine. {ADVICE}",
            reason="ISOLATION_UNAVAILABLE",
            metadata=details,
        )
