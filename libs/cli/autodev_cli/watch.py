"""Follows a workspace's events beside other work, and waits for those that matter."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_sdk import AutoDevClient
from autodev_sdk.ending import ended
from autodev_sdk.events import follow

HEARTBEAT_S = 0.2
READY_TIMEOUT_S = 20.0

Matches = Callable[[event_pb2.Event], bool]


class EventWatch:
    """The events since the watch began, in order. `heard` is called with each as it comes."""

    def __init__(self, mesh: AutoDevClient, heard: Callable[[event_pb2.Event], None] | None = None) -> None:
        self._mesh = mesh
        self._heard = heard
        self._news = asyncio.Condition()
        self._ready = asyncio.Event()
        self.events: list[event_pb2.Event] = []

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator["EventWatch"]:
        """Follow within the block. What is published in it is heard: the subscription stands when the block begins.

        Raises what ends the subscription for good.
        """
        following = asyncio.ensure_future(self._follow())
        ready = asyncio.ensure_future(self._ready.wait())
        try:
            await asyncio.wait((following, ready), timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
            yield self
        finally:
            await ended(following, ready)

    async def first(self, matches: Matches, timeout_s: float) -> event_pb2.Event | None:
        """The first event that matches, heard already or within the time; None when none came."""
        await self.until(lambda: any(map(matches, self.events)), timeout_s)
        return next(filter(matches, self.events), None)

    async def until(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        """Wait, looking again at each event, until `reached`; whether it was."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(reached)
        return reached()

    async def quiet(self, timeout_s: float) -> bool:
        """Wait for the next event; whether none came within the time."""
        known = len(self.events)
        return not await self.until(lambda: len(self.events) > known, timeout_s)

    async def _follow(self) -> None:
        request = event_service_pb2.SubscribeRequest(at=event_service_pb2.START_AT_NOW)
        request.heartbeat_interval.FromMilliseconds(int(HEARTBEAT_S * 1000))
        async with contextlib.aclosing(follow(self._mesh.events, request)) as answers:
            async for answer in answers:
                await self._take(answer)

    async def _take(self, answer: event_service_pb2.SubscribeResponse) -> None:
        self._ready.set()
        if not answer.events:
            return
        self.events.extend(answer.events)
        for event in answer.events:
            if self._heard is not None:
                self._heard(event)
        async with self._news:
            self._news.notify_all()
