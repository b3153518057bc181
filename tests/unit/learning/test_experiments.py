"""An experiment's bounds and states, and its store: each step once, whatever crashes."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from autodev.gateway.v1.event_pb2 import Event
from autodev_learning.advisor import Figures, guidance_for
from autodev_learning.evolution.experiments import (
    Experiment,
    ExperimentBudget,
    ExperimentState,
    Step,
    StopReason,
    ended,
    in_turn,
    reason_to_stop,
    with_step,
)
from autodev_learning.evolution.islands import Plan
from autodev_learning.rows import OutboxRow
from autodev_learning.store.experiments import ExperimentStore
from autodev_runtime.database import Database
from autodev_runtime.errors import NotFound, ResourceExhausted
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_sdk.ending import results_of
from tests.storage import Storage

START = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = ExperimentBudget(max_iterations=3, max_wall_time=timedelta(minutes=1), max_tokens=100, max_cost_usd=1.0)
LONG = ExperimentBudget(max_iterations=100)
DEFAULT_PLAN = Plan()
GUIDANCE = guidance_for(Figures())
MOST = 4


def experiment(*steps: Step, budget: ExperimentBudget = BUDGET, plan: Plan = DEFAULT_PLAN) -> Experiment:
    return Experiment("e-1", "r-1", "skill", "1.0.0", "agent", budget, START, plan, steps=steps)


def step(number: int, *, kept: bool = False, tokens: int = 0, cost_usd: float = 0.0, evaluated: int = 1) -> Step:
    return Step(number, f"m-{number}", "tried", kept, 0.5, 0.5 + number / 10, tokens, cost_usd, evaluated)


@pytest.mark.parametrize(
    ("state", "after_s", "expected"),
    [
        (experiment(), 0, None),
        (experiment(step(1), step(2)), 59, None),
        (experiment(step(1), step(2), step(3)), 0, StopReason.ITERATIONS),
        (experiment(step(1)), 60, StopReason.WALL_TIME),
        (experiment(step(1, tokens=60), step(2, tokens=40)), 1, StopReason.TOKENS),
        (experiment(step(1, cost_usd=1.5)), 1, StopReason.MONEY),
        (experiment(step(1), step(2), budget=LONG, plan=Plan(patience=3)), 1, None),
        (experiment(step(1), step(2), step(3), budget=LONG, plan=Plan(patience=3)), 1, StopReason.PLATEAU),
        (experiment(step(1, kept=True), step(2), step(3), budget=LONG, plan=Plan(patience=3)), 1, None),
        (experiment(*(step(n, evaluated=0) for n in (1, 2)), budget=LONG), 1, None),
        (experiment(*(step(n, evaluated=0) for n in (1, 2, 3)), budget=LONG), 1, StopReason.NO_MORE_IDEAS),
    ],
)
def test_the_bound_that_is_met_stops_it(state: Experiment, after_s: float, expected: StopReason | None) -> None:
    assert reason_to_stop(state, START + timedelta(seconds=after_s)) is expected


def test_the_best_is_the_last_that_was_kept() -> None:
    state = with_step(with_step(with_step(experiment(), step(1, kept=True)), step(2)), step(3, kept=True))
    assert (state.best_mutation_id, state.best_fitness) == ("m-3", 0.8)
    assert with_step(experiment(), step(1)).best_mutation_id == ""


@pytest.mark.parametrize("number", [0, 1, 3])
def test_steps_come_one_after_the_other(number: int) -> None:
    with pytest.raises(ValueError, match="cannot follow"):
        with_step(experiment(step(1)), step(number))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ExperimentState.RUNNING, ExperimentState.SUCCEEDED),
        (ExperimentState.CANCELLED, ExperimentState.CANCELLED),
        (ExperimentState.FAILED, ExperimentState.FAILED),
    ],
)
def test_the_end_keeps_what_stopped_it(before: ExperimentState, after: ExperimentState) -> None:
    over = ended(replace(experiment(), state=before), START)
    assert (over.state, over.ended_at) == (after, START)


@given(st.lists(st.booleans(), max_size=8))
def test_any_steps_add_up(kept: list[bool]) -> None:
    state = experiment(budget=replace(BUDGET, max_iterations=100))
    for number, is_kept in enumerate(kept, start=1):
        state = with_step(state, step(number, kept=is_kept, tokens=1, cost_usd=0.01))
    assert state.tokens_used == len(kept)
    assert state.best_mutation_id == next((f"m-{n}" for n in range(len(kept), 0, -1) if kept[n - 1]), "")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12), st.randoms())
def test_tenants_experiments_are_taken_up_in_turns(made: list[tuple[str, bool]], chance: random.Random) -> None:
    ids = [f"{number:02}" for number in range(len(made))]
    unfinished = [(tenant, each) for each, (tenant, _) in zip(ids, made, strict=True)]
    at_work = {each for each, (_, works) in zip(ids, made, strict=True) if works}
    waiting = {each for each in unfinished if each[1] not in at_work}
    have = Counter(tenant for tenant, each in unfinished if each in at_work)
    chance.shuffle(unfinished)
    taken = in_turn(unfinished, at_work)
    assert sorted(taken) == sorted(waiting)
    for tenant, each in taken:
        fewest = min(have[other] for other, _ in waiting)
        assert have[tenant] == fewest
        assert each == min(other for name, other in waiting if have[name] == fewest)
        waiting.remove((tenant, each))
        have[tenant] += 1


@pytest_asyncio.fixture
async def database(storage: Storage) -> AsyncIterator[Database]:
    async with storage.open("learning") as opened:
        await upgrade(opened, "autodev_learning")
        with acting_as(service_identity("learning", "acme")):
            yield opened


async def progress(database: Database) -> list[tuple[int, bool]]:
    async with database.reading("acme") as session:
        events = [Event.FromString(row.event) for row in await session.scalars(select(OutboxRow))]
    seen = [event.experiment_progressed for event in events if event.WhichOneof("payload") == "experiment_progressed"]
    return [(each.iterations_done, each.ended) for each in seen]


async def test_a_step_is_stored_and_announced_once(database: Database) -> None:
    store = ExperimentStore(database, Outbox(database, OutboxRow), MOST)
    stored = await store.add(experiment())
    await store.add_step(stored.id, step(1, kept=True))
    again = await store.add_step(stored.id, step(1, kept=True))
    assert again == await store.get(stored.id) == with_step(experiment(), step(1, kept=True))
    assert await progress(database) == [(1, False)]


async def test_a_request_makes_one_experiment(database: Database) -> None:
    store = ExperimentStore(database, Outbox(database, OutboxRow), MOST)
    first = await store.add(experiment())
    assert await store.add(replace(experiment(), id="e-2")) == first == await store.find("r-1")


async def test_a_workspace_has_so_many_experiments_however_many_replicas_start_at_once(
    database: Database, storage: Storage
) -> None:
    async with storage.open("learning") as other:
        stores = [ExperimentStore(each, Outbox(each, OutboxRow), MOST) for each in (database, other)]

        async def start(number: int) -> str:
            wanted = replace(experiment(), id=f"e-{number}", request_id=f"r-{number}")
            try:
                return (await stores[number % 2].add(wanted)).id
            except ResourceExhausted:
                return ""

        started = list(filter(None, await results_of(*map(start, range(50)))))
        assert len(started) == len(await stores[0].unfinished()) == MOST
        with pytest.raises(ResourceExhausted, match="its most"):
            await stores[1].refuse_if_full("r-new")
        # What was started is not refused, and what is over makes room.
        again = await stores[1].add(replace(experiment(), id="e-again", request_id=f"r-{started[0][2:]}"))
        assert again.id == started[0]
        await stores[0].end(started[0], START, None)
        await stores[1].refuse_if_full("r-new")
        with acting_as(service_identity("learning", "globex")):
            await stores[0].add(replace(experiment(), id="e-globex"))


async def test_a_cancelled_experiment_keeps_the_step_it_was_at_and_ends_once(database: Database) -> None:
    store = ExperimentStore(database, Outbox(database, OutboxRow), MOST)
    await store.add(experiment())
    cancelled = await store.stop("e-1", "cancelled by ann", ExperimentState.CANCELLED)
    assert (cancelled.state, cancelled.ended_at) == (ExperimentState.CANCELLED, None)
    assert (await store.stop("e-1", "iterations", ExperimentState.RUNNING)).stop_reason == "cancelled by ann"
    assert await store.unfinished() == [("acme", "e-1")]
    await store.add_step("e-1", step(1))
    over = await store.end("e-1", START, GUIDANCE)
    assert (over.state, len(over.steps), over.ended_at) == (ExperimentState.CANCELLED, 1, START)
    assert await store.end("e-1", START + timedelta(hours=1), GUIDANCE) == over
    assert await store.unfinished() == []
    assert await progress(database) == [(1, False), (1, True)]


async def test_another_tenants_experiment_is_not_found(database: Database) -> None:
    store = ExperimentStore(database, Outbox(database, OutboxRow), MOST)
    await store.add(experiment())
    with acting_as(service_identity("learning", "globex")), pytest.raises(NotFound):
        await store.get("e-1")
