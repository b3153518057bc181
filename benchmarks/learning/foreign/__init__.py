"""Functions that others wrote, of Python's standard library, each with one mistake that nobody chose."""

import random
from collections.abc import Sequence
from typing import Final

from autodev_learning.examples import Example, split_held_out
from autodev_learning.trial import CallOutcome, SandboxTester
from benchmarks.learning.classic.program import Classic
from benchmarks.learning.foreign.lifting import NotThere, lifted
from benchmarks.learning.foreign.mutants import Mutant, mutants
from benchmarks.learning.foreign.subjects import SUBJECTS, Subject

MUTANTS_EACH: Final = 2
TRIED_OF_A_KIND: Final = 8
LEAST_TESTS: Final = 5


async def programs(
    seed: int, tester: SandboxTester, subjects: Sequence[Subject] = SUBJECTS
) -> tuple[list[Classic], list[str]]:
    """Of each function some programs, with mistakes of different kinds drawn by the seed; what this Python lacks."""
    found: list[Classic] = []
    missing: list[str] = []
    for subject in subjects:
        try:
            found += await _programs_of(subject, random.Random(f"{seed} {subject.module} {subject.name}"), tester)
        except NotThere as error:
            missing.append(str(error))
    return found, missing


async def _programs_of(subject: Subject, draw: random.Random, tester: SandboxTester) -> list[Classic]:
    right = lifted(subject.module, subject.name)
    given = (await tester.run([right.code], right.preamble, subject.calls))[0]
    tests = tuple((call, each.value) for call, each in zip(subject.calls, given, strict=True) if each.value is not None)
    if len(tests) < LEAST_TESTS:
        raise NotThere(f"{subject.module}.{subject.name}")
    return [
        Classic(f"{subject.name} ({each.kind})", subject.does, right.code, right.code, each.code, tests, right.preamble)
        for each in await _noticed(_drawn(mutants(right.code), draw), right.preamble, tests, tester)
    ]


def _drawn(all_of_them: Sequence[Mutant], draw: random.Random) -> list[list[Mutant]]:
    """Some of each kind, kinds and mutants in drawn order."""
    kinds = sorted({each.kind for each in all_of_them})
    draw.shuffle(kinds)
    of_kind = {kind: [each for each in all_of_them if each.kind == kind] for kind in kinds}
    return [draw.sample(each, min(len(each), TRIED_OF_A_KIND)) for each in of_kind.values()]


async def _noticed(
    kinds: Sequence[Sequence[Mutant]], preamble: str, tests: Sequence[tuple[str, str]], tester: SandboxTester
) -> list[Mutant]:
    """The first of each kind that fails a test which is not held out, as many as are wanted."""
    visible, _ = split_held_out([Example(call, expected) for call, expected in tests])
    noticed: list[Mutant] = []
    for some in kinds:
        if len(noticed) == MUTANTS_EACH:
            break
        rows = await tester.run([each.code for each in some], preamble, [example.call for example in visible])
        noticed += [mutant for mutant, row in zip(some, rows, strict=True) if not _passes(row, visible)][:1]
    return noticed


def _passes(row: Sequence[CallOutcome], examples: Sequence[Example]) -> bool:
    return all(outcome.meets(example) for outcome, example in zip(row, examples, strict=True))
