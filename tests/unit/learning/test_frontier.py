"""What is edited next: the most promising programs, and the one that failed in every round."""

import random
from dataclasses import replace

from autodev_learning.examples import Example
from autodev_learning.proposers import Budget, FailedProgram, Problem
from autodev_learning.proposers.bench import Bench
from autodev_learning.proposers.candidates import Candidate, Outline, split
from autodev_learning.proposers.frontier import EDITS_A_TURN, PARENTS_A_ROUND, Frontier, ordered
from autodev_learning.proposers.pieces import Piece
from autodev_learning.trial import SandboxTester

CODE = "def f(xs):\n    n = 0\n    for x in xs:\n        n += 1\n    return n\n"
EXAMPLES = (Example("f([5])", "5"), Example("f([2, 3])", "5"), Example("f([])", "0"))


async def start(tester: SandboxTester) -> tuple[Bench, Candidate]:
    problem = Problem("add up", ("f",), (FailedProgram(CODE),), EXAMPLES)
    bench = Bench(tester.screener(), problem, Budget())
    (candidate,) = await bench.outcomes([Candidate(split(CODE))], range(len(EXAMPLES)))
    return bench, candidate


async def test_the_failed_program_has_a_turn_beside_more_promising_ones(tester: SandboxTester) -> None:
    bench, failed = await start(tester)
    frontier = Frontier(bench, range(3), ["f"], ())
    frontier.add(failed)
    for number in range(2, 2 + 2 * PARENTS_A_ROUND):
        code = CODE.replace("n += 1", f"n += {number}")
        nearer = replace(failed, pieces=split(code), edits=("step otherwise",), near=(1.0, 0.9, 1.0))
        frontier.add(replace(nearer, outcomes=failed.outcomes * number))
    for _ in range(3):
        made = await frontier.batch(1)
        assert sum(candidate.depth == 1 for candidate in made) > EDITS_A_TURN / 2
        assert sum(candidate.depth == 2 for candidate in made) > EDITS_A_TURN / 2


async def test_every_edit_has_its_turn(tester: SandboxTester) -> None:
    bench, failed = await start(tester)
    frontier = Frontier(bench, range(3), ["f"], ())
    frontier.add(failed)
    made = []
    while batch := await frontier.batch(1):
        made += batch
    piece = Piece(failed.pieces[0], Outline.of(failed.pieces).around)
    possible = {piece.apply(edit) for _, edit in ordered(piece, 0, {}, random.Random(0))}
    assert {candidate.code for candidate in made} == possible


async def test_what_is_no_program_has_no_edits(tester: SandboxTester) -> None:
    bench, failed = await start(tester)
    frontier = Frontier(bench, range(3), ["f"], ())
    (broken,) = await bench.outcomes([replace(failed, pieces=("def f(xs):\n    return xs in1\n",))], range(3))
    frontier.add(broken)
    assert await frontier.batch(1) == []


async def test_nothing_is_edited_once_the_budget_is_spent(tester: SandboxTester) -> None:
    bench, failed = await start(tester)
    bench.budget = Budget(seconds=0.0)
    frontier = Frontier(bench, range(3), ["f"], ())
    frontier.add(failed)
    assert await frontier.batch(1) == []
