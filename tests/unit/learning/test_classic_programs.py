"""The classic programs of the benchmark are right, and wrong by one line, as a proposer can see."""

import pytest

from autodev_learning.trial import SandboxTester
from benchmarks.learning.classic import PROGRAMS
from benchmarks.learning.classic.program import Classic
from benchmarks.proposer_search import problem_of


def test_no_two_have_a_name() -> None:
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
async def test_a_program_is_wrong_by_one_line_only(program: Classic, tester: SandboxTester) -> None:
    assert program.code.count(program.right) == 1
    assert len(program.right.splitlines()) == 1
    assert len(program.wrong.splitlines()) <= 1
    task = program.task
    visible = problem_of(task, task.failures, (), 0).visible
    assert len(visible) < len(task.examples)
    patient = SandboxTester(tester.execute, seconds_per_program=2.0)
    calls = [example.call for example in task.examples]
    right, broken = await patient.run([program.code, program.broken], program.preamble, calls)
    assert all(outcome.meets(example) for outcome, example in zip(right, task.examples, strict=True))
    assert not all(
        outcome.meets(example) for outcome, example in zip(broken, task.examples, strict=True) if example in visible
    )
