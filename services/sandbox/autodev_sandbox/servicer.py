"""Serves autodev.sandbox.v1: translates, and sends what streams as it comes; the dispatcher decides."""

import itertools
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceServicer
from autodev_runtime.identity import current_tenant
from autodev_sandbox.ceiling import Ceiling
from autodev_sandbox.dispatcher import Dispatcher
from autodev_sandbox.execution import CallOutcome, Outcome, Stream
from autodev_sandbox.feed import Feed, fed_by
from autodev_sandbox.sizes import by_size
from autodev_sandbox.translating import (
    LEVELS,
    calls_from,
    execution_from,
    level_from,
    response_from,
    result_from,
    sharing_from,
    within,
)

MESSAGE_BYTES = 256 * 1024
# As much as an execution may print is made at once; a batch waits for its reader at this.
WAITING_BYTES = 2 * 1024 * 1024

Said = tuple[Stream, bytes]
Happening = Said | pb.ExecuteStreamResponse


class SandboxServicer(SandboxServiceServicer):
    """The RPCs. Each runs its code as the tenant of the call."""

    def __init__(self, dispatcher: Dispatcher, ceiling: Ceiling) -> None:
        self._dispatcher = dispatcher
        self._ceiling = ceiling

    async def Execute(self, request: pb.ExecuteRequest, context: Any) -> pb.ExecuteResponse:
        started_s = time.monotonic()
        execution = execution_from(request, self._ceiling)
        outcome = await self._dispatcher.execute(execution, current_tenant(), request.execution_id)
        return await self._response(outcome, started_s)

    async def ExecuteStream(
        self, request: pb.ExecuteStreamRequest, context: Any
    ) -> AsyncIterator[pb.ExecuteStreamResponse]:
        started_s = time.monotonic()
        with within("execution"):
            execution = execution_from(request.execution, self._ceiling)
        name = request.execution.execution_id or uuid.uuid4().hex
        tenant = current_tenant()

        async def run(feed: Feed[Happening]) -> None:
            started = pb.ExecuteStreamResponse(started=pb.ExecutionStarted(execution_id=name))
            outcome = await self._dispatcher.execute(
                execution,
                tenant,
                name,
                heard=lambda stream, data: feed.put((stream, data), len(data)),
                accepted=lambda: feed.put(started, 0),
            )
            finished = await self._response(outcome, started_s)
            feed.put(pb.ExecuteStreamResponse(finished=finished), finished.ByteSize())

        async with fed_by(run, WAITING_BYTES) as feed:
            while happenings := await feed.take(MESSAGE_BYTES):
                for message in _messages_of(happenings):
                    yield message

    async def ExecuteBatch(
        self, request: pb.ExecuteBatchRequest, context: Any
    ) -> AsyncIterator[pb.ExecuteBatchResponse]:
        calls, sharing = calls_from(request, self._ceiling), sharing_from(request)
        tenant, name = current_tenant(), request.execution_id

        async def run(feed: Feed[pb.InputResult]) -> None:
            await self._dispatcher.batch(calls, tenant, sharing, _Results(feed, self._ceiling), name)

        async with fed_by(run, WAITING_BYTES) as feed:
            while results := await feed.take(MESSAGE_BYTES):
                yield pb.ExecuteBatchResponse(results=results)

    async def Cancel(self, request: pb.CancelRequest, context: Any) -> pb.CancelResponse:
        self._dispatcher.cancel(current_tenant(), request.execution_id)
        return pb.CancelResponse()

    async def GetSandboxStatus(self, request: pb.GetSandboxStatusRequest, context: Any) -> pb.GetSandboxStatusResponse:
        levels, turns = self._dispatcher.levels, self._dispatcher.turns
        default = levels.best(levels.minimum)
        return pb.GetSandboxStatusResponse(
            levels=map(level_from, levels.statuses()),
            default_isolation=LEVELS[default] if default else pb.ISOLATION_LEVEL_UNSPECIFIED,
            running=turns.running,
            waiting=turns.waiting,
        )

    async def _response(self, outcome: Outcome, started_s: float) -> pb.ExecuteResponse:
        return await by_size(
            outcome.value_bytes, response_from, outcome, time.monotonic() - started_s, self._ceiling.answer_bytes
        )


class _Results:
    """The outcomes of a batch on their way to its client."""

    def __init__(self, feed: Feed[pb.InputResult], ceiling: Ceiling) -> None:
        self._feed = feed
        self._ceiling = ceiling

    async def give(self, call: CallOutcome) -> None:
        result = await by_size(call.outcome.value_bytes, result_from, call, self._ceiling)
        self._feed.put(result, result.ByteSize())

    async def room(self) -> None:
        await self._feed.room()


def _messages_of(happenings: Iterable[Happening]) -> Iterator[pb.ExecuteStreamResponse]:
    """A message each; what was printed to one stream in a row is one."""
    for stream, group in itertools.groupby(happenings, lambda each: each[0] if isinstance(each, tuple) else None):
        if stream is None:
            yield from (each for each in group if isinstance(each, pb.ExecuteStreamResponse))
            continue
        said = b"".join(each[1] for each in group if isinstance(each, tuple))
        yield (
            pb.ExecuteStreamResponse(stdout=said) if stream is Stream.STDOUT else pb.ExecuteStreamResponse(stderr=said)
        )
