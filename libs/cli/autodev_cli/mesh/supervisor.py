"""Keeps processes running: starts them, starts again what dies, and ends all of them."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from autodev_cli.mesh.processes import Process
from autodev_runtime.starting import WRONG_SETTINGS
from autodev_sdk.ending import ended

BACKOFF_S = (0.2, 10.0)
STEADY_S = 30.0
"""A process that ran this long and dies is started again at once, whatever happened before."""
KILL_AFTER_S = 6.0
MOST_FALSE_STARTS = 3

Watch = Callable[[Callable[[bool], None]], Awaitable[None]]


class State(StrEnum):
    """Where a process stands."""

    STARTING = "starting"
    SERVING = "SERVING"
    NOT_SERVING = "not ready"
    WAITING = "died"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Spec:
    """A process to keep: what starts it, as often as it dies, and what tells when it serves, until cancelled."""

    name: str
    start: Callable[[], Awaitable[Process]]
    log: Path
    watch: Watch


@dataclass(frozen=True)
class Status:
    """What is known of a process. `note`: why it is in this state, where that is news."""

    name: str
    state: State = State.STARTING
    pid: int | None = None
    restarts: int = 0
    note: str = ""


class _Run(NamedTuple):
    """How a process ended, whether it ever served, and whether another would end in the same way."""

    ending: str
    served: bool = False
    hopeless: bool = False


class FalseStart(Exception):
    """A process ended before it ever served, again and again, or in a way that starting it again does not mend."""

    def __init__(self, status: Status, log: Path) -> None:
        super().__init__(f"{status.name} does not start: {status.note}. Its log, {log}, ends with: {last_line(log)}")


class Supervisor:
    """Runs the processes within an `async with` block, and tells `report` of each change."""

    def __init__(
        self, specs: Sequence[Spec], report: Callable[[Status], None], kill_after_s: float = KILL_AFTER_S
    ) -> None:
        self._kill_after_s = kill_after_s
        self._specs = {spec.name: spec for spec in specs}
        self._report = report
        self._changed = asyncio.Event()
        self._processes: dict[str, Process] = {}
        self._watching: dict[str, asyncio.Future[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self.statuses = {spec.name: Status(spec.name) for spec in specs}

    async def __aenter__(self) -> "Supervisor":
        self._tasks = [asyncio.create_task(self._keep(spec)) for spec in self._specs.values()]
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    async def until(self, reached: Callable[[Mapping[str, Status]], bool], timeout_s: float) -> bool:
        """Wait for a state of things; whether it came in time. Raises FalseStart."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not reached(self.statuses):
                    self._raise_false_start()
                    self._changed.clear()
                    await self._changed.wait()
                return True
        return reached(self.statuses)

    async def until_serving(self, timeout_s: float) -> bool:
        """Wait until all serve; whether they do. Raises FalseStart."""
        return await self.until(
            lambda statuses: all(each.state is State.SERVING for each in statuses.values()), timeout_s
        )

    async def stop(self) -> None:
        """SIGTERM to all, a bounded wait, SIGKILL to those left."""
        self._stop.set()
        for watching in self._watching.values():
            # A service that drains would wait for the call that watches it.
            watching.cancel()
        self.send(signal.SIGTERM)
        _, late = await asyncio.wait(self._tasks, timeout=self._kill_after_s)
        if late:
            self.send(signal.SIGKILL)
            await asyncio.wait(late)

    def send(self, number: signal.Signals) -> None:
        """Send every running process a signal."""
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(number)

    async def _keep(self, spec: Spec) -> None:
        wait_s, starts, ever_served = BACKOFF_S[0], 0, False
        while not self._stop.is_set():
            started = time.monotonic()
            run = await self._run_once(spec)
            if self._stop.is_set():
                break
            starts, ever_served = starts + 1, ever_served or run.served
            if not ever_served and (run.hopeless or starts >= MOST_FALSE_STARTS):
                note = run.ending if run.hopeless else f"{run.ending}, {starts} times"
                self._set(spec.name, state=State.STOPPED, pid=None, note=note)
                return
            if time.monotonic() - started > STEADY_S:
                wait_s = BACKOFF_S[0]
            note = f"{run.ending}; starts again in {wait_s:g} s"
            self._set(spec.name, state=State.WAITING, pid=None, restarts=starts, note=note)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stop.wait()
            wait_s = min(wait_s * 2, BACKOFF_S[1])
        self._set(spec.name, state=State.STOPPED, pid=None, note="")

    async def _run_once(self, spec: Spec) -> _Run:
        """Run the process to its end."""
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            process = await spec.start()
        except OSError as error:
            return _Run(f"could not be started: {error}")
        self._processes[spec.name] = process
        if self._stop.is_set():
            process.send_signal(signal.SIGTERM)
        self._set(spec.name, state=State.STARTING, pid=process.pid, note="")
        served = False

        def heard(serving: bool) -> None:
            nonlocal served
            served = served or serving
            if process.returncode is None:
                self._set(spec.name, state=State.SERVING if serving else State.NOT_SERVING, note="")

        watching = self._watching[spec.name] = asyncio.ensure_future(spec.watch(heard))
        try:
            code = await process.wait()
        finally:
            await ended(watching)
        return _Run(_ending(code), served, hopeless=code == WRONG_SETTINGS)

    def _set(self, name: str, **changes: object) -> None:
        status = replace(self.statuses[name], **changes)  # type: ignore[arg-type]
        if status != self.statuses[name]:
            self.statuses[name] = status
            self._changed.set()
            self._report(status)

    def _raise_false_start(self) -> None:
        for status in self.statuses.values():
            if status.state is State.STOPPED and not self._stop.is_set():
                raise FalseStart(status, self._specs[status.name].log)


def last_line(log: Path) -> str:
    """The last line of a log that says something; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if _says_something(line)]
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""


def _says_something(line: str) -> bool:
    # Pydantic's last line on a wrong setting is where to read about it.
    return bool(line.strip()) and not line.strip().startswith("For further information visit")


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with status {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
