"""What is left of an experiment's budget is never passed, however many ask at once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.evolution.asking import Asked
from autodev_learning.evolution.breeding import Breeding
from autodev_learning.evolution.experiments import Experiment, ExperimentBudget, Step
from autodev_learning.evolution.individuals import Evaluation, Stage
from autodev_learning.evolution.islands import Islands, Plan
from autodev_learning.evolution.operators import Aim, Brief
from autodev_learning.evolution.steps import allowance_of
from autodev_learning.examples import Example
from autodev_learning.memento.proposing import ProposalLimits, Workshop
from autodev_learning.proposers import Budget, FailedProgram, NoProposal, Problem, Proposal
from autodev_learning.proposers.allowance import NANO, Allowance, Held
from autodev_learning.proposers.engines import EngineProposer
from autodev_learning.proposers.llm import llm_makers
from autodev_learning.proposers.llm.choice import Choice, Prices, Provider
from autodev_learning.trial import SandboxTester
from autodev_runtime.identity import acting_as, service_identity
from autodev_sdk.extensions import Attempt, BaseLearningEngine, CodeChange, LearningProblem, Validity
from tests.llm import INPUT_TOKENS, KEY, OUTPUT_TOKENS, Book, LlmServer, code
from tests.unit.learning.evolving import START, scored

Used = tuple[int, int]
ONE_ANSWER = INPUT_TOKENS + OUTPUT_TOKENS
amounts = st.tuples(st.integers(0, 50), st.integers(0, 50))


@given(st.integers(0, 100), st.integers(0, 100), st.lists(st.tuples(amounts, amounts), max_size=20))
def test_what_is_held_and_used_never_passes_it(tokens: int, nanousd: int, calls: list[tuple[Used, Used]]) -> None:
    allowance, used, in_flight = Allowance(tokens, nanousd / NANO), [0, 0], []
    for wanted, actual in calls:
        if allowance.hold(*wanted) is Held.YES:
            in_flight.append((wanted, (min(wanted[0], actual[0]), min(wanted[1], actual[1]))))
        elif in_flight:
            held, spent = in_flight.pop(0)
            allowance.settle(held, spent)
            used = [used[0] + spent[0], used[1] + spent[1]]
        at_worst = [used[kind] + sum(held[kind] for held, _ in in_flight) for kind in (0, 1)]
        assert at_worst[0] <= tokens
        assert at_worst[1] <= nanousd
        assert allowance.used == (at_worst[0], at_worst[1] / NANO)


def test_who_could_be_paid_once_others_are_settled_is_told_so() -> None:
    allowance = Allowance(100, 1)
    assert allowance.hold(80, 0) is Held.YES
    assert allowance.hold(80, 0) is Held.LATER
    assert allowance.hold(101, 0) is Held.NO
    assert allowance.hold(1, 2 * NANO) is Held.NO
    allowance.settle((80, 0), (10, 0))
    assert allowance.hold(90, NANO) is Held.YES
    assert allowance.is_spent


def test_a_step_may_use_what_the_steps_before_it_left() -> None:
    budget = ExperimentBudget(max_tokens=100, max_cost_usd=1.0)
    steps = (Step(1, "", "", kept=False, tokens=30, cost_usd=0.4), Step(2, "", "", kept=False, tokens=30, cost_usd=0.1))
    left = allowance_of(Experiment("e", "r", "", "", "a", budget, datetime(2026, 1, 1, tzinfo=UTC), steps=steps))
    assert left.hold(41, 0) is Held.NO
    assert left.hold(0, NANO // 2 + 1) is Held.NO
    assert left.hold(40, NANO // 2) is Held.YES


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as started:
        yield started


class Scores:
    async def original(self, code: str) -> Evaluation:
        return Evaluation(Stage.DONE, 0.0, 0.0)

    async def evaluate(self, codes: Sequence[str], best: float) -> Sequence[Evaluation]:
        return scored(codes)


async def bred(workshop: Workshop, allowance: Allowance) -> list[tuple[int, str]]:
    """The tokens and notes of a step of 8 programs that a model is asked for, two at once."""

    async def propose(problem: Problem, left: Allowance | None) -> Proposal | NoProposal:
        with acting_as(service_identity("learning", "acme")):
            async with workshop.slot():
                return await workshop.propose(problem, ["llm"], left)

    islands = Islands(Plan(batch=8), ("llm",))
    breeding = Breeding(islands, [Asked("llm", propose, 8)], Brief(Aim.SCORE, "find f", ("f",)), Scores())
    islands.admit(await breeding.begin(START))
    return [(each.offer.tokens, each.offer.note) for each in await breeding.breed(1, allowance)]


async def test_a_step_never_takes_an_experiment_past_its_budget(tester: SandboxTester, server: LlmServer) -> None:
    server.will_answer(code("def f(x):\n    return 2.0\n"))
    asked = Choice(Provider.OPENAI, "m", f"{server.url}/v1", KEY, prices=Prices(1, 2), max_output_tokens=OUTPUT_TOKENS)
    book = Book()
    workshop = Workshop(tester.execute, ProposalLimits(), llm_makers([asked], book))
    await bred(workshop, Allowance(10**9, 1e6))
    worst = book.most.tokens - book.amount.tokens
    served = len(server.asked)
    assert served == 8
    # For one at its worst, and for two more once it is settled.
    made = await bred(workshop, Allowance(2 * ONE_ANSWER + worst + 500, 1e6))
    used = sum(tokens for tokens, _ in made)
    assert 2 * ONE_ANSWER <= used <= 2 * ONE_ANSWER + worst + 500
    assert used < 8 * ONE_ANSWER
    refused = [note for tokens, note in made if not tokens]
    assert refused
    assert all("the experiment's budget has less left" in note for note in refused)
    assert len(server.asked) - served == used // ONE_ANSWER
    assert [tokens for tokens, _ in await bred(workshop, Allowance(10**9, 0))] == [0] * 8
    assert book.amount.tokens == 8 * ONE_ANSWER + used


class Dear(BaseLearningEngine):
    """Never right, and dear."""

    asked = 0

    async def analyze_episode(self, problem: LearningProblem) -> Mapping[str, object]:
        return {}

    async def propose_code_change(
        self, problem: LearningProblem, findings: Mapping[str, object], attempts: Sequence[Attempt]
    ) -> CodeChange:
        self.asked += 1
        return CodeChange("def f():\n    return 1\n", "", 60, 0.0)

    async def validate_change(self, problem: LearningProblem, code: str) -> Validity:
        return Validity(True)


async def test_an_engine_is_not_asked_once_nothing_is_left(tester: SandboxTester) -> None:
    engine, problem = Dear(), Problem("f", ("f",), (FailedProgram("def f(): 0"),), (Example("f()", "2"),))
    proposer = EngineProposer("dear", engine, tester)
    allowance = Allowance(100, 1)
    with acting_as(service_identity("learning", "acme")):
        answer = await proposer.propose(problem, Budget(seconds=60, allowance=allowance))
        assert (answer.tokens, engine.asked) == (120, 2)
        again = await proposer.propose(problem, Budget(seconds=60, allowance=allowance))
    assert isinstance(again, NoProposal)
    assert (again.reason, again.tokens, engine.asked) == ("the experiment's budget is spent", 0, 2)
