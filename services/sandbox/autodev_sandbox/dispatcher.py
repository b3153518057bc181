"""Decides where an execution runs: the strongest level that works here, never below what was asked."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from autodev_runtime.errors import FailedPrecondition, ResourceExhausted
from autodev_sandbox.backends import Backend
from autodev_sandbox.execution import BackendUnavailable, Execution, IsolationLevel, Outcome
from autodev_sandbox.running import run_on

log = logging.getLogger(__name__)

PROBE_AGAIN_S = 10.0
RETRY_AFTER = timedelta(seconds=1)
ADVICE = (
    "Install bubblewrap (apt-get install bubblewrap) or a container engine (apt-get install docker.io, then start "
    "dockerd). To run code with resource limits alone, where it can read this user's files and reach the network, set "
    "AUTODEV_SANDBOX_ALLOW_PROCESS=1."
)

TURNED_OFF = "turned off: see AUTODEV_SANDBOX_LEVELS and AUTODEV_SANDBOX_ALLOW_PROCESS"


@dataclass(frozen=True)
class LevelStatus:
    """What one level is on this machine. `detail`: what gives it, or what is missing and how to get it."""

    level: IsolationLevel
    available: bool
    detail: str


class Dispatcher:
    """Runs executions on the best backend, as many at a time as there are slots."""

    def __init__(self, backends: Sequence[Backend], *, minimum: IsolationLevel, slots: int, max_waiting: int) -> None:
        self.backends = sorted(backends, key=lambda backend: backend.level, reverse=True)
        self.minimum = minimum
        self.max_waiting = max_waiting
        self.waiting = 0
        self.running = 0
        self._slots = asyncio.Semaphore(slots)
        self._probed = asyncio.Event()
        offered = {backend.level for backend in backends}
        self._statuses = {
            level: LevelStatus(level, available=False, detail="not tried yet" if level in offered else TURNED_OFF)
            for level in IsolationLevel
        }

    async def execute(self, execution: Execution) -> Outcome:
        """Run it, waiting for a slot first.

        Raises FailedPrecondition (ISOLATION_UNAVAILABLE) and ResourceExhausted (QUEUE_FULL).
        """
        await self._probed.wait()
        minimum = max(execution.minimum or self.minimum, self.minimum)
        self._refuse_unless_available(minimum)
        async with self._slot():
            for backend in self._available(minimum):
                try:
                    return await run_on(backend, execution)
                except BackendUnavailable as error:
                    # An execution that did not begin has no effects: the next level may have it.
                    self._note(backend, available=False, detail=str(error))
            self._refuse_unless_available(minimum)
            raise AssertionError("a level is available and was not tried")

    def statuses(self) -> list[LevelStatus]:
        """Every level, strongest first."""
        return [self._statuses[level] for level in sorted(IsolationLevel, reverse=True)]

    def default_level(self) -> IsolationLevel | None:
        """The level that an execution gets which asks for none."""
        return next((backend.level for backend in self._available(self.minimum)), None)

    async def ready(self) -> bool:
        """Whether an execution that asks for no level would run."""
        return self.default_level() is not None

    async def probe(self) -> None:
        """Try every backend that is not known to work."""
        await asyncio.gather(*(self._probe(each) for each in self.backends if not self._statuses[each.level].available))
        if not self._probed.is_set():
            self._probed.set()
            if self.default_level() is None:
                log.warning("no isolation of %s or more here: executions are refused. %s", self.minimum.name, ADVICE)

    async def watch(self) -> None:
        """Probe, and again now and then: an engine may be installed, or come back."""
        while True:
            await self.probe()
            await asyncio.sleep(PROBE_AGAIN_S)

    async def close(self) -> None:
        await asyncio.gather(*(backend.close() for backend in self.backends))

    async def _probe(self, backend: Backend) -> None:
        try:
            self._note(backend, available=True, detail=await backend.probe())
        except BackendUnavailable as error:
            self._note(backend, available=False, detail=str(error))

    def _note(self, backend: Backend, *, available: bool, detail: str) -> None:
        status = LevelStatus(backend.level, available, detail)
        if status != self._statuses[backend.level]:
            log.info("%s: %s: %s", status.level.name, "available" if available else "not available", detail)
        self._statuses[backend.level] = status

    def _available(self, minimum: IsolationLevel) -> list[Backend]:
        return [
            backend for backend in self.backends if backend.level >= minimum and self._statuses[backend.level].available
        ]

    def _refuse_unless_available(self, minimum: IsolationLevel) -> None:
        if self._available(minimum):
            return
        details = {status.level.name: status.detail for status in self.statuses() if status.level >= minimum}
        raise FailedPrecondition(
            f"no isolation of {minimum.name} or more on this machine. {ADVICE}",
            reason="ISOLATION_UNAVAILABLE",
            metadata=details,
        )

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._slots.locked() and self.waiting >= self.max_waiting:
            raise ResourceExhausted(
                f"{self.waiting} executions are waiting", reason="QUEUE_FULL", retry_after=RETRY_AFTER
            )
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._slots.release()
