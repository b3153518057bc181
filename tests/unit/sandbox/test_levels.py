import asyncio
import time
from collections.abc import Sequence

import pytest

from autodev_runtime.errors import FailedPrecondition
from autodev_sandbox import levels as module
from autodev_sandbox.backends import PoolStatus
from autodev_sandbox.execution import IsolationLevel, Limits
from autodev_sandbox.levels import Levels
from tests.unit.sandbox.machines import Machine

NAMESPACE, CONTAINER = IsolationLevel.NAMESPACE, IsolationLevel.CONTAINER


async def probed(machines: Sequence[Machine], minimum: IsolationLevel = NAMESPACE) -> Levels:
    levels = Levels(machines, minimum)
    await levels.probe()
    return levels


async def taken(levels: Levels, asked: IsolationLevel | None = None) -> IsolationLevel:
    _, sandbox = await levels.take(await levels.required(asked), Limits())
    return sandbox.level


async def test_the_strongest_level_that_works_is_taken() -> None:
    gvisor = Machine(IsolationLevel.CONTAINER_GVISOR, there=False)
    levels = await probed([Machine(NAMESPACE), gvisor, Machine(CONTAINER)])
    assert levels.best(levels.minimum) is CONTAINER
    assert await taken(levels) is CONTAINER


async def test_an_engine_that_goes_away_makes_room_for_the_next_level() -> None:
    engine = Machine(CONTAINER)
    levels = await probed([engine, Machine(NAMESPACE)])
    engine.there = False
    assert await taken(levels) is NAMESPACE
    assert levels.best(levels.minimum) is NAMESPACE


async def test_an_engine_that_comes_back_is_used_again() -> None:
    engine = Machine(CONTAINER, there=False)
    levels = await probed([engine])
    assert not await levels.ready()
    engine.there = True
    await levels.probe()
    assert await levels.ready()


async def test_an_engine_that_is_lost_is_probed_at_once() -> None:
    engine = Machine(CONTAINER)
    levels = Levels([engine, Machine(NAMESPACE)], NAMESPACE)
    watching = asyncio.create_task(levels.watch())
    assert await taken(levels) is CONTAINER
    engine.there = False
    assert await taken(levels) is NAMESPACE
    engine.there = True
    async with asyncio.timeout(module.PROBE_AGAIN_S / 2):
        for _ in iter(lambda: levels.best(NAMESPACE), CONTAINER):
            await asyncio.sleep(0)
    watching.cancel()


async def test_a_level_that_takes_long_to_be_made_ready_is_waited_for_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Machine(CONTAINER)
    slow.ready.clear()
    levels = Levels([slow, Machine(NAMESPACE)], NAMESPACE)
    monkeypatch.setattr(module, "SETTLE_S", 0.05)
    watching = asyncio.create_task(levels.watch())
    started_s = time.monotonic()
    assert await taken(levels) is NAMESPACE
    assert time.monotonic() - started_s >= 0.05
    # Who needs the slow one waits for it.
    strong = asyncio.create_task(taken(levels, CONTAINER))
    assert await taken(levels) is NAMESPACE
    assert not strong.done()
    slow.ready.set()
    assert await strong is CONTAINER
    watching.cancel()


@pytest.mark.parametrize("idle", [True, False])
async def test_a_level_that_ran_nothing_for_a_while_is_proved_again(
    idle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Machine(CONTAINER)
    levels = await probed([engine])
    engine.there = False
    monkeypatch.setattr(module, "PROVE_AGAIN_S", -1.0 if idle else 3600.0)
    await levels.probe()
    assert await levels.ready() is not idle
    # It was not made ready once more: that could disturb what runs.
    assert engine.probes == 1


@pytest.mark.parametrize("asked", [CONTAINER, IsolationLevel.CONTAINER_GVISOR])
async def test_a_minimum_is_never_undercut(asked: IsolationLevel) -> None:
    engine = Machine(CONTAINER)
    levels = await probed([engine, Machine(NAMESPACE), Machine(IsolationLevel.PROCESS)])
    engine.there = False
    with pytest.raises(FailedPrecondition, match="AUTODEV_SANDBOX_ALLOW_PROCESS") as refused:
        await taken(levels, asked)
    assert refused.value.reason == "ISOLATION_UNAVAILABLE"


async def test_a_caller_cannot_ask_for_less_than_the_operators_minimum() -> None:
    levels = await probed([Machine(IsolationLevel.PROCESS)])
    with pytest.raises(FailedPrecondition):
        await taken(levels, IsolationLevel.PROCESS)


async def test_every_level_is_told_of_strongest_first() -> None:
    statuses = (await probed([Machine(CONTAINER, there=False), Machine(NAMESPACE)])).statuses()
    assert [status.level for status in statuses] == sorted(IsolationLevel, reverse=True)
    told = {status.level: (status.available, status.detail) for status in statuses}
    assert told[CONTAINER] == (False, "it went away")
    assert told[NAMESPACE] == (True, "it is there")
    assert told[IsolationLevel.PROCESS][1].startswith("turned off")
    namespace = next(status for status in statuses if status.level is NAMESPACE)
    assert [each.name for each in namespace.facilities] == ["levers"]
    assert namespace.pool == PoolStatus(ceiling=9)
