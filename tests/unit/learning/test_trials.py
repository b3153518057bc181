"""Values that a search cannot calculate with do not end it."""

import tracemalloc

import pytest

from autodev_learning.examples import Example
from autodev_learning.proposers import Budget, FailedProgram, Problem, Proposal
from autodev_learning.proposers.rewrites import rewritings
from autodev_learning.proposers.search import Search
from autodev_learning.proposers.trials import nearness
from autodev_learning.trial import SandboxTester

HUGE = "1" + 400 * "0"


@pytest.mark.parametrize(("nearer", "further", "expected"), [("3", "5", "2"), ("9.5", HUGE, "1.5"), ("7", "1.5", HUGE)])
def test_a_nearer_number_is_no_further(nearer: str, further: str, expected: str) -> None:
    assert 1 > nearness(nearer, expected) >= nearness(further, expected) > 0


def test_long_values_of_many_programs_are_not_all_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(4000):
            assert nearness(f"[{number}," + 7900 * "1", "'what was expected'") < 1
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 12 * 1024 * 1024


async def test_a_search_goes_on_past_whole_numbers_that_no_float_holds(tester: SandboxTester) -> None:
    examples = (Example("f(10, 2.5)", "12.5"), Example("f(10, 1000)", "1010.0"), Example("f(3, 0.5)", "3.5"))
    problem = Problem("add", ("f",), (FailedProgram("def f(x, n):\n    return x * n\n"),), examples)
    found = await Search(tester).propose(problem, Budget())
    assert isinstance(found, Proposal)
    assert "x + n" in found.code


@pytest.mark.parametrize("call", ["f({[1]: 2})", "f(1", " f(2)", f"f({5000 * '9'})", f"f({3000 * '-'}1)"])
def test_calls_that_say_no_values_are_left_out_of_what_a_function_might_be(call: str) -> None:
    examples = (Example("f(2)", "3"), Example(call, "1"))
    assert "x + 1" in rewritings("f", ["x"], examples, "", {})
