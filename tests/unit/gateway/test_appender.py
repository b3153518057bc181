"""How publishes share transactions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from autodev_gateway.event_log import appender
from autodev_gateway.event_log.appender import BUSY, AppendBounds, Appender
from autodev_gateway.event_log.appending import Stamp, Written
from autodev_gateway.event_log.model import Draft
from autodev_gateway.event_log.tail import Tail
from autodev_runtime.errors import Unavailable
from autodev_sdk.ending import ended
from autodev_sdk.events import uuid7

PATIENCE_S = 10


class Engine:
    """Writes once it is let; notes how many events each transaction has."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.let = asyncio.Event()

    async def append(self, stamp: Stamp, followed: int) -> Written:
        batch = stamp(followed)
        self.batches.append(len(batch))
        await self.let.wait()
        return Written(batch, {}, ())


@contextlib.asynccontextmanager
async def appending(engine: Any, bounds: AppendBounds) -> AsyncIterator[Appender]:
    made = Appender(engine, Tail(0, 1024 * 1024), bounds, lambda appended: None)
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        await ended(running)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest_asyncio.fixture
async def log(engine: Engine) -> AsyncIterator[Appender]:
    async with appending(engine, AppendBounds()) as made:
        yield made


def publish(log: Appender, count: int) -> list["asyncio.Future[list[int]]"]:
    return [log.enqueue([Draft("acme", uuid7(), 22, "ada", "", b"body")]) for _ in range(count)]


async def places(publishes: Sequence["asyncio.Future[list[int]]"]) -> list[int]:
    found = await asyncio.wait_for(asyncio.gather(*publishes), PATIENCE_S)
    return [place for each in found for place in each]


async def test_few_publishes_are_not_kept_waiting(
    engine: Engine, log: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "APART_S", 3600.0)
    engine.let.set()
    for _ in range(3):
        assert len(await places(publish(log, BUSY - 1))) == BUSY - 1
    assert engine.batches == [BUSY - 1] * 3


async def test_where_many_publish_more_are_waited_for(
    engine: Engine, log: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "APART_S", 0.3)
    engine.let.set()
    await places(publish(log, BUSY))
    first = publish(log, 1)
    await asyncio.sleep(0.05)
    found = await places([*first, *publish(log, 2)])
    assert engine.batches == [BUSY, 3]
    assert found == sorted(found)


async def test_a_transaction_that_takes_longer_than_that_is_waited_for_alone(
    engine: Engine, log: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "APART_S", 0.2)
    first = publish(log, BUSY)
    await asyncio.sleep(0.25)
    monkeypatch.setattr(asyncio, "sleep", _no_more_waiting)
    engine.let.set()
    await places([*first, *publish(log, 1)])
    assert engine.batches == [BUSY, 1]


async def test_as_many_as_a_transaction_holds_wait_for_no_more(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appender, "APART_S", 3600.0)
    async with appending(engine, AppendBounds(batch_events=BUSY)) as log:
        engine.let.set()
        await places(publish(log, 3 * BUSY))
    assert engine.batches == [BUSY] * 3


async def test_what_is_queued_when_the_log_stops_is_told_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appender, "APART_S", 3600.0)
    engine.let.set()
    async with appending(engine, AppendBounds()) as log:
        await places(publish(log, BUSY))
        waiting = publish(log, 1)
        await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="stops"):
        await places(waiting)


async def _no_more_waiting(seconds: float) -> None:
    raise AssertionError(f"waits {seconds} s")
