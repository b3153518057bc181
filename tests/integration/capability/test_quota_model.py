"""Quotas against a model: whatever is reserved, committed, released and left to lapse, no limit is ever exceeded."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodev_capability.gates import MEMENTO_SKILLS, WorkspaceSettings, day_of
from autodev_capability.maturity import Maturity
from autodev_runtime.errors import FailedPrecondition, ResourceExhausted
from tests.clock import Clock
from tests.integration.capability.parts import Parts, replica
from tests.storage import Storages

LIMIT = 3
HOLD = timedelta(minutes=10)
REQUESTS = 8
START = Clock().moment.replace(hour=23)


@dataclass
class Use:
    """What the model knows of one request's reservation."""

    day: str
    expires_at: datetime
    state: str = "open"


@dataclass
class Model:
    """The rules, in the plainest form."""

    uses: dict[int, Use] = field(default_factory=dict)

    def used(self, now: datetime) -> int:
        """Uses of the day that stand."""
        return sum(
            use.day == day_of(now) and (use.state == "committed" or (use.state == "open" and now < use.expires_at))
            for use in self.uses.values()
        )

    def reserve(self, request: int, now: datetime) -> bool:
        known = self.uses.get(request)
        if known is not None and (known.state != "open" or now < known.expires_at):
            return True
        if self.used(now) >= LIMIT:
            return False
        self.uses[request] = Use(day_of(now), now + HOLD)
        return True

    def settle(self, request: int, to: str, now: datetime) -> bool:
        """Whether the settlement is accepted."""
        use = self.uses[request]
        if use.state == to:
            return True
        lapsed = use.state == "open" and now >= use.expires_at
        if lapsed or use.state != "open":
            return to == "released" and lapsed
        use.state = to
        return True


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["reserve", "commit", "released"]), st.integers(0, REQUESTS - 1)),
        st.tuples(st.just("wait"), st.sampled_from([1, 5, 10, 30, 60])),
    ),
    max_size=40,
)


@dataclass
class Bench:
    """A service that outlives the examples; each has a tenant of its own."""

    runner: asyncio.Runner
    parts: Parts

    async def walk(self, steps: list[tuple[str, int]]) -> None:
        tenant, parts, model = uuid.uuid4().hex, self.parts, Model()
        clock = parts.clock
        clock.moment = START
        ids: dict[int, str] = {}
        await parts.workspaces.change_settings(
            tenant, WorkspaceSettings(enabled=True, max_skill_candidates_per_day=LIMIT), "olga"
        )
        await parts.standing.set_level(tenant, "ada", "", Maturity.INTERN, "olga", "")
        for step, number in steps:
            now = clock()
            if step == "wait":
                clock.advance(minutes=number)
            elif step == "reserve":
                granted = await self.reserve(tenant, number, ids)
                assert granted is model.reserve(number, now)
            elif number in ids:
                to = "committed" if step == "commit" else "released"
                assert await self.settle(tenant, ids[number], to) is model.settle(number, to, now)
            decision = await parts.checks.check(tenant, "ada", MEMENTO_SKILLS)
            assert decision.used == model.used(clock()) <= LIMIT
            assert decision.allowed is (decision.used < LIMIT)

    async def reserve(self, tenant: str, number: int, ids: dict[int, str]) -> bool:
        try:
            reservation = await self.parts.reservations.reserve(tenant, f"r{number}", "ada", MEMENTO_SKILLS, HOLD)
        except ResourceExhausted:
            return False
        assert ids.setdefault(number, reservation.id) == reservation.id
        return True

    async def settle(self, tenant: str, reservation_id: str, to: str) -> bool:
        reservations = self.parts.reservations
        try:
            await (reservations.commit if to == "committed" else reservations.release)(tenant, reservation_id)
        except FailedPrecondition:
            return False
        return True


@pytest.fixture(scope="module")
def bench(storages: Storages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with storages.new(tmp_path_factory.mktemp("model")) as storage, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield Bench(runner, runner.run(stack.enter_async_context(replica(storage, Clock()))))
        runner.run(stack.aclose())


@given(steps=STEPS)
@settings(max_examples=40)
def test_any_sequence_of_reservations_agrees_with_the_model(bench: Bench, steps: list[tuple[str, int]]) -> None:
    bench.runner.run(bench.walk(steps))
