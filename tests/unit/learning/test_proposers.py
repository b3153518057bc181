"""The built-in proposers, on small problems and the real sandbox."""

import ast
from dataclasses import dataclass, replace

import pytest

from autodev_learning.examples import Example
from autodev_learning.proposers import Budget, Case, FailedProgram, NoProposal, Problem, Proposal, propose_first
from autodev_learning.proposers.builtin import builtin_proposers
from autodev_learning.proposers.case_bank import CaseBank
from autodev_learning.proposers.crossover import Crossover
from autodev_learning.proposers.search import Search
from autodev_learning.trial import SandboxTester, check
from autodev_runtime.errors import Unavailable
from tests.unit.learning.programs import (
    DEDUPE,
    DEDUPE_ADDS_ITEM,
    DEDUPE_EXAMPLES,
    DEDUPE_NEVER_ENDS,
    DEDUPE_RETURNS_EARLY,
    DEDUPE_RIGHT,
    STATS_HIGH_RIGHT,
    STATS_LOW_RIGHT,
    dedupe_problem,
    stats_problem,
)

# Wide in seconds, so that a busy machine changes nothing; what a search may try is bounded by number.
BUDGET = Budget(seconds=60, programs=2000)


async def assert_right(tester: SandboxTester, answer: Proposal | NoProposal, *held_out: Example) -> Proposal:
    assert isinstance(answer, Proposal), answer
    ast.parse(answer.code)
    assert (await check(tester, answer.code, "", [*DEDUPE_EXAMPLES, *held_out])).passes_all
    return answer


async def test_a_case_of_the_same_task_is_proposed(tester: SandboxTester) -> None:
    problem = dedupe_problem(DEDUPE_ADDS_ITEM, cases=(Case(DEDUPE_RIGHT, DEDUPE, "agent-7"),))
    answer = await assert_right(tester, await CaseBank(tester).propose(problem, BUDGET))
    assert (answer.code, answer.proposer, answer.edits) == (
        DEDUPE_RIGHT, "case_bank", ("code that worked for agent-7",),
    )  # fmt: skip
    assert (answer.examples_passed, answer.tried) == (4, 1)


async def test_of_cases_the_nearest_task_comes_first_and_then_the_simplest_code(tester: SandboxTester) -> None:
    longer = DEDUPE_RIGHT.replace("return", "n = len(items)\n    return")
    cases = (
        Case(DEDUPE_RIGHT + "# other\n", f"{DEDUPE} please"),
        Case(longer, DEDUPE),
        Case(DEDUPE_RIGHT, DEDUPE),
    )
    answer = await CaseBank(tester).propose(dedupe_problem(cases=cases), BUDGET)
    assert isinstance(answer, Proposal)
    assert answer.code == DEDUPE_RIGHT


async def test_a_case_that_fails_a_visible_example_is_not_proposed(tester: SandboxTester) -> None:
    cases = (Case(DEDUPE_RETURNS_EARLY, DEDUPE), Case("def dedupe(items):\n    return sorted(set(items))\n", DEDUPE))
    answer = await CaseBank(tester).propose(dedupe_problem(cases=cases), BUDGET)
    assert isinstance(answer, NoProposal)
    assert answer.reason == (
        "none of 2 cases passes every example; the best of 2 programs passes 2 of 4 examples"
    )  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [
        Case("def other(one, two):\n    return 1\n", DEDUPE),
        Case("def dedupe(items:\n", DEDUPE),
    ],
    ids=["another number of arguments", "no Python"],
)
async def test_what_is_no_case_of_the_task_is_not_tried(tester: SandboxTester, case: Case) -> None:
    answer = await CaseBank(tester).propose(dedupe_problem(cases=(case,)), BUDGET)
    assert isinstance(answer, NoProposal)
    assert (answer.tried, answer.reason.partition(";")[0]) == (0, "no case of a similar task")


async def test_a_case_with_other_names_is_adapted_and_proven(tester: SandboxTester) -> None:
    case = Case(
        "def keep(xs):\n    return xs[:1] + keep([x for x in xs if x != xs[0]]) if xs else []\n", DEDUPE, "agent-7"
    )
    answer = await assert_right(tester, await CaseBank(tester).propose(dedupe_problem(cases=(case,)), BUDGET))
    assert answer.edits == ("code that worked for agent-7", "`keep` called `dedupe`")
    assert "keep" not in answer.code


async def test_a_case_of_another_task_that_does_what_the_examples_ask_for_is_one_too(tester: SandboxTester) -> None:
    case = Case("def uniq(xs):\n    return list(dict.fromkeys(xs))\n", "Convert miles to kilometres")
    await assert_right(tester, await CaseBank(tester).propose(dedupe_problem(cases=(case,)), BUDGET))
    few = replace(dedupe_problem(cases=(case,)), visible=DEDUPE_EXAMPLES[:2])
    answer = await CaseBank(tester).propose(few, BUDGET)
    assert isinstance(answer, NoProposal)
    assert answer.tried == 0


async def test_a_case_that_takes_its_arguments_in_another_order_is_turned(tester: SandboxTester) -> None:
    asked = Problem("less", ("less",), (), (Example("less(5, 3)", "2"), Example("less(3, 5)", "-2")),
                    cases=(Case("def minus(a, b):\n    return b - a\n", "less"),))  # fmt: skip
    answer = await CaseBank(tester).propose(asked, BUDGET)
    assert isinstance(answer, Proposal)
    assert "swapped" in answer.edits[-1]


@pytest.mark.parametrize("failure", [DEDUPE_ADDS_ITEM, DEDUPE_RETURNS_EARLY])
async def test_search_mends_a_failing_program(tester: SandboxTester, failure: str) -> None:
    answer = await Search(tester).propose(dedupe_problem(failure), BUDGET)
    mended = await assert_right(tester, answer, Example("dedupe([])", "[]"), Example("dedupe([0, 0.5, 0])", "[0, 0.5]"))
    assert mended.proposer == "search"
    assert mended.edits
    assert mended.examples_passed == 4
    assert mended.tried <= BUDGET.programs


async def test_programs_that_never_end_do_not_keep_search_from_mending_another(tester: SandboxTester) -> None:
    problem = dedupe_problem(DEDUPE_NEVER_ENDS, DEDUPE_RETURNS_EARLY)
    await assert_right(tester, await Search(tester).propose(problem, BUDGET))


async def test_search_is_deterministic_by_seed(tester: SandboxTester) -> None:
    problem = dedupe_problem(DEDUPE_RETURNS_EARLY, DEDUPE_ADDS_ITEM, seed=5)
    first = await Search(tester).propose(problem, BUDGET)
    again = await Search(tester).propose(problem, BUDGET)
    assert isinstance(first, Proposal)
    assert isinstance(again, Proposal)
    assert replace(first, seconds=0.0) == replace(again, seconds=0.0)


async def test_a_failure_that_passes_all_that_is_visible_is_not_proposed(tester: SandboxTester) -> None:
    wrong_on_empty = """\
def dedupe(items):
    result = [items[0]]
    for item in items:
        if item not in result:
            result.append(item)
    return result
"""
    keeps_last = DEDUPE_RETURNS_EARLY.replace("        return", "    print(items)\n    return").replace("not in", "in")
    answer = await Search(tester).propose(dedupe_problem(wrong_on_empty, DEDUPE_ADDS_ITEM, keeps_last), BUDGET)
    await assert_right(tester, answer, Example("dedupe([])", "[]"))


async def test_search_without_a_way_says_how_near_it_came(tester: SandboxTester) -> None:
    hopeless = Problem("t", ("f",), (FailedProgram("def f(x):\n    return x\n"),),
                       (Example("f(1)", "1"), Example("f(2)", "'two hundred and seven'")))  # fmt: skip
    answer = await Search(tester).propose(hopeless, Budget(seconds=60, programs=150))
    assert isinstance(answer, NoProposal)
    assert answer.examples_passed == 1
    assert answer.reason.endswith(f"the best of {answer.tried} programs passes 1 of 2 examples")
    assert answer.tried <= 150
    assert answer.variants


async def test_search_ends_when_its_time_is_up(tester: SandboxTester) -> None:
    answer = await Search(tester).propose(dedupe_problem(DEDUPE_NEVER_ENDS), Budget(seconds=0, programs=10_000))
    assert isinstance(answer, NoProposal)
    assert answer.tried == 0
    assert answer.reason.startswith("no repair of `dedupe` was found, the budget is spent")


async def test_search_of_what_is_no_python_says_so(tester: SandboxTester) -> None:
    answer = await Search(tester).propose(dedupe_problem("def dedupe(:", "# only a comment"), BUDGET)
    assert isinstance(answer, NoProposal)
    assert answer.reason.startswith("no failing program parses")


async def test_crossover_takes_each_function_from_who_is_best_at_it(tester: SandboxTester) -> None:
    answer = await Crossover(tester).propose(stats_problem(STATS_LOW_RIGHT, STATS_HIGH_RIGHT), BUDGET)
    assert isinstance(answer, Proposal)
    # With the functions come what they need: a helper, an import.
    for part in ("def first", "import functools", "def low", "def high", "def spread"):
        assert answer.code.count(part) == 1
    assert answer.examples_passed == 6
    assert answer.edits == ("take `spread` from another attempt",)


async def test_crossover_does_not_mix_helpers_of_one_name_that_differ(tester: SandboxTester) -> None:
    high_with_first = STATS_HIGH_RIGHT.replace("high(xs) - low(xs)", "first(xs)") + "\ndef first(xs):\n    return xs\n"
    answer = await Crossover(tester).propose(stats_problem(STATS_LOW_RIGHT, high_with_first), BUDGET)
    assert isinstance(answer, NoProposal)
    assert answer.reason.startswith("no crossing passes every example")


async def test_crossover_of_one_function_has_nothing_to_cross(tester: SandboxTester) -> None:
    answer = await Crossover(tester).propose(dedupe_problem(DEDUPE_ADDS_ITEM), BUDGET)
    assert isinstance(answer, NoProposal)
    assert answer.reason.startswith("crossing needs a task of several functions")


async def test_proposers_are_asked_in_order_and_the_first_proposal_is_taken(tester: SandboxTester) -> None:
    problem = dedupe_problem(DEDUPE_ADDS_ITEM, cases=(Case(DEDUPE_RIGHT, DEDUPE),))
    answer = await propose_first(builtin_proposers(["crossover", "case_bank", "search"], tester), problem, BUDGET)
    assert isinstance(answer, Proposal)
    assert answer.proposer == "case_bank"


async def test_without_a_proposal_each_reason_is_told(tester: SandboxTester) -> None:
    proposers = builtin_proposers(["case_bank", "crossover", "search"], tester)
    answer = await propose_first(proposers, dedupe_problem(DEDUPE_NEVER_ENDS), Budget(seconds=60, programs=1))
    assert isinstance(answer, NoProposal)
    assert answer.proposer == "case_bank, crossover, search"
    for reason in (
        "case_bank: no case",
        "crossover: crossing needs",
        "search: no repair of `dedupe` was found, the budget is spent",
    ):
        assert reason in answer.reason


async def test_no_proposer_at_all_is_a_reason_too() -> None:
    answer = await propose_first([], dedupe_problem(DEDUPE_ADDS_ITEM), BUDGET)
    assert isinstance(answer, NoProposal)
    assert answer.reason == "no proposer is switched on"


def test_an_unknown_proposer_is_refused_by_name(tester: SandboxTester) -> None:
    with pytest.raises(ValueError, match="no built-in proposer named oracle; there are case_bank, search, crossover"):
        builtin_proposers(["search", "oracle"], tester)


@dataclass(frozen=True)
class Failing:
    """A proposer that fails."""

    error: Exception
    name: str = "failing"

    async def propose(self, problem: Problem, budget: Budget) -> Proposal | NoProposal:
        raise self.error


async def test_a_proposer_with_a_fault_leaves_the_others_their_turn(tester: SandboxTester) -> None:
    problem = dedupe_problem(DEDUPE_ADDS_ITEM)
    answer = await propose_first(
        [Failing(ZeroDivisionError()), *builtin_proposers(["search"], tester)], problem, BUDGET
    )
    assert isinstance(answer, Proposal)
    alone = await propose_first([Failing(ZeroDivisionError())], problem, BUDGET)
    assert isinstance(alone, NoProposal)
    assert alone.reason == "failing: failed by a fault of its own: ZeroDivisionError"


async def test_a_sandbox_that_is_away_is_no_proposers_fault() -> None:
    with pytest.raises(Unavailable):
        await propose_first([Failing(Unavailable("away"))], dedupe_problem(DEDUPE_ADDS_ITEM), BUDGET)
