"""Functions lifted from the standard library do as they do there, and a mutant differs from them by one mistake."""

import ast
import difflib
import importlib

import pytest

from autodev_learning.trial import SandboxTester
from benchmarks.learning.foreign import MUTANTS_EACH, programs
from benchmarks.learning.foreign.lifting import NotThere, lifted
from benchmarks.learning.foreign.mutants import mutants
from benchmarks.learning.foreign.subjects import SUBJECTS, Subject
from benchmarks.proposer_search import problem_of
from tests.conftest import require


def test_no_subject_comes_twice() -> None:
    assert len({(subject.module, subject.name) for subject in SUBJECTS}) == len(SUBJECTS)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
async def test_a_lifted_function_gives_what_the_library_gives(subject: Subject, tester: SandboxTester) -> None:
    try:
        function = lifted(subject.module, subject.name)
    except NotThere as error:
        require(None, f"this Python has no {error}")
        raise
    (given,) = await tester.run([function.code], function.preamble, subject.calls)
    module = vars(importlib.import_module(subject.module)) | {"__builtins__": __builtins__}
    if subject.name in module:  # Some modules delete their helpers at the end.
        for call, outcome in zip(subject.calls, given, strict=True):
            assert outcome.value == repr(eval(call, module)), call
    assert sum(outcome.value is not None for outcome in given) >= 5
    assert all(each.code != function.code for each in mutants(function.code))


def test_mutants_are_programs_with_one_change() -> None:
    code = '''def f(xs, n=1):
    """What f does: 1 + 1."""
    total = 0
    for x in xs[n:]:
        if x < 0 and not n:
            break
        total += x * 2
    return total
'''
    found = mutants(code)
    assert {each.kind for each in found} == {
        "another variable",
        "and, or",
        "arithmetic operator",
        "bound of a slice left out",
        "break, continue",
        "comparison",
        "condition negated",
        "constant",
        "loop runs backwards",
        "loop runs once",
        "statement left out",
        "unary operator left out",
    }
    for each in found:
        ast.parse(each.code)
        changed = [line for line in difflib.ndiff(code.splitlines(), each.code.splitlines()) if line[0] in "+-"]
        assert 1 <= len(changed) <= 3, each
        assert '"""What f does: 1 + 1."""' in each.code


def test_a_mutant_may_read_a_name_of_pythons_own_that_the_program_binds() -> None:
    code = "def f(iter, n):\n    for iter in range(n):\n        n = iter\n    return n\n"
    assert code.replace("return n", "return iter") in [each.code for each in mutants(code)]


async def test_a_seed_draws_the_same_programs_each_wrong_on_what_a_proposer_sees(tester: SandboxTester) -> None:
    found, _ = await programs(5, tester, SUBJECTS[:4])
    again, _ = await programs(5, tester, SUBJECTS[:4])
    assert found == again
    assert 4 <= len(found) <= 4 * MUTANTS_EACH
    for program in found:
        task = program.task
        visible = problem_of(task, task.failures, (), 0).visible
        calls = [example.call for example in visible]
        right, broken = await tester.run([program.code, program.broken], program.preamble, calls)
        assert all(outcome.meets(example) for outcome, example in zip(right, visible, strict=True))
        assert not all(outcome.meets(example) for outcome, example in zip(broken, visible, strict=True))
