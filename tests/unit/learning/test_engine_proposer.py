"""Learning engines of the user's own that compute, block, or answer too late."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from autodev_learning import trial
from autodev_learning.examples import Example
from autodev_learning.memento.proposing import ProposalLimits, Workshop
from autodev_learning.proposers import Budget, FailedProgram, NoProposal, Problem, Proposal
from autodev_learning.proposers.engines import EngineProposer, Overdue
from autodev_learning.trial import Execution
from autodev_runtime.identity import acting_as, service_identity
from autodev_sdk.ending import results_of
from autodev_sdk.extensions import Attempt, BaseLearningEngine, CodeChange, LearningProblem
from tests.mesh import eventually

PROBLEM = Problem("one", ("one",), (FailedProgram("def one():\n    return 2\n"),), (Example("one()", "1"),))
LATE = "it took longer than 0.2 s"
BUSY = "it is busy still with a problem whose time is over"


class Blocks(BaseLearningEngine):
    """Waits in its thread, as what computes or asks a server without `await` does, until it may go on."""

    def __init__(self) -> None:
        self.asked = 0
        self.was_asked = threading.Event()
        self.may_go_on = threading.Event()

    async def analyze_episode(self, problem: LearningProblem) -> Mapping[str, Any]:
        self.asked += 1
        self.was_asked.set()
        self.may_go_on.wait(60)
        return {}

    async def propose_code_change(
        self, problem: LearningProblem, findings: Mapping[str, Any], attempts: Sequence[Attempt]
    ) -> CodeChange:
        return CodeChange("", f"asked {self.asked} times")


async def never(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
    raise AssertionError("nothing of it may run")


def workshop(engine: BaseLearningEngine, at_a_time: int = 2) -> Workshop:
    """One that has the engine as its first proposer."""
    overdue = Overdue()

    def made(tester: trial.Tester) -> EngineProposer:
        return EngineProposer("slow", engine, tester, overdue)

    return Workshop(never, ProposalLimits(at_a_time, Budget(0.2)), {"slow": made})


async def proposed(shop: Workshop) -> Proposal | NoProposal:
    with acting_as(service_identity("learning", "acme")):
        async with shop.slot():
            return await shop.propose(PROBLEM, ["slow"])


def reason(answer: Proposal | NoProposal) -> str:
    assert isinstance(answer, NoProposal)
    return answer.reason


async def test_an_engine_that_blocks_is_given_up_and_asked_nothing_until_it_has_ended() -> None:
    engine = Blocks()
    shop = workshop(engine)
    started = time.perf_counter()
    assert LATE in reason(await proposed(shop))
    assert time.perf_counter() - started < 10
    for _ in range(5):
        assert BUSY in reason(await proposed(shop))
    assert engine.asked == 1
    engine.may_go_on.set()

    async def asked_again() -> bool:
        return "asked 2 times" in reason(await proposed(shop))

    await eventually(asked_again, "the engine is asked again", 10)


async def test_its_place_is_free_for_the_next_problem() -> None:
    engine = Blocks()
    shop = workshop(engine, at_a_time=1)
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(proposed(shop) for _ in range(3)))
    assert [LATE in reason(answers[0]), *(BUSY in reason(each) for each in answers[1:])] == [True] * 3
    engine.may_go_on.set()


async def test_a_workspace_that_asks_much_holds_up_another_for_no_more_than_its_turn() -> None:
    shop, order = workshop(Blocks(), at_a_time=1), []

    async def work(tenant: str) -> None:
        with acting_as(service_identity("learning", tenant)):
            async with shop.slot():
                order.append(tenant)

    held = asyncio.Event()

    async def hold() -> None:
        with acting_as(service_identity("learning", "acme")):
            async with shop.slot():
                await held.wait()

    works = [asyncio.ensure_future(each) for each in (hold(), *(work("acme") for _ in range(16)), work("globex"))]
    # Each comes to where it waits.
    for _ in range(8):
        await asyncio.sleep(0)
    held.set()
    await results_of(*works)
    assert order.index("globex") <= 1


async def test_a_service_that_stops_does_not_wait_for_it() -> None:
    engine = Blocks()
    proposing = asyncio.ensure_future(proposed(workshop(engine)))
    async with asyncio.timeout(10):
        await asyncio.to_thread(engine.was_asked.wait, 10)
        proposing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await proposing
    engine.may_go_on.set()
