"""Evaluation in stages, in the real sandbox."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio

from autodev_learning.evolution.cascade import ScoreEvaluator, SkillEvaluator
from autodev_learning.evolution.comparison import KnownInput
from autodev_learning.evolution.individuals import Evaluation, Stage
from autodev_learning.evolution.objectives import Objective, named_objectives, score_from, scored_value
from autodev_learning.evolution.operators import Aim
from autodev_learning.evolution.rewriting import Program
from autodev_learning.evolution.screening import Lanes, alone, single, together
from autodev_learning.evolution.timing import Timer
from autodev_learning.trial import CallOutcome, Execute, Execution, SandboxTester
from tests.unit.learning.evolving import SLOW
from tests.unit.learning.sandboxed import each_by

SWALLOWS = """def f(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""
FORGES = """import os
for fd in range(3, 64):
    try:
        os.write(fd, b'[{"value": "9"}]\\n')
    except OSError:
        pass
def f(x):
    return 1
"""
GOOD = "def f(x):\n    return {0}\n"
BAD = {
    "ends": "import os\nos._exit(0)\n",
    "endless": "def f(x):\n    while True: pass\n",
    "swallows": SWALLOWS,
    "raises": "def f(x):\n    raise ValueError(x)\n",
    "no python": "def f(:\n",
    "huge": "def f(x):\n    return 'a' * 10_000_000\n",
    "forges": FORGES,
}


@pytest_asyncio.fixture
async def execute(tester: SandboxTester) -> Execute:
    return tester.execute


async def test_many_programs_share_a_process_and_those_that_fail_harm_no_other(execute: Execute) -> None:
    bad = [code for name, code in BAD.items() if name != "forges"]
    programs = [code for index, wrong in enumerate(bad) for code in (wrong, GOOD.format(index))] + [GOOD.format("x")]
    rows = await together(execute, 0.8, lanes=2, at_once=8).run(programs, "", ["f(7)"])
    assert [row[0].value for row in rows[1::2]] == [str(index) for index in range(len(bad))]
    assert rows[-1][0].value == "7"
    errors = [(row[0].error or "").partition(":")[0] for row in rows[0:-1:2]]
    assert errors == ["Exited", "timeout", "timeout", "ValueError", "SyntaxError", "OverflowError"]


async def test_a_shared_process_and_one_alone_say_the_same_of_honest_programs(execute: Execute) -> None:
    programs = [GOOD.format(value) for value in ("x", "[x, x]", "{1: x}", "x / 0", "'\\0'")]
    calls = ["f(1)", "f('é')"]
    apart = await alone(execute, 0.4, lanes=2).run(programs, "import math", calls)
    assert await single(each_by(execute), 0.4, lanes=2).run(programs, "import math", calls) == apart
    assert await together(execute, 0.4, lanes=2).run(programs, "import math", calls) == apart


async def test_a_program_without_a_process_of_its_own_harms_no_other(execute: Execute) -> None:
    prints = (
        "import sys\ndef f(x):\n    print('a' * 10_000_000)\n    sys.stderr.write('b' * 10_000_000)\n    return 2\n"
    )
    sleeps = "import time\ndef f(x):\n    time.sleep(60)\n"
    rows = await single(each_by(execute), 0.8, lanes=2).run(
        [*BAD.values(), prints, sleeps, GOOD.format("x")], "", ["f(7)"]
    )
    assert [row[0].value for row in rows] == [None] * 6 + ["1", "2", None, "7"]
    errors = [(row[0].error or "") for row in rows[:6]]
    assert errors[0].startswith("Sandbox: ")
    assert [error.partition(":")[0] for error in errors[3:]] == ["ValueError", "SyntaxError", "OverflowError"]
    assert "timeout" in errors[1]


async def test_annotations_are_as_the_program_wrote_them(execute: Execute) -> None:
    code = "def f(x: 'int') -> len:\n    return f.__annotations__['return'] is len\n"
    runners = (alone(execute, 0.8, 2), single(each_by(execute), 0.8, 2), together(execute, 0.8, 2))
    assert [await runner.run([code], "", ["f(1)"]) for runner in runners] == [[(CallOutcome(value="True"),)]] * 3


@pytest.fixture
def objective() -> Objective:
    return Objective("as large as can be", "f(1)", "def score(value):\n    return value\n", GOOD.format(0))


def scoring(objective: Objective, execute: Execute, *, shared: bool = True) -> ScoreEvaluator:
    proof = single(each_by(execute), 0.8, 2)
    return ScoreEvaluator(
        objective, together(execute, 0.8, 2) if shared else proof, proof, SandboxTester(execute, 10.0)
    )


async def test_programs_are_scored_by_what_they_give(execute: Execute, objective: Objective) -> None:
    codes = [GOOD.format(value) for value in ("3", "-1.5", "object()", "'text'", "float('nan')", "1 / 0", "3")]
    found = await scoring(objective, execute).evaluate(codes, 99)
    assert [each.stage for each in found] == [Stage.DONE] * 2 + [Stage.QUICK] * 4 + [Stage.DONE]
    assert [each.fitness for each in found if each.stage is Stage.DONE] == [3.0, -1.5, 3.0]
    assert "ZeroDivisionError" in found[5].feedback
    least = Objective("least", "f(1)", objective.scorer, "", minimise=True)
    (smaller,) = await scoring(least, execute, shared=False).evaluate([GOOD.format(-2)], 0)
    assert (smaller.fitness, least.score(smaller.fitness)) == (2.0, -2.0)


async def test_a_best_that_another_program_made_is_not_believed(execute: Execute, objective: Objective) -> None:
    spoils = "import builtins\nbuiltins.abs = lambda value: 1000\ndef f(x):\n    return 1\n"
    lucky = GOOD.format("abs(-5)")
    evaluator = scoring(objective, execute)
    spoilt = await evaluator.screening.run([spoils, lucky], "", ["f(1)"])
    assert spoilt[1][0].value in ("1000", "5")
    found = await evaluator.evaluate([spoils, lucky], best=1.0)
    assert [each.fitness for each in found] == [1.0, 5.0]


async def test_a_forged_outcome_is_no_better_than_the_program(execute: Execute, objective: Objective) -> None:
    (found,) = await scoring(objective, execute).evaluate([BAD["forges"]], best=0.5)
    assert (found.stage, found.fitness) == (Stage.DONE, 1.0)


@pytest.mark.parametrize(("text", "literal"), [("[1, (2.5, 'a')]", True), ("__import__('os')", False), (None, False)])
def test_only_literals_come_to_a_scorer(text: str | None, literal: bool) -> None:
    assert scored_value(text) == (text if literal else None)


@pytest.mark.parametrize(
    ("text", "score"),
    [("2", 2.0), ("True", None), ("1e999", None), ("1" + 400 * "0", None), ("'2'", None), ("[", None)],
)
def test_only_a_finite_number_is_a_score(text: str, score: float | None) -> None:
    assert score_from(text) == score


@pytest.mark.parametrize("minimise", [False, True])
def test_a_fitness_is_the_higher_the_better_and_tells_its_score(minimise: bool) -> None:
    objective = Objective("", "f()", "", "", minimise=minimise)
    fitness = [objective.fitness(score) for score in (-1.5, 0.0, 2.0)]
    assert fitness == sorted(fitness, reverse=minimise)
    assert [objective.score(each) for each in fitness] == [-1.5, 0.0, 2.0]


@pytest.mark.parametrize(
    ("minimise", "score", "ends"),
    [
        (False, 1.9, False),
        (False, 2.0, True),
        (False, 2.1, True),
        (True, 1.9, True),
        (True, 2.0, True),
        (True, 2.1, False),
    ],
)
def test_a_search_ends_at_its_goal_where_it_has_one(minimise: bool, score: float, ends: bool) -> None:
    objective = Objective("", "f()", "", "", minimise=minimise, goal=2.0)
    assert objective.reached(objective.fitness(score)) is ends
    assert not replace(objective, goal=None).reached(objective.fitness(score))


async def test_the_named_objectives_score_their_own_beginning(execute: Execute) -> None:
    for objective in named_objectives().values():
        assert (await scoring(objective, execute).original(objective.initial_code)).stage is Stage.DONE


FAST = "def f(items):\n    return list(dict.fromkeys(items))\n"
INPUTS = (
    KnownInput("f([3, 1, 3])", "[3, 1]"),
    KnownInput("f([])", "[]"),
    KnownInput("f(list(range(3000)) * 2)[:3]"),
)


async def for_skill(execute: Execute, aim: Aim, code: str, inputs: Sequence[KnownInput] = INPUTS) -> SkillEvaluator:
    program = Program(code, "", "distinct", ("f",), tuple(inputs))
    calls = [each.call for each in inputs]
    reference = await Timer(execute).time(code, "", calls, [10.0] * len(calls))
    return SkillEvaluator(program, aim, reference, execute, alone(execute, 0.8, 2), 10.0)


async def test_rewrites_of_a_skill_fail_at_the_first_stage_that_shows_it(execute: Execute) -> None:
    evaluator = await for_skill(execute, Aim.FASTER, SLOW)
    original = await evaluator.original(SLOW)
    assert (original.stage, original.quality, original.fitness) == (Stage.TIMING, 1.0, 1.0)
    reversed_ = FAST.replace("items))", "items))[::-1]")
    only_small = FAST.replace("return", "return items if len(items) > 100 else")
    found = await evaluator.evaluate([FAST, reversed_, only_small], 1.0)
    assert [each.stage for each in found] == [Stage.DONE, Stage.QUICK, Stage.DONE]
    assert found[0].fitness > 2
    assert "f([3, 1, 3]) gives [1, 3]" in found[1].feedback
    assert found[0].latency_s < original.latency_s / 2


async def test_what_is_wrong_on_a_large_input_only_is_found_by_all(execute: Execute) -> None:
    evaluator = await for_skill(execute, Aim.FASTER, SLOW)
    wrong = "def f(items):\n    return list(dict.fromkeys(items)) if len(items) < 100 else []\n"
    (found,) = await evaluator.evaluate([wrong], 1.0)
    assert (found.stage, round(found.quality, 2)) == (Stage.ALL, 0.67)
    assert found.fitness < 1


async def test_mending_counts_how_much_is_right(execute: Execute) -> None:
    inputs = INPUTS[:2]
    evaluator = await for_skill(execute, Aim.MEND, "def f(items):\n    return list(items)\n", inputs)
    original = await evaluator.original("def f(items):\n    return list(items)\n")
    assert (original.stage, original.fitness) == (Stage.ALL, 0.5)
    found: Sequence[Evaluation] = await evaluator.evaluate([FAST, "def f(items):\n    return None\n"], 0.5)
    assert [each.stage for each in found] == [Stage.DONE, Stage.QUICK]
    assert found[0].fitness >= 1


async def test_lanes_keep_the_order_and_the_bound() -> None:
    at_work, most = 0, 0

    class Counting:
        async def run(
            self, programs: Sequence[str], preamble: str, calls: Sequence[str]
        ) -> list[tuple[CallOutcome, ...]]:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.001 * (len(programs[0]) % 3))
            at_work -= 1
            return [(CallOutcome(value=program),) for program in programs]

    programs = [str(number) for number in range(50)]
    rows = await Lanes(Counting(), lanes=3, at_once=4).run(programs, "", ["f()"])
    assert [row[0].value for row in rows] == programs
    assert most == 3


async def test_time_and_memory_are_what_the_executions_took() -> None:
    seconds = {SLOW: 8.0, FAST: 2.0, "even": 7.9}

    async def execute(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
        calls = inputs["calls"]
        assert isinstance(calls, list)
        took = seconds[str(inputs["program"])]
        return Execution(True, [{"value": "1", "seconds": took}] * len(calls), memory_bytes=77)

    evaluator = await for_skill(execute, Aim.FASTER, SLOW, [KnownInput("f([])", "1")])
    original = await evaluator.original(SLOW)
    assert (original.latency_s, original.memory_bytes) == (8.0, 77)
    fast, even = await evaluator.evaluate([FAST, "even"], 1.0)
    assert (fast.stage, fast.fitness, fast.latency_s, fast.memory_bytes) == (Stage.DONE, 3.0, 2.0, 77)
    assert (even.stage, even.fitness) == (Stage.TIMING, 1.0)
    assert "takes 7.9 s" in even.feedback
