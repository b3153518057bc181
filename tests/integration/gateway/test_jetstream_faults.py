"""Appends whose requests or answers are lost, or come late, at two gateways on one stream: a list without repeats."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodev_gateway.event_log import ALL_EVENTS, Draft, EventLog, LogOptions, PageBounds
from autodev_gateway.event_log.jetstream import engine as jetstream
from autodev_gateway.event_log.jetstream.connection import connected
from autodev_gateway.event_log.jetstream.index import Index
from autodev_gateway.event_log.jetstream.stream import Message, Moved, Stream
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.settings import GatewaySettings
from autodev_runtime.errors import Unavailable
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.migrations import upgrade
from tests.integration.gateway.test_log_model import CALLS, Model, read_on
from tests.nats import NatsServer
from tests.storage import Storage

GATEWAYS = 2


class Fault(Enum):
    """What happens to an append on its way."""

    NONE = "none"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    LATE = "late"
    """The server gets it after the sender has given up on it, and tried again."""


class Unreliable:
    """A stream with faults: of appends, in turn; then none."""

    def __init__(self, stream: Stream, faults: Sequence[Fault]) -> None:
        self._stream = stream
        self._faults = list(faults)
        self._late: list[tuple[Sequence[Message], int]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    async def append(self, messages: Sequence[Message], after: int) -> int:
        fault = self._faults.pop(0) if self._faults else Fault.NONE
        if fault in (Fault.NONE, Fault.ANSWER_LOST):
            last = await self._stream.append(messages, after)
            await self._arrive()
            if fault is Fault.NONE:
                return last
        elif fault is Fault.LATE:
            self._late.append((messages, after))
        raise Unavailable("it is on purpose", reason="LOG_UNAVAILABLE")

    async def _arrive(self) -> None:
        late, self._late = self._late, []
        for messages, after in late:
            with contextlib.suppress(Moved):
                await self._stream.append(messages, after)


@contextlib.asynccontextmanager
async def running_log(storage: Storage, faults: Sequence[Fault]) -> AsyncIterator[EventLog]:
    """The log of one gateway, with a database of its own."""
    assert storage.stream is not None
    options = GatewaySettings(**storage.stream.settings).nats_options
    storage.directory.mkdir()
    async with storage.open("gateway") as database, connected(options) as stream:
        await upgrade(database, "autodev_gateway")
        engine = jetstream.JetStreamEngine(Unreliable(stream, faults), Index(database, EventStore(database)))  # type: ignore[arg-type]
        log = await EventLog.open(engine, LogOptions(tail_bytes=500))
        running = asyncio.create_task(log.run())
        yield log
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def check(
    server: NatsServer, calls: list[tuple[int, list[list[Draft]]]], faults: tuple[list[Fault], list[Fault]]
) -> None:
    model = Model()
    stream = server.stream()
    with tempfile.TemporaryDirectory() as directory:
        async with contextlib.AsyncExitStack() as stack:
            logs = [
                await stack.enter_async_context(
                    running_log(Storage(Path(directory) / str(number), stream=stream), faults[number])
                )
                for number in range(GATEWAYS)
            ]
            placed = await asyncio.gather(
                *(logs[number].append(drafts) for number, several in calls for drafts in several)
            )
            for drafts, places in zip([drafts for _, several in calls for drafts in several], placed, strict=True):
                model.appended(drafts, places)
            # A gateway that starts now, without a database, sees the same.
            logs.append(
                await stack.enter_async_context(running_log(Storage(Path(directory) / "new", stream=stream), []))
            )
            for log in logs:
                await log.catch_up()
                found = await read_on(log, ALL_TENANTS, ALL_EVENTS, PageBounds(5, 1000))
                expected = model.expected(ALL_TENANTS, ALL_EVENTS, 0)
                assert [place for place, _ in found] == [place for place, _ in expected]
    stream.delete()


FAULTS = st.lists(st.sampled_from(Fault), max_size=5)


@settings(max_examples=15)
@given(calls=st.lists(st.tuples(st.integers(0, 1), CALLS), min_size=1, max_size=4), faults=st.tuples(FAULTS, FAULTS))
def test_whatever_gets_lost_on_the_way_each_event_is_there_once(
    nats_server: NatsServer, calls: list[tuple[int, list[list[Draft]]]], faults: tuple[list[Fault], list[Fault]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jetstream, "RETRY_S", 0)
        asyncio.run(check(nats_server, calls, faults))
