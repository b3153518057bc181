"""The consumer groups that this gateway serves now, each in a task of its own."""

import asyncio
from collections.abc import Mapping

from autodev_gateway import metrics
from autodev_gateway.event_log import EventLog
from autodev_gateway.groups.runner import GroupRunner
from autodev_gateway.groups.store import GroupKey
from autodev_runtime.identity import ALL_TENANTS
from autodev_sdk.ending import ended


class Runners:
    """Starts and ends groups, and tells how far those that work for all are behind."""

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log
        self._runners: dict[GroupKey, GroupRunner] = {}
        self._tasks: dict[GroupRunner, asyncio.Task[None]] = {}

    def __contains__(self, key: GroupKey) -> bool:
        return key in self._runners

    def get(self, key: GroupKey) -> GroupRunner | None:
        """The group, if this gateway serves it."""
        return self._runners.get(key)

    def all(self) -> list[GroupRunner]:
        """Those that are served at this moment."""
        return list(self._runners.values())

    def start(self, runner: GroupRunner) -> GroupRunner:
        """Serve a group from now on."""
        self._runners[runner.key] = runner
        task = asyncio.create_task(runner.run())
        self._tasks[runner] = task
        task.add_done_callback(lambda _: self._tasks.pop(runner))
        return runner

    def end(self, runner: GroupRunner) -> None:
        """Another gateway serves the group, or may do so: nothing of this one's is delivered or stored any more."""
        if self._runners.get(runner.key) is runner:
            del self._runners[runner.key]
            if runner.key.tenant == ALL_TENANTS:
                # How far it was behind here would be told for ever.
                metrics.GROUP_LAG.remove(runner.key.name)
        if (task := self._tasks.get(runner)) is not None:
            task.cancel()
        runner.end()

    async def stop(self) -> None:
        """Deliver nothing any more. What the groups did can be stored until they are forgotten."""
        for runner in self._runners.values():
            runner.end()
        await ended(*self._tasks.values())

    def forget(self) -> None:
        """Serve none any more."""
        self._runners.clear()

    def measure(self) -> None:
        """Tell how far the groups that work for all are behind."""
        for key, runner in self._runners.items():
            if key.tenant == ALL_TENANTS:
                self._tell(key.name, runner.ledger.position)

    def measure_others(self, positions: Mapping[str, int]) -> None:
        """The same of those that are not served here, by how far they are stored: nobody may serve them at all."""
        for name, position in positions.items():
            if GroupKey(ALL_TENANTS, name) not in self._runners:
                self._tell(name, position)

    def _tell(self, name: str, position: int) -> None:
        # Places are times, in microseconds.
        metrics.GROUP_LAG.labels(name).set(max(0, self._log.head - position) / 1_000_000)
