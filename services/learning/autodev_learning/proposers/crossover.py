"""Cross programs function by function: each function from the program that is best at it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autodev_learning.proposers import Budget, NoProposal, Problem, Proposal
from autodev_learning.proposers.functions import Statement, combined, definitions, examples_about
from autodev_learning.proposers.trials import Draft, Trial, Trials
from autodev_learning.trial import Tester

MAX_SWEEPS = 3
MAX_DONORS = 24
VARIANTS_KEPT = 12


@dataclass(frozen=True)
class Crossover:
    """Proposes programs made of the failures' and variants' functions."""

    tester: Tester
    name: str = field(default="crossover", init=False)

    async def propose(self, problem: Problem, budget: Budget) -> Proposal | NoProposal:
        trials = Trials(self.tester, problem, budget)
        if len(problem.entry_points) < 2:
            return trials.no_proposal(self.name, "crossing needs a task of several functions")
        codes = dict.fromkeys((*problem.variants, *(failure.code for failure in problem.failures)))
        pool = await trials.run([Draft(code) for code in codes])
        crossed = await cross(problem, trials, pool)
        for trial in crossed:
            if trial.passes_all:
                return trials.proposal(self.name, trial)
        best = sorted(crossed, key=lambda trial: -trial.score)[:VARIANTS_KEPT]
        return trials.no_proposal(self.name, "no crossing passes every example", [trial.code for trial in best])


async def cross(problem: Problem, trials: Trials, pool: Sequence[Trial]) -> list[Trial]:
    """Improve the best program by one donor's function at a time until none helps; give every crossing tried."""
    crossed: list[Trial] = [trial for trial in pool if trial.passes_all]
    bound = {trial.code: definitions(trial.code) for trial in pool}
    best = max(pool, key=lambda trial: trial.score, default=None)
    for _ in range(MAX_SWEEPS):
        if best is None or best.passes_all or trials.exhausted:
            break
        found = await trials.run(list(_crossings(problem, best, pool, bound)))
        crossed += found
        for trial in found:
            bound[trial.code] = definitions(trial.code)
        better = max(found, key=lambda trial: trial.score, default=None)
        if better is None or better.score <= best.score:
            break
        best = better
    return crossed


def _crossings(
    problem: Problem, base: Trial, pool: Sequence[Trial], bound: Mapping[str, Mapping[str, Statement]]
) -> Iterator[Draft]:
    for entry in problem.entry_points:
        about = examples_about(entry, problem.visible)
        if about and all(base.passed[index] for index in about):
            continue
        donors = sorted(pool, key=lambda trial: -sum(trial.passed[index] for index in about))
        for donor in donors[:MAX_DONORS]:
            chosen = {name: donor if name == entry else base for name in problem.entry_points}
            code = combined({name: bound[trial.code] for name, trial in chosen.items()})
            if code is not None:
                yield Draft(code, (*base.edits, f"take `{entry}` from another attempt", *donor.edits))
