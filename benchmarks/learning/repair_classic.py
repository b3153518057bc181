"""Classic programs with one wrong line, each alone: how many are repaired, and how many of the repairs are wrong.

Done and judged as row `repair` is, with its budget and its bars. That the suite's author knew the operators is no small
print: what is not repaired says more than how many are.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from autodev_learning.proposers.probes import probes
from autodev_learning.trial import Execute, SandboxTester
from benchmarks.figures import Bar, Row, Side, judged
from benchmarks.learning.classic import PROGRAMS
from benchmarks.learning.classic.program import Classic
from benchmarks.learning.effort import Effort
from benchmarks.learning.processor import processor_seconds
from benchmarks.learning.repair import BUDGET, Attempted, counted, in_words
from benchmarks.proposer_search import problem_of, solve
from tests.unit.learning.sandboxed import namespace_execute

BARS: Final[Mapping[str, Bar]] = {
    "repair-classic": Bar("classic programs with a wrong line repaired", Side.AT_LEAST, 60, "%"),
    "repair-classic-overfit": Bar("of what was proposed for them, overfit", Side.AT_MOST, 5, "%"),
    "repair-classic-seconds": Bar("processor time for a classic program, mean", Side.AT_MOST, 5, "s"),
}
QUICK: Final = 8
"""With --quick, every eighth program."""


async def measure(names: Collection[str], effort: Effort) -> Mapping[str, Row]:
    """Repair the programs; the three rows come from the same run."""
    programs = PROGRAMS[::QUICK] if effort.quick else PROGRAMS
    rows = await repaired(programs, BARS, effort.seed, await namespace_execute())
    return {name: row for name, row in rows.items() if name in names}


async def repaired(
    programs: Sequence[Classic], bars: Mapping[str, Bar], seed: int, execute: Execute, notes: Sequence[str] = ()
) -> Mapping[str, Row]:
    """The share repaired, the share of overfit proposals and the mean time, by the bars' names in this order."""
    done = await attempt(programs, seed, execute)
    solved, proposed, overfit, rewritten, seconds = counted(done)
    found = (
        (f"{solved} of {len(done)}, {rewritten} of them written anew", 100 * solved / len(done)),
        (f"{overfit} of {proposed}", 100 * overfit / max(1, proposed)),
        (f"{len(done)} programs", seconds),
    )
    details = (*in_detail(done, await alike_of(programs, done, execute)), *notes)
    return {
        name: judged(bar, figure, "", measured, () if number else details)
        for number, ((name, bar), (figure, measured)) in enumerate(zip(bars.items(), found, strict=True))
    }


async def attempt(programs: Sequence[Classic], seed: int, execute: Execute) -> list[Attempted]:
    """Try every program."""
    done = []
    for program in programs:
        before = processor_seconds()
        task = program.task
        problem = problem_of(task, task.failures, (), seed)
        result = await solve(task, program.name, problem, ["search"], BUDGET, execute)
        done.append(Attempted(result, processor_seconds() - before))
        print(f"  {program.name}: {in_words(done[-1])}", flush=True)
    return done


async def alike_of(programs: Sequence[Classic], done: Sequence[Attempted], execute: Execute) -> list[str]:
    """Of what was repaired, what gives on other inputs, too, what the right program gives where it gives anything."""
    found = []
    for program, each in zip(programs, done, strict=True):
        if each.result.solved:
            calls = probes(program.task.examples)
            tester = SandboxTester(execute, seconds_per_program=5.0)
            right, repaired = await tester.run([program.code, each.result.code], program.preamble, calls)
            pairs = [pair for pair in zip(right, repaired, strict=True) if pair[0].value is not None]
            if all(one.value == other.value for one, other in pairs):
                found.append(program.name)
    return found


def in_detail(done: Sequence[Attempted], alike: Collection[str]) -> list[str]:
    """A table, as docs/results.md has it, and the names of what was not repaired."""
    solved, proposed, overfit, rewritten, seconds = counted(done)
    missed = [each.result.task for each in done if not each.result.proposed]
    wrong = [each.result.task for each in done if each.result.proposed and not each.result.solved]
    unlike = [each.result.task for each in done if each.result.solved and each.result.task not in alike]
    return [
        "| programs | proposed | repaired | right on other inputs | written anew | overfit | processor s |",
        "|---|---|---|---|---|---|---|",
        f"| {len(done)} | {proposed} | {solved} | {len(alike)} | {rewritten} | {overfit} | {seconds:.1f} |",
        f"nothing proposed: {', '.join(missed) or 'none'}",
        f"overfit: {', '.join(wrong) or 'none'}",
        f"repaired, and unlike the right program on other inputs: {', '.join(unlike) or 'none'}",
    ]
