"""Writing rewrites, on the real sandbox."""

from collections.abc import Iterator

import pytest

from autodev_learning.evolution.comparison import KnownInput, Purpose
from autodev_learning.evolution.opportunities import Trigger
from autodev_learning.evolution.rewriting import Program, RewriteLimits, Rewriter, purpose_for, repair_problem
from autodev_learning.evolution.timing import TIMEOUT, TimedOutcome, Timer
from autodev_learning.memento.proposing import ProposalLimits, Workshop
from autodev_learning.proposers.llm import llm_makers
from autodev_learning.proposers.llm.choice import Choice, Provider
from autodev_learning.trial import SandboxTester
from autodev_runtime.identity import acting_as, service_identity
from tests.llm import INPUT_TOKENS, OUTPUT_TOKENS, Book, LlmServer, code

SLOW = """def distinct(items):
    seen = []
    for item in items:
        if item not in seen:
            seen.append(item)
    return seen
"""
BIG = KnownInput("distinct(list(range(1500)))")
SMALL = KnownInput("distinct([2, 1, 2])", "[2, 1]")


@pytest.fixture(autouse=True)
def acting() -> Iterator[None]:
    with acting_as(service_identity("learning", "acme")):
        yield


@pytest.fixture
def rewriter(tester: SandboxTester) -> Rewriter:
    limits = RewriteLimits(candidates=4, budget_s=20.0, seconds_per_call=5.0)
    return Rewriter(Timer(tester.execute), Workshop(tester.execute, ProposalLimits()), limits)


def program(*inputs: KnownInput, code: str = SLOW) -> Program:
    return Program(code, "", "keep the first of each value", ("distinct",), inputs)


RIGHT, WRONG, LATE = (
    TimedOutcome("[2, 1]", None, 0.1),
    TimedOutcome("[1]", None, 0.1),
    TimedOutcome(None, TIMEOUT, 1.0),
)


@pytest.mark.parametrize(
    ("trigger", "outcome", "expected"),
    [
        (Trigger.LATENCY, RIGHT, Purpose.FASTER),
        (Trigger.TOKENS, RIGHT, Purpose.FASTER),
        (None, RIGHT, Purpose.FASTER),
        (Trigger.FAILURE, RIGHT, Purpose.MEND),
        (Trigger.LATENCY, WRONG, Purpose.MEND),
        (None, WRONG, Purpose.MEND),
        (Trigger.FAILURE, LATE, Purpose.FASTER),
        (Trigger.LATENCY, LATE, Purpose.FASTER),
    ],
)
def test_what_is_wrong_is_mended_and_what_is_late_is_made_faster(
    trigger: Trigger | None, outcome: TimedOutcome, expected: Purpose
) -> None:
    assert purpose_for(trigger, [SMALL], [outcome]) is expected


def test_a_proposer_sees_no_held_out_example_and_no_call_without_an_expectation() -> None:
    held_out = KnownInput("distinct([7])", "[7]", held_out=True)
    problem = repair_problem(program(SMALL, BIG, held_out), [WRONG, RIGHT, RIGHT])
    assert [example.call for example in problem.visible] == [SMALL.call]


async def test_a_slow_program_becomes_a_faster_one(rewriter: Rewriter) -> None:
    rewrite = await rewriter.rewrite(program(SMALL, BIG), Trigger.LATENCY, ())
    assert rewrite.purpose is Purpose.FASTER
    assert rewrite.reason == ""
    assert (rewrite.provenance.proposer, rewrite.provenance.programs_tried > 0) == ("performance", True)
    assert rewrite.provenance.steps
    slow, fast = [
        sum(outcome.seconds for outcome in await rewriter.timer.time(code, "", [BIG.call], [5.0]))
        for code in (SLOW, rewrite.code)
    ]
    assert fast < slow / 2


async def test_a_program_without_a_slow_way_is_left(rewriter: Rewriter) -> None:
    code = "def distinct(items):\n    return list(dict.fromkeys(items))\n"
    rewrite = await rewriter.rewrite(program(SMALL, code=code), Trigger.LATENCY, ())
    assert rewrite.code == ""
    assert rewrite.reason


async def test_a_wrong_program_is_mended_by_the_proposers(rewriter: Rewriter) -> None:
    code = SLOW.replace("return seen", "return seen[1:]")
    inputs = (SMALL, KnownInput("distinct([5])", "[5]"), KnownInput("distinct([])", "[]", held_out=True))
    rewrite = await rewriter.rewrite(program(*inputs, code=code), Trigger.FAILURE, ["search"])
    assert (rewrite.purpose, rewrite.provenance.proposer, rewrite.reason) == (Purpose.MEND, "search", "")
    outcomes = await rewriter.timer.time(rewrite.code, "", [each.call for each in inputs], [5.0] * 3)
    assert [outcome.value for outcome in outcomes] == [each.expected for each in inputs]


async def test_a_failure_that_nothing_tells_the_right_answer_of_is_not_guessed_at(rewriter: Rewriter) -> None:
    rewrite = await rewriter.rewrite(program(SMALL, KnownInput("distinct(None)")), Trigger.FAILURE, ())
    assert rewrite.code == ""
    assert "nothing says what the failing call must give" in rewrite.reason


async def test_without_a_known_input_nothing_is_written(rewriter: Rewriter) -> None:
    rewrite = await rewriter.rewrite(program(), None, ())
    assert (rewrite.code, rewrite.reason) == ("", "no known input to run it on")


FAST = "def distinct(items):\n    return list(dict.fromkeys(items))\n"
HELD_OUT = KnownInput("distinct([9, 9])", "[9]", held_out=True)


@pytest.fixture
def model() -> Iterator[LlmServer]:
    with LlmServer() as server:
        yield server


def asking(model: LlmServer, tester: SandboxTester) -> Rewriter:
    """A rewriter whose workspace has a language model."""
    choice = Choice(Provider.OLLAMA, "m", f"{model.url}/v1", tries=1)
    workshop = Workshop(tester.execute, ProposalLimits(), llm_makers([choice], Book()))
    return Rewriter(Timer(tester.execute), workshop, RewriteLimits(candidates=4, budget_s=20.0, seconds_per_call=5.0))


async def test_a_models_faster_program_wins_where_nothing_is_faster(model: LlmServer, tester: SandboxTester) -> None:
    model.will_answer(code(FAST))
    rewrite = await asking(model, tester).rewrite(program(SMALL, BIG, HELD_OUT), Trigger.LATENCY, ("llm",))
    assert (rewrite.code, rewrite.provenance.proposer) == (FAST, "llm")
    assert rewrite.provenance.tokens == INPUT_TOKENS + OUTPUT_TOKENS
    assert "by ollama:m, prompt optimise_1" in rewrite.provenance.steps
    (asked,) = model.asked
    assert "distinct(list(range(1500)))  takes" in asked.text
    assert HELD_OUT.call not in asked.text


async def test_a_models_program_that_is_not_the_same_is_left_for_a_speed_up(
    model: LlmServer, tester: SandboxTester
) -> None:
    # It is right on what it was shown, and wrong on what was held out.
    model.will_answer(code("def distinct(items):\n    return [] if items == [9, 9] else list(dict.fromkeys(items))\n"))
    rewrite = await asking(model, tester).rewrite(program(SMALL, BIG, HELD_OUT), Trigger.LATENCY, ("llm",))
    assert rewrite.provenance.proposer == "performance"
    assert rewrite.provenance.tokens == INPUT_TOKENS + OUTPUT_TOKENS


async def test_a_workspace_without_the_model_asks_none(model: LlmServer, tester: SandboxTester) -> None:
    rewrite = await asking(model, tester).rewrite(program(SMALL, BIG), Trigger.LATENCY, ("search",))
    assert (rewrite.provenance.proposer, model.asked) == ("performance", [])
