"""How far one stream of batches goes ahead of the disk."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway.audit.acts import ActRecorder
from autodev_gateway.event_log.appender import AppendBounds, Appender
from autodev_gateway.publish_stream import PublishStream
from autodev_runtime.errors import ResourceExhausted
from autodev_runtime.identity import Identity, acting_as
from autodev_sdk import make_event
from tests.unit.gateway.test_appender import Engine, appending, publish

PATIENCE_S = 10
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def publisher() -> Iterator[None]:
    with acting_as(Identity("acme", "agent", frozenset())):
        yield


@pytest.fixture
def engine() -> Engine:
    return Engine()


def batch(events: int, size_bytes: int) -> pb.PublishStreamRequest:
    task = event_pb2.TaskEvent(
        episode_id="e-1", agent_id="ada", code="x" * size_bytes, outcome=event_pb2.OUTCOME_FAILURE
    )
    return pb.PublishStreamRequest(events=[make_event(task) for _ in range(events)])


class Publisher:
    """Says its batches as it is asked for them, and hears the answers."""

    def __init__(self, log: Appender, batches: list[pb.PublishStreamRequest]) -> None:
        self.asked = 0
        self._batches = batches
        self._stream = PublishStream(cast(Any, log), ActRecorder(cast(Any, None)), 2 * MIB)

    async def _spoken(self) -> AsyncIterator[pb.PublishStreamRequest]:
        for each in self._batches:
            self.asked += 1
            yield each

    async def answers(self) -> list[pb.PublishStreamResponse]:
        async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(self._stream.answers(self._spoken())) as answers:
            return [answer async for answer in answers]


async def settled() -> None:
    """Everybody has done what can be done now."""
    for _ in range(500):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("events", "size_bytes", "ahead"),
    # Of small batches one is waited for, and 64 wait for their answers.
    [(10, 10, 65), (100, 10, 20), (1000, 10, 2), (1, MIB, 7), (9, MIB, 1)],
)
async def test_a_stream_is_read_no_further_than_it_may_be_ahead(
    engine: Engine, events: int, size_bytes: int, ahead: int
) -> None:
    async with appending(engine, AppendBounds()) as log:
        publisher = Publisher(log, [batch(events, size_bytes) for _ in range(ahead + 5)])
        answers = asyncio.ensure_future(publisher.answers())
        await settled()
        # The one that is not let ahead has been read.
        assert publisher.asked == ahead + 1
        engine.let.set()
        assert [len(answer.cursors) for answer in await answers] == [events] * (ahead + 5)


async def test_a_stream_that_alone_fills_the_log_waits_for_its_own_batches(engine: Engine) -> None:
    engine.let.set()
    async with appending(engine, AppendBounds(waiting_events=20)) as log:
        answers = await Publisher(log, [batch(10, 10) for _ in range(30)]).answers()
    cursors = [cursor for answer in answers for cursor in answer.cursors]
    assert len(cursors) == 300
    assert cursors == sorted(cursors)


async def test_a_stream_that_finds_the_log_full_of_others_events_is_told(engine: Engine) -> None:
    async with appending(engine, AppendBounds(waiting_events=20)) as log:
        others = publish(log, 1)
        # It is being written, and so waits no more.
        await settled()
        others += publish(log, 20)
        with pytest.raises(ResourceExhausted, match="wait to be appended"):
            await Publisher(log, [batch(10, 10)]).answers()
        engine.let.set()
        await asyncio.wait(others)
