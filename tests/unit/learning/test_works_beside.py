"""What learning does beside each other: where one part fails, none is still at work by the time that this is known."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Never

import pytest

from autodev_learning.evolution.asking import Asked
from autodev_learning.evolution.breeding import Breeding
from autodev_learning.evolution.cascade import SkillEvaluator
from autodev_learning.evolution.comparison import KnownInput
from autodev_learning.evolution.individuals import Evaluation, Offer
from autodev_learning.evolution.islands import Plan
from autodev_learning.evolution.operators import Aim, Brief, Order
from autodev_learning.evolution.rewriting import Program
from autodev_learning.evolution.screening import Lanes, alone
from autodev_learning.evolution.timing import TimedOutcome
from autodev_learning.proof.prover import Prover
from autodev_learning.trial import Runner
from autodev_runtime.errors import Unavailable
from tests.unit.learning.evolving import SLOW, START, begun, order_for

BRIEF = Brief(Aim.SCORE, "anything", ("f",))


@dataclass
class Away:
    """A sandbox, or whoever is asked, that is away for the first who asks and says nothing to the second."""

    asked: int = 0
    at_work: int = 0
    _both: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, *_: object) -> Never:
        self.asked += 1
        if self.asked == 1:
            await self._both.wait()
            raise Unavailable("the sandbox is away")
        self._both.set()
        self.at_work += 1
        try:
            await asyncio.Event().wait()
            raise AssertionError("nobody woke it")
        finally:
            await asyncio.sleep(0)
            self.at_work -= 1


@dataclass(frozen=True)
class Asks:
    """An operator, a runner and an evaluator that ask, and do nothing else."""

    away: Away
    name: str = "a"

    async def offers(self, orders: Sequence[Order], brief: Brief) -> Sequence[Offer | None]:
        return await self.away()

    async def run(self, programs: Sequence[str], preamble: str, calls: Sequence[str]) -> Never:
        await self.away()

    async def original(self, code: str) -> Evaluation:
        return await self.away()

    async def evaluate(self, codes: Sequence[str], best: float) -> Sequence[Evaluation]:
        return await self.away()


def proving(away: Away) -> Awaitable[object]:
    return Prover(away).generated(START, [START], "", ["f(1)", "f(2)"], "seed", "version 1.0.0")


def asking(away: Away) -> Awaitable[object]:
    return Asked("a", away, most=2).offers([order_for(START), order_for(START)], BRIEF)


def breeding(away: Away) -> Awaitable[object]:
    names = ("a", "b")
    asked = [Asks(away, name) for name in names]
    return Breeding(begun(Plan(batch=64), names), asked, BRIEF, Asks(away)).breed(1)


def screening(away: Away) -> Awaitable[object]:
    runner: Runner = Asks(away)
    return Lanes(runner, lanes=2, at_once=1).run([START, START], "", ["f(1)"])


def evaluating(away: Away) -> Awaitable[object]:
    program = Program(SLOW, "", "distinct", ("f",), (KnownInput("f([1])", "[1]"),))
    slow = (TimedOutcome("[1]", "", 1.0),)
    return SkillEvaluator(program, Aim.FASTER, slow, away, alone(away, 1.0, 2), 1.0).evaluate([SLOW, START], 0.0)


@pytest.mark.parametrize("work", [proving, asking, breeding, screening, evaluating])
async def test_where_one_part_fails_the_others_are_over(work: Callable[[Away], Awaitable[object]]) -> None:
    away = Away()
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable):
            await work(away)
    assert (away.asked, away.at_work) == (2, 0)
