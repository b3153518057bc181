import asyncio
import contextlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.errors import AlreadyExists, DeadlineExceeded, NotFound, ResourceExhausted
from autodev_runtime.turns import Turns
from autodev_sandbox.dispatcher import Dispatcher, Sharing
from autodev_sandbox.execution import CallOutcome, Calls, Execution, IsolationLevel, Outcome, Status
from autodev_sandbox.levels import Levels
from tests.unit.sandbox.machines import Machine

NAMESPACE, CONTAINER = IsolationLevel.NAMESPACE, IsolationLevel.CONTAINER
PATIENCE_S = 5.0


async def dispatcher(
    machines: Sequence[Machine], slots: int = 2, max_waiting: int = 10, max_batch_s: float = 60.0
) -> Dispatcher:
    made = Dispatcher(Levels(machines, NAMESPACE), Turns(slots, 0, max_waiting), max_batch_s)
    await made.levels.probe()
    return made


def started(made: Dispatcher, name: str = "", tenant: str = "a") -> "asyncio.Task[Outcome]":
    return asyncio.create_task(made.execute(Execution(""), tenant, name))


async def until(holds: Callable[[], bool]) -> None:
    """Let the others go on until it holds."""
    async with asyncio.timeout(PATIENCE_S):
        for _ in iter(holds, True):
            await asyncio.sleep(0)


async def entered(machine: Machine) -> None:
    await asyncio.wait_for(machine.entered.wait(), PATIENCE_S)


async def test_a_full_queue_refuses_and_an_emptied_one_takes_again() -> None:
    machine = Machine(NAMESPACE)
    made = await dispatcher([machine], slots=1, max_waiting=1)
    machine.go_on.clear()
    running, waiting = started(made), started(made)
    await entered(machine)
    assert (made.turns.running, made.turns.waiting) == (1, 1)
    with pytest.raises(ResourceExhausted) as refused:
        await started(made)
    assert (refused.value.reason, bool(refused.value.retry_after)) == ("QUEUE_FULL", True)
    machine.go_on.set()
    await asyncio.gather(running, waiting)
    assert (made.turns.running, made.turns.waiting, machine.in_use) == (0, 0, 0)
    assert (await started(made)).status is Status.OK


async def test_who_gives_up_waiting_leaves_the_queue() -> None:
    machine = Machine(NAMESPACE)
    made = await dispatcher([machine], slots=1, max_waiting=1)
    machine.go_on.clear()
    running, waiting = started(made), started(made)
    await entered(machine)
    assert made.turns.waiting == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert made.turns.waiting == 0
    machine.go_on.set()
    assert (await running).status is Status.OK


async def test_a_sandbox_that_never_was_there_leaves_its_execution_to_the_next_level() -> None:
    engine = Machine(CONTAINER)
    made = await dispatcher([engine, Machine(NAMESPACE)])
    engine.hollow = True
    assert (await started(made)).level is NAMESPACE
    assert made.levels.best(NAMESPACE) is NAMESPACE
    assert engine.in_use == 0


async def test_an_execution_that_is_lost_is_killed_and_not_run_again() -> None:
    engine, other = Machine(CONTAINER), Machine(NAMESPACE)
    made = await dispatcher([engine, other])
    engine.lost = True
    outcome = await started(made)
    assert (outcome.status, outcome.level) == (Status.KILLED, CONTAINER)
    assert other.taken == 0


async def test_what_runs_and_what_waits_is_cancelled_by_its_name() -> None:
    machine = Machine(NAMESPACE)
    made = await dispatcher([machine], slots=1)
    machine.go_on.clear()
    running, waiting, other = started(made, "one"), started(made, "two"), started(made, "one", tenant="b")
    await entered(machine)
    made.cancel("a", "two")
    assert (await waiting).status is Status.KILLED
    made.cancel("a", "one")
    made.cancel("a", "one")
    assert (await running).status is Status.KILLED
    machine.go_on.set()
    assert (await other).status is Status.OK
    assert (made.turns.running, made.turns.waiting, machine.in_use) == (0, 0, 0)


async def test_nothing_is_cancelled_but_the_tenants_own() -> None:
    machine = Machine(NAMESPACE)
    made = await dispatcher([machine])
    machine.go_on.clear()
    running = started(made, "one")
    await entered(machine)
    for tenant, name in (("b", "one"), ("a", "other"), ("a", "")):
        with pytest.raises(NotFound):
            made.cancel(tenant, name)
    with pytest.raises(AlreadyExists):
        await started(made, "one")
    machine.go_on.set()
    assert (await running).status is Status.OK
    with pytest.raises(NotFound):
        made.cancel("a", "one")
    assert (await started(made, "one")).status is Status.OK


async def test_a_caller_that_goes_is_no_cancelled_execution() -> None:
    machine = Machine(NAMESPACE)
    made = await dispatcher([machine])
    machine.go_on.clear()
    running = started(made, "one")
    await entered(machine)
    made.cancel("a", "one")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


class Results(list[CallOutcome]):
    """What a batch gives, and whether its reader has room for more. `making`: how long it is until it has one, in turns
    of others."""

    def __init__(self, making: int = 0) -> None:
        super().__init__()
        self.making = making
        self.has_room = asyncio.Event()
        self.has_room.set()

    async def give(self, call: CallOutcome) -> None:
        for _ in range(self.making):
            await asyncio.sleep(0)
        self.append(call)

    async def room(self) -> None:
        await self.has_room.wait()

    @property
    def told(self) -> list[tuple[int, Status]]:
        return [(each.index, each.outcome.status) for each in self]


def calls(count: int) -> Calls:
    return Calls("", "f", [{}] * count)


@pytest.mark.parametrize(("sharing", "sandboxes"), [(Sharing.NOTHING, 3), (Sharing.INTERPRETER, 1)])
async def test_a_batch_answers_every_input_in_order(sharing: Sharing, sandboxes: int) -> None:
    machine, results = Machine(NAMESPACE), Results()
    await (await dispatcher([machine])).batch(calls(3), "a", sharing, results)
    assert results.told == [(0, Status.OK), (1, Status.OK), (2, Status.OK)]
    assert (machine.taken, machine.in_use) == (sandboxes, 0)


@pytest.mark.parametrize("sharing", Sharing)
async def test_of_a_batch_no_input_is_lost_with_a_sandbox_that_never_was_there(sharing: Sharing) -> None:
    engine, results = Machine(CONTAINER), Results()
    made = await dispatcher([engine, Machine(NAMESPACE)])
    engine.hollow = True
    await made.batch(calls(3), "a", sharing, results)
    assert results.told == [(0, Status.OK), (1, Status.OK), (2, Status.OK)]
    assert {each.outcome.level for each in results} == {NAMESPACE}
    assert (engine.taken, engine.in_use, made.turns.running) == (1, 0, 0)


async def test_another_tenant_has_its_turn_between_the_inputs_of_a_batch() -> None:
    machine, results = Machine(NAMESPACE), Results()
    made = await dispatcher([machine], slots=1, max_waiting=1)
    results.has_room.clear()
    batch = asyncio.create_task(made.batch(calls(5), "a", Sharing.NOTHING, results))
    await entered(machine)
    other = started(made, tenant="b")
    await until(lambda: made.turns.waiting > 0)
    results.has_room.set()
    await other
    assert len(results) < 5
    await batch
    assert len(results) == 5


@pytest.mark.parametrize("sharing", Sharing)
async def test_the_inputs_that_a_cancelled_batch_has_not_answered_are_killed(sharing: Sharing) -> None:
    machine, results = Machine(NAMESPACE), Results()
    made = await dispatcher([machine])
    results.has_room.clear()
    batch = asyncio.create_task(made.batch(calls(3), "a", sharing, results, "batch"))
    await until(lambda: bool(results))
    made.cancel("a", "batch")
    results.has_room.set()
    await batch
    assert results.told == [(0, Status.OK), (1, Status.KILLED), (2, Status.KILLED)]
    assert machine.in_use == 0


@given(st.sampled_from(Sharing), st.integers(0, 3), st.integers(0, 60))
def test_wherever_a_batch_is_cancelled_every_input_is_answered_once(
    sharing: Sharing, making: int, moments: int
) -> None:
    async def cancelled_after() -> Results:
        results = Results(making)
        made = await dispatcher([Machine(NAMESPACE)])
        batch = asyncio.create_task(made.batch(calls(5), "a", sharing, results, "batch"))
        await asyncio.sleep(0)
        for _ in range(moments):
            await asyncio.sleep(0)
        with contextlib.suppress(NotFound):
            made.cancel("a", "batch")
        await batch
        return results

    results = asyncio.run(cancelled_after())
    assert [each.index for each in results] == list(range(5))
    statuses = [each.outcome.status for each in results]
    assert statuses == sorted(statuses, key=[Status.OK, Status.KILLED].index)


async def test_a_batch_that_takes_too_long_ends_after_what_it_has() -> None:
    machine, results = Machine(NAMESPACE), Results()
    made = await dispatcher([machine], max_batch_s=0.05)
    results.has_room.clear()
    with pytest.raises(DeadlineExceeded):
        await made.batch(calls(3), "a", Sharing.INTERPRETER, results)
    assert results.told == [(0, Status.OK)]
    assert (made.turns.running, machine.in_use) == (0, 0)
