"""Repair search: edit the programs that failed, the best first, until one passes every visible example."""

import asyncio
from dataclasses import dataclass, field

from autodev_learning.proposers import Budget, NoProposal, Problem, Proposal
from autodev_learning.proposers.crossover import cross
from autodev_learning.proposers.frontier import Frontier
from autodev_learning.proposers.solutions import Solutions
from autodev_learning.proposers.trials import Draft, Trial, Trials
from autodev_learning.trial import Tester

BATCH = 64
VARIANTS_KEPT = 12


@dataclass(frozen=True)
class Search:
    """Proposes edited programs, deterministically by the problem's seed where the budget's seconds are no limit."""

    tester: Tester
    name: str = field(default="search", init=False)

    async def propose(self, problem: Problem, budget: Budget) -> Proposal | NoProposal:
        trials = Trials(self.tester, problem, budget)
        pool = await trials.run([Draft(code) for code in starting_codes(problem)])
        if not pool:
            return trials.no_proposal(self.name, "no failing program parses")
        solutions = await Solutions.start(problem, trials, pool)
        if len(problem.entry_points) > 1:
            crossed = await cross(problem, trials, pool)
            await solutions.add(crossed)
            pool += crossed
        return await self._search(problem, trials, pool, solutions)

    async def _search(
        self, problem: Problem, trials: Trials, pool: list[Trial], solutions: Solutions
    ) -> Proposal | NoProposal:
        frontier = Frontier(problem)
        for trial in pool:
            frontier.add(trial, 0)
        reason = "the budget is spent"
        while not trials.exhausted and not solutions.enough:
            batch = await asyncio.to_thread(frontier.batch, BATCH)
            if not batch:
                reason = "every edit was tried"
                break
            parents = {draft.code: (parent, depth) for draft, parent, depth in reversed(batch)}
            found = await trials.run([draft for draft, _, _ in batch])
            await solutions.add(found)
            for trial in found:
                parent, depth = parents[trial.code]
                if trial.timed_out and not parent.timed_out:
                    frontier.charge(parent)
                if trial.score >= parent.score and not trial.passes_all:
                    frontier.add(trial, depth)
                    pool.append(trial)
        best = solutions.best()
        return trials.proposal(self.name, best) if best else trials.no_proposal(self.name, reason, fittest(pool))


def starting_codes(problem: Problem) -> list[str]:
    return list(dict.fromkeys((*problem.variants, *(failure.code for failure in problem.failures))))


def fittest(pool: list[Trial]) -> list[str]:
    return [trial.code for trial in sorted(pool, key=lambda trial: -trial.score)[:VARIANTS_KEPT]]
