"""One call of EventService.PublishStream."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import NamedTuple

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway.audit.acts import ActRecorder
from autodev_gateway.event_log import Draft, EventLog, cursor_of
from autodev_gateway.publishing import drafts_of
from autodev_runtime.errors import ResourceExhausted
from autodev_runtime.identity import current_identity
from autodev_runtime.spans import publishing
from autodev_runtime.tracing import current_trace
from autodev_sdk.ending import ended

BATCHES_AHEAD = 64
EVENTS_AHEAD = 2_000
BYTES_AHEAD = 8 * 1024 * 1024


class _Batch(NamedTuple):
    """A batch on its way to the disk and to its answer."""

    event_ids: list[str]
    size_bytes: int
    appended: "asyncio.Future[list[int]]"


class PublishStream:
    """Appends a publisher's batches in order, some ahead of their answers."""

    def __init__(self, log: EventLog, acts: ActRecorder, max_event_bytes: int) -> None:
        self._log = log
        self._acts = acts
        self._max_event_bytes = max_event_bytes
        self._publisher, self._trace = current_identity(), current_trace()
        self._unanswered: asyncio.Queue[_Batch | None] = asyncio.Queue(BATCHES_AHEAD)
        self._appending: deque[_Batch] = deque()
        self._events = self._bytes = 0
        """What these are."""

    async def answers(
        self, requests: AsyncIterator[pb.PublishStreamRequest]
    ) -> AsyncGenerator[pb.PublishStreamResponse]:
        """Each batch's answer, once it is on disk. Raises InvalidArgument, PermissionDenied, ResourceExhausted,
        Unavailable."""
        reader = asyncio.create_task(self._append_each(requests))
        try:
            while (batch := await self._unanswered.get()) is not None:
                yield pb.PublishStreamResponse(cursors=map(cursor_of, await batch.appended), event_ids=batch.event_ids)
            await reader
        finally:
            await ended(reader)

    async def _append_each(self, requests: AsyncIterator[pb.PublishStreamRequest]) -> None:
        try:
            async for request in requests:
                with publishing(len(request.events), self._trace) as within:
                    drafts = drafts_of(request.events, self._publisher, within, self._max_event_bytes)
                await self._acts.record(drafts, self._publisher)
                await self._unanswered.put(await self._append(drafts))
        finally:
            # The answers of the batches before come first, then the error.
            with contextlib.suppress(asyncio.CancelledError):
                await self._unanswered.put(None)

    async def _append(self, drafts: Sequence[Draft]) -> _Batch:
        """Queue a batch for the log, of which one stream may not take all. Raises ResourceExhausted."""
        size_bytes = sum(len(draft.body) for draft in drafts)
        while self._events + len(drafts) > EVENTS_AHEAD or self._bytes + size_bytes > BYTES_AHEAD:
            if not await self._first_appended():
                break
        batch = _Batch([draft.event_id for draft in drafts], size_bytes, await self._enqueued(drafts))
        self._appending.append(batch)
        self._events += len(drafts)
        self._bytes += size_bytes
        return batch

    async def _enqueued(self, drafts: Sequence[Draft]) -> "asyncio.Future[list[int]]":
        """As the log does it; where that is busy, once batches of this stream are out of its way."""
        while True:
            try:
                return self._log.enqueue(drafts)
            except ResourceExhausted:
                if not await self._first_appended():
                    raise

    async def _first_appended(self) -> bool:
        """Wait for the first batch that may not be on disk. Returns whether there was one."""
        if not self._appending:
            return False
        first = self._appending.popleft()
        await asyncio.wait([first.appended])
        self._events -= len(first.event_ids)
        self._bytes -= first.size_bytes
        return True
