"""Taking an experiment's steps: make and evaluate programs, keep them, and have a skill's best compared and judged."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.evolution.comparison import Purpose
from autodev_learning.evolution.experiments import Experiment, Step, StopReason
from autodev_learning.evolution.generation import Generation, Wish
from autodev_learning.evolution.individuals import ORIGINAL, Individual, Stage
from autodev_learning.evolution.islands import Islands
from autodev_learning.evolution.judging import Judge
from autodev_learning.evolution.laboratory import Laboratory, Search
from autodev_learning.evolution.mutation_runs import MutationRuns
from autodev_learning.evolution.mutations import Mutation, Order, SandboxStatus, experiment_key
from autodev_learning.evolution.operators import Aim, local_operators
from autodev_learning.evolution.rewriting import PERFORMANCE, Rewrite
from autodev_learning.peers.patience import patiently
from autodev_learning.proposers.allowance import Allowance
from autodev_learning.skills.provenance import Provenance
from autodev_runtime.errors import FailedPrecondition, ResourceExhausted

if TYPE_CHECKING:
    from autodev_learning.store.experiments import ExperimentStore
    from autodev_learning.store.skills import SkillStore

LEAST_BETTER = 0.04
"""How much fitter a rewrite has to be, to be worth the runs in turns: 0.04 is 3 % less time."""
COUNTING_PATIENCE_S = 60.0
RUN = (Stage.QUICK, Stage.ALL, Stage.TIMING, Stage.DONE)


@dataclass(frozen=True)
class Steps:
    """Takes steps. Every part of one is kept before the next part begins, and is safe to repeat."""

    experiments: "ExperimentStore"
    skills: "SkillStore"
    laboratory: Laboratory
    generation: Generation
    runs: MutationRuns
    judge: Judge

    async def resume(self, experiment: Experiment) -> Search | None:
        """The experiment's search as it was after its last step; None where there is nothing to run a skill on.

        Raises FailedPrecondition (NO_SCORE) where the program to start from has none, and what the sandbox raises.
        """
        search = await self.laboratory.search_for(experiment)
        if search is None:
            return None
        if not (made := await self.experiments.individuals(experiment.id)):
            await self.experiments.add_individuals(experiment.id, await search.breeding.begin(search.code))
            made = await self.experiments.individuals(experiment.id)
        if experiment.objective is not None:
            _require_score(made[ORIGINAL])
        done = len(experiment.steps)
        await asyncio.to_thread(search.islands.replay, [each for each in made if each.step <= done], done)
        return search

    async def take(self, experiment: Experiment, search: Search) -> str | None:
        """Take the next step and keep it; or say why there is none. Raises what the sandbox and the services raise."""
        iteration = len(experiment.steps) + 1
        made = await self._made(experiment, search, iteration)
        before = search.islands.best
        await asyncio.to_thread(_taken_in, search.islands, made, iteration)
        step = step_of(iteration, made)
        if experiment.objective is not None:
            best = search.islands.best
            assert best is not None, "a search has its original"
            score = experiment.objective.score(best.fitness)
            step = replace(step, fitness=score, kept=best is not before, summary=f"{step.summary}; best {score:.9g}")
        else:
            try:
                step = await self._compared(experiment, search, step)
            except ResourceExhausted as error:
                if error.reason == "QUOTA_EXCEEDED":
                    return StopReason.QUOTA
                raise
        metrics.EXPERIMENT_STEPS.labels("kept" if step.kept else "not_kept").inc()
        metrics.EXPERIMENT_PROGRAMS.labels("run").inc(step.evaluated)
        metrics.EXPERIMENT_PROGRAMS.labels("known").inc(step.known)
        await self.experiments.add_step(experiment.id, step)
        return None

    async def _made(self, experiment: Experiment, search: Search, iteration: int) -> list[Individual]:
        """What the step made: what is kept of it where it was made before."""
        made = await self.experiments.made_in_step(experiment.id, iteration)
        if not made:
            allowance = allowance_of(experiment)
            try:
                await self.experiments.add_individuals(experiment.id, await search.breeding.breed(iteration, allowance))
            except BaseException:
                # The next try, here or at another replica, asks anew: it may use so much less.
                await self._lose(experiment.id, allowance)
                raise
            made = await self.experiments.made_in_step(experiment.id, iteration)
        return made

    async def _lose(self, experiment_id: str, allowance: Allowance) -> None:
        tokens, cost_usd = allowance.used
        if tokens or cost_usd:
            await patiently(partial(self.experiments.lose, experiment_id, tokens, cost_usd), COUNTING_PATIENCE_S)

    async def _compared(self, experiment: Experiment, search: Search, step: Step) -> Step:
        """The step with its best rewrite compared with the best before it, where there is one that is fitter."""
        found = next_to_compare(experiment, search.islands.individuals)
        if found is None:
            return step
        order = await self._order(experiment, step.iteration)
        wish = Wish(found=rewrite_of(found, search, experiment))
        mutation = await self.generation.generate(order, wish, "")
        run = await self.runs.execute(mutation.id, "") if mutation.code else mutation
        return await self._judged(replace(step, individual=found.number, mutation_id=run.id), run)

    async def _order(self, experiment: Experiment, iteration: int) -> Order:
        skill = await self.skills.get(experiment.skill_id)
        key = experiment_key(experiment.id, iteration)
        use = f"{experiment.id}-{iteration}"
        version, agent, best = experiment.skill_version, experiment.agent_id, experiment.best_mutation_id
        return Order(key, use, skill.id, skill.name, version, agent, best)

    async def _judged(self, step: Step, mutation: Mutation) -> Step:
        if mutation.status is not SandboxStatus.PASSED or mutation.measurements is None:
            return replace(step, summary=f"{step.summary}; {mutation.execution_error}")
        judged = await self.judge.compare(mutation, mutation.measurements)
        comparison = judged.comparison
        done = "; ".join(mutation.provenance.steps)
        return replace(
            step,
            summary=f"{done}: {comparison.explanation}" if done else comparison.explanation,
            kept=comparison.wins,
            time_ratio=comparison.time_ratio,
            fitness=judged.scores[0],
        )


def _taken_in(islands: Islands, made: Sequence[Individual], iteration: int) -> None:
    islands.admit(made)
    islands.end_step(iteration)


def _require_score(original: Individual) -> None:
    """What has no score is neither better nor worse than others, and whatever a search found would be no gain."""
    if original.evaluation.stage is not Stage.DONE:
        raise FailedPrecondition(
            f"the program to start from has no score: {original.evaluation.feedback}", reason="NO_SCORE"
        )


def allowance_of(experiment: Experiment) -> Allowance:
    """What its next step may use: what is left."""
    budget = experiment.budget
    return Allowance(budget.max_tokens - experiment.tokens_used, budget.max_cost_usd - experiment.cost_usd)


def step_of(iteration: int, made: Sequence[Individual]) -> Step:
    """The step that made these."""
    stages = Counter(each.evaluation.stage for each in made)
    evaluated = sum(stages[stage] for stage in RUN)
    summary = f"{evaluated} programs run"
    if stages[Stage.KNOWN]:
        summary += f", {stages[Stage.KNOWN]} known before"
    return Step(
        iteration,
        "",
        summary,
        kept=False,
        tokens=sum(each.offer.tokens for each in made),
        cost_usd=sum(each.offer.cost_usd for each in made),
        evaluated=evaluated,
        known=stages[Stage.KNOWN],
    )


def next_to_compare(experiment: Experiment, individuals: Sequence[Individual]) -> Individual | None:
    """The fittest rewrite that was not compared yet, if it is fitter than the best that was kept, beyond noise."""
    compared = {step.individual for step in experiment.steps}
    best = next((step.individual for step in reversed(experiment.steps) if step.kept), 0)
    fitter = [
        each
        for each in individuals
        if each.evaluation.stage is Stage.DONE
        and each.number not in compared
        and each.fitness >= individuals[best].fitness + LEAST_BETTER
    ]
    return max(fitter, key=lambda each: (each.fitness, -each.number), default=None)


def rewrite_of(found: Individual, search: Search, experiment: Experiment) -> Rewrite:
    """A program as a rewrite, with what was done to come by it, step by step from the original."""
    line = lineage(found, search.islands)
    local = {operator.name for operator in local_operators()}
    faster = search.aim is Aim.FASTER
    provenance = Provenance(
        proposer=PERFORMANCE if faster and found.operator in local else found.operator,
        steps=tuple(each.offer.note or each.operator for each in line),
        prompt_hash=found.offer.prompt_hash,
        tokens=sum(each.offer.tokens for each in line),
        cost_usd=sum(each.offer.cost_usd for each in line),
        programs_tried=experiment.evaluated,
    )
    return Rewrite(found.code, Purpose.FASTER if faster else Purpose.MEND, provenance)


def lineage(individual: Individual, islands: Islands) -> list[Individual]:
    """The program and what it was made of, the original left out, oldest first."""
    line = [individual]
    while line[-1].parent > 0:
        line.append(islands.individuals[line[-1].parent])
    return [each for each in reversed(line) if each.parent >= 0]
