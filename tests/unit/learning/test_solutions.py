"""Which of the programs that pass the examples are believed."""

import pytest

from autodev_learning.examples import Example
from autodev_learning.proposers import Budget, FailedProgram, NoProposal, Problem, Proposal
from autodev_learning.proposers.analysis.code import idle_statements
from autodev_learning.proposers.bench import Bench
from autodev_learning.proposers.candidates import Candidate, split
from autodev_learning.proposers.expectations import Expectations
from autodev_learning.proposers.frontier import shape
from autodev_learning.proposers.rewrites import rewritings
from autodev_learning.proposers.search import Search
from autodev_learning.proposers.solutions import Solutions
from autodev_learning.trial import CallOutcome, SandboxTester, check
from benchmarks.learning.classic import PROGRAMS
from benchmarks.proposer_search import problem_of

BUDGET = Budget(seconds=120, programs=4000)
BUDGET_OF_MANY = Budget(seconds=120, programs=7000)


def problem(code: str, *examples: tuple[str, str], preamble: str = "") -> Problem:
    asked = tuple(Example(call, expected) for call, expected in examples)
    names = tuple(dict.fromkeys(call.partition("(")[0] for call, _ in examples))
    return Problem("a task", names, (FailedProgram(code),), asked, preamble)


async def test_a_repair_that_the_simplest_rewriting_bears_out_is_preferred(tester: SandboxTester) -> None:
    loop = "    for i, e in enumerate(xs):\n        if x < e:\n            return i\n"
    asked = problem(
        f"def place(x, xs):\n{loop}    return len(xs)\n",
        ("place(3, [1, 3, 5])", "1"),
        ("place(9, [1, 3])", "2"),
        ("place(0, [1])", "0"),
        ("place(4, [])", "0"),
    )
    answer = await Search(tester).propose(asked, BUDGET)
    assert isinstance(answer, Proposal)
    held_out = [Example("place(5, [1, 3, 5, 7])", "2"), Example("place(1, [1])", "0"), Example("place(8, [7])", "1")]
    assert (await check(tester, answer.code, "", held_out)).passes_all
    assert "for i, e in enumerate(xs):" in answer.code


async def test_what_mends_one_function_is_tried_in_the_next(tester: SandboxTester) -> None:
    body = "    n = 0\n    for row in rows:\n        if row[{}] == x:\n            n += 1\n"
    body += "    if n > 1:\n        return False\n    return True\n"
    code = f"def once(x, rows):\n{body.format(0)}\ndef last_once(x, rows):\n{body.format(1)}"
    rows = "[(1, 2), (1, 3), (4, 2)]"
    asked = problem(
        code,
        (f"once(4, {rows})", "True"),
        (f"once(1, {rows})", "False"),
        (f"once(7, {rows})", "False"),
        (f"last_once(2, {rows})", "False"),
        (f"last_once(9, {rows})", "False"),
        (f"last_once(3, {rows})", "True"),
    )
    answer = await Search(tester).propose(asked, BUDGET)
    assert isinstance(answer, Proposal)
    assert len({shape(edit) for edit in answer.edits}) == 1


async def test_where_likely_repairs_disagree_none_is_proposed(tester: SandboxTester) -> None:
    asked = problem("def f(a, b):\n    return a\n", ("f(1, 1)", "2"), ("f(2, 2)", "4"))
    answer = await Search(tester).propose(asked, BUDGET)
    assert isinstance(answer, NoProposal)
    assert "repairs that behave differently pass" in answer.reason


async def test_where_only_answers_that_nobody_asked_for_differ_the_plainest_repair_is_proposed(
    tester: SandboxTester,
) -> None:
    code = "def widest(xs):\n    return max(abs(a - b) for a, b in zip(xs, xs[2:]))\n"
    asked = problem(
        code,
        ("widest([0, 9, 3])", "9"),
        ("widest([1, 2, 4, 8])", "4"),
        ("widest([5, 5, 1])", "4"),
        ("widest([7, 2])", "5"),
    )
    answer = await Search(tester).propose(asked, BUDGET)
    assert isinstance(answer, Proposal)
    assert answer.code == code.replace("2:", "1:")


async def test_nothing_is_edited_only_to_answer_where_the_program_always_failed(tester: SandboxTester) -> None:
    program = next(each for each in PROGRAMS if each.name == "reverse_polish")
    answer = await Search(tester).propose(problem_of(program.task, program.task.failures, (), 0), BUDGET_OF_MANY)
    assert isinstance(answer, Proposal)
    assert len(answer.edits) == 1
    assert (await check(tester, answer.code, "", program.task.examples)).passes_all


async def test_what_guesses_beyond_a_repair_speaks_for_it(tester: SandboxTester) -> None:
    codes = ("items[len(items) - 2]", "items[len(items)]")
    examples = tuple(Example(f"last({[*range(n)]})", str(n - 1)) for n in (1, 2, 4, 5))
    failed = tuple(FailedProgram(f"def last(items):\n    return {code}\n") for code in codes)
    answer = await Search(tester).propose(Problem("take the last item", ("last",), failed, examples), BUDGET)
    assert isinstance(answer, Proposal)
    assert answer.code == "def last(items):\n    return items[len(items) - 1]\n"


async def test_edits_that_make_no_difference_are_left_out(tester: SandboxTester) -> None:
    code = "def total(xs):\n    n = 0\n    m = 0\n    for x in xs:\n        n += x\n    print(m)\n"
    asked = problem(code, ("total([1, 2])", "3"), ("total([])", "0"), ("total([5])", "5"))
    answer = await Search(tester).propose(asked, BUDGET)
    assert isinstance(answer, Proposal)
    assert answer.code == f"{code}    return n\n"


async def test_an_error_that_the_program_raises_itself_is_an_answer(tester: SandboxTester) -> None:
    code = """\
def middle(xs):
    if len(xs) != 0:
        raise ValueError("nothing is in the middle of nothing")
    return sorted(xs)[len(xs) // 2]
"""
    asked = problem(
        code,
        ("middle([3, 1, 2])", "2"),
        ("middle([1, 9])", "9"),
        ("middle([7])", "7"),
        ("middle([4, 4, 8, 0])", "4"),
    )
    answer = await Search(tester).propose(asked, BUDGET)
    assert isinstance(answer, Proposal)
    refused = (await tester.run([answer.code], "", ["middle([])"]))[0][0]
    assert refused.error == "ValueError: nothing is in the middle of nothing"


async def test_nothing_is_what_a_program_may_answer_that_says_so(tester: SandboxTester) -> None:
    code = """\
def twice(item, prices):
    if item in prices:
        return prices[item] * 3
    return None
"""
    asked = problem(
        code,
        ("twice('a', {'a': 4})", "8"),
        ("twice('b', {'a': 1, 'b': 5})", "10"),
        ("twice('c', {'c': 1, 'a': 3})", "2"),
    )
    answer = await Search(tester).propose(asked, BUDGET)
    assert isinstance(answer, Proposal)
    assert answer.code == code.replace("3", "2")


async def test_a_fraction_is_no_answer_where_only_whole_numbers_are(tester: SandboxTester) -> None:
    asked = problem("def half(n):\n    return n / 3\n", ("half(8)", "4"), ("half(20)", "10"), ("half(2)", "1"))
    answer = await Search(tester).propose(asked, BUDGET)
    assert isinstance(answer, Proposal)
    assert (await check(tester, answer.code, "", [Example("half(7)", "3")])).passes_all


async def test_all_that_one_edit_makes_is_tried_before_two_are_believed(tester: SandboxTester) -> None:
    program = next(each for each in PROGRAMS if each.name == "kth_smallest")
    answer = await Search(tester).propose(problem_of(program.task, program.task.failures, (), 3), BUDGET)
    assert isinstance(answer, Proposal)
    assert len(answer.edits) == 1
    assert (await check(tester, answer.code, "", program.task.examples)).passes_all


async def weighed(tester: SandboxTester, asked: Problem, *repairs: tuple[tuple[str, ...], str]) -> list[float]:
    """How likely the repairs of a program are, which are as dear as one another; each is its edits and its code."""
    bench = Bench(tester.screener(), asked, BUDGET)
    goal = range(len(asked.visible))
    pool = await bench.outcomes([Candidate(split(asked.failures[0].code))], goal)
    solutions = await Solutions.start(bench, asked.entry_points[0], goal, pool)
    candidates = await bench.outcomes([Candidate(split(code), edits, 8.0) for edits, code in repairs], goal)
    assert all(candidate.passes(goal) for candidate in candidates)
    await solutions.add(candidates)
    shares = {each.code: share for share, found in solutions.shares() for each in solutions.found[found]}
    return [shares[candidate.code] for candidate in candidates]


FAR = problem("def f(n):\n    return -n\n", ("f(40)", "40"), ("f(70)", "70"))


async def test_a_repair_that_leaves_code_idle_is_less_likely(tester: SandboxTester) -> None:
    guarded = "def f(n):\n    if n < 30:\n        return 30\n    return n\n"
    other = "def f(n):\n    return max(n, 20)\n"
    idle = "def f(n):\n    return n\n    return 30\n"
    likely, unlikely = await weighed(tester, FAR, (("a",), guarded), (("b",), idle))
    assert likely == pytest.approx(64 * unlikely)
    assert await weighed(tester, FAR, (("a",), guarded), (("b",), other)) == [0.5, 0.5]


def test_minus_infinity_may_be_expected() -> None:
    expected = Expectations.of([Example("f([])", "-inf"), Example("f([2])", "2")], ["def f(xs):\n    return xs\n"])
    assert expected.is_usual(CallOutcome("-inf"))
    assert not expected.is_usual(CallOutcome("2.5"))


async def test_what_does_more_to_a_repair_and_makes_no_difference_adds_nothing(tester: SandboxTester) -> None:
    one, other = "def f(n):\n    return n\n", "def f(n):\n    return max(n, 20)\n"
    more = "def f(n):\n    return +n\n"
    assert await weighed(tester, FAR, (("a",), one), (("a", "c"), more), (("b",), other)) == [0.5, 0.5, 0.5]
    twice, again, once = await weighed(tester, FAR, (("a",), one), (("c",), more), (("b",), other))
    assert twice == again == pytest.approx(2 * once)


async def test_a_program_that_is_right_on_no_example_vouches_for_no_other_answer(tester: SandboxTester) -> None:
    few, many = "def f(n):\n    return n if n > 30 else -n\n", "def f(n):\n    return n\n"
    assert await weighed(tester, FAR, (("a",), few), (("b",), many)) == [0.5, 0.5]
    mostly = problem("def f(n):\n    return n if n != 70 else 7\n", ("f(40)", "40"), ("f(70)", "70"), ("f(3)", "3"))
    changing = "def f(n):\n    return n if n in (40, 70, 3) else n + 1\n"
    keeping, replacing = await weighed(tester, mostly, (("a",), many), (("b",), changing))
    assert keeping > 8 * replacing


def test_what_follows_a_return_in_its_block_is_idle() -> None:
    assert idle_statements("def f(x):\n    return x\n    x += 1\n    return x\n") == 2
    assert idle_statements("def f(x):\n    while x:\n        if x > 1:\n            break\n        x -= 1\n") == 0


def test_rewritings_are_of_the_kinds_that_the_examples_show_and_none_where_all_answers_are_one() -> None:
    examples = [Example("f([1, 2, 1])", "[1, 2]"), Example("f([])", "[]")]
    found = rewritings("f", ["xs"], examples, "", {})
    assert "list(dict.fromkeys(xs))" in found
    assert found == sorted(found, key=len)
    assert rewritings("f", ["xs"], [Example("f([1])", "1"), Example("f([2])", "1")], "", {}) == []
    of_names = rewritings(
        "f", ["x", "rows"], [Example("f(1, R)", "True"), Example("f(2, R)", "False")], "R = [(1, 2)]", {}
    )
    assert "any(e[0] == x for e in rows)" in of_names
