"""Following experiments: who waits for a change of one is woken by it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from autodev_learning.evolution.experiments import Experiment
from autodev_runtime.errors import Unavailable

if TYPE_CHECKING:
    from autodev_learning.store.experiments import ExperimentStore

LOOK_AGAIN_S = 0.5
"""How soon a follower sees a step that another replica stored."""


class Followers:
    """Those who wait for changes. An experiment that nobody waits for, or that is not there, takes no memory."""

    def __init__(self, experiments: "ExperimentStore") -> None:
        self._experiments = experiments
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._draining = False

    def __len__(self) -> int:
        """Of how many experiments a change is waited for."""
        return len(self._waiting)

    async def follow(self, experiment_id: str) -> AsyncIterator[Experiment]:
        """The experiment as it is, and again after each change, until it is over.

        Raises NotFound, Unavailable (DRAINING).
        """
        sent: Experiment | None = None
        while sent is None or sent.ended_at is None:
            # Nothing is held while the follower has the experiment: it may never come back.
            with self._wakened(experiment_id) as changed:
                if self._draining:
                    raise Unavailable("the service stops; follow the experiment again", reason="DRAINING")
                experiment = await self._experiments.get(experiment_id)
                if experiment == sent:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_AGAIN_S):
                            await changed.wait()
                    continue
            yield experiment
            sent = experiment

    def wake(self, experiment_id: str) -> None:
        """The experiment has changed."""
        for changed in self._waiting.get(experiment_id, ()):
            changed.set()

    def drain(self) -> None:
        """End all following, now and from now on."""
        self._draining = True
        for experiment_id in self._waiting:
            self.wake(experiment_id)

    @contextmanager
    def _wakened(self, experiment_id: str) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        waiting = self._waiting.setdefault(experiment_id, set())
        waiting.add(changed)
        try:
            yield changed
        finally:
            waiting.discard(changed)
            if not waiting:
                del self._waiting[experiment_id]
