"""Which of the programs that pass the examples are believed."""

from autodev_learning.examples import Example
from autodev_learning.proposers import Budget, FailedProgram, NoProposal, Problem, Proposal
from autodev_learning.proposers.frontier import shape
from autodev_learning.proposers.rewrites import rewritings
from autodev_learning.proposers.search import Search
from autodev_learning.trial import SandboxTester, check

BUDGET = Budget(seconds=120, programs=4000)


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


async def test_edits_that_make_no_difference_are_left_out(tester: SandboxTester) -> None:
    code = "def total(xs):\n    n = 0\n    m = 0\n    for x in xs:\n        n += x\n    print(m)\n"
    asked = problem(code, ("total([1, 2])", "3"), ("total([])", "0"), ("total([5])", "5"))
    answer = await Search(tester).propose(asked, BUDGET)
    assert isinstance(answer, Proposal)
    assert answer.code == f"{code}    return n\n"


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
