"""What becomes of a mutation that passed: scored, compared with its parent, and then to a person, on trial, or away."""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.evolution.canary import may_promote_itself, trial_share
from autodev_learning.evolution.mutation_runs import MutationRuns
from autodev_learning.evolution.mutations import Measurements, Mutation, Outcome, SandboxStatus, review_for, tool_id
from autodev_learning.peers.capabilities import Capabilities
from autodev_learning.peers.fitness import Cause, Comparison, FirstRun, FitnessClient, Runs, Variant

if TYPE_CHECKING:
    from autodev_learning.store.mutations import MutationStore
    from autodev_learning.store.skills import SkillStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """How a mutation compares with a parent: `scores` are its fitness and the parent's."""

    comparison: Comparison
    scores: tuple[float, float]


class Judge:
    """Decides about mutations that passed in the sandbox. Every step is safe to repeat."""

    def __init__(
        self,
        mutations: "MutationStore",
        skills: "SkillStore",
        capabilities: Capabilities,
        fitness: FitnessClient,
        runs: MutationRuns,
        canary_share: float,
    ) -> None:
        self._mutations = mutations
        self._skills = skills
        self._capabilities = capabilities
        self._fitness = fitness
        self._runs = runs
        self._canary_share = canary_share

    async def after_run(self, mutation_id: str, caused_by: str) -> None:
        """Judge a mutation that was run; an experiment judges its own."""
        mutation = await self._mutations.get(mutation_id)
        if not mutation.experiment_id:
            await self.judge(mutation_id, caused_by)

    async def judge(self, mutation_id: str, caused_by: str) -> Mutation:
        """Compare a mutation with the parent it ran against and decide, once."""
        mutation = await self._mutations.get(mutation_id)
        if mutation.status is not SandboxStatus.PASSED or mutation.outcome is not Outcome.OPEN:
            return mutation
        assert mutation.measurements is not None, "a mutation that passed was measured"
        judged = await self.compare(mutation, mutation.measurements, caused_by)
        return await self._decide(mutation, mutation.measurements, judged, caused_by)

    async def judge_against_version(self, mutation: Mutation) -> Mutation:
        """Run a mutation that was made from another one in turns with the version both rewrite, and decide, once."""
        if mutation.outcome is not Outcome.OPEN:
            return mutation
        if not mutation.parent_mutation_id:
            return await self.judge(mutation.id, "")
        version = await self._skills.version(mutation.skill_id, mutation.parent_version)
        proof = await self._runs.prove(mutation, version.code)
        if proof.fault:
            return await self._mutations.discard(mutation.id, proof.fault)
        result = await self._runs.in_turns(mutation, version.code)
        if result.behaviour.fault or result.measurements is None:
            return await self._mutations.discard(mutation.id, result.behaviour.fault)
        own = replace(mutation, parent_mutation_id="", overfit=mutation.overfit or proof.overfit)
        judged = await self.compare(own, result.measurements)
        return await self._decide(own, result.measurements, judged, "")

    async def compare(self, mutation: Mutation, measured: Measurements, caused_by: str = "") -> Judged:
        """Score a mutation and its parent in the fitness service, and compare them. Again: the same answer."""
        cause = Cause(mutation.thread, caused_by)
        parent = await self._parent_variant(mutation, measured.parent, cause)
        variant_id = await self.spawn(mutation)
        score = await self._fitness.evaluate(variant_id, FirstRun(parses=True, succeeded=True), cause)
        runs = measured.mutation, measured.parent
        comparison = await self._fitness.compare(mutation.id, variant_id, parent.id, runs, cause)
        await self._mutations.record_comparison(mutation.id, comparison)
        return Judged(comparison, (score.fitness, parent.fitness))

    async def spawn(self, mutation: Mutation) -> str:
        """The mutation's variant in the fitness service, made on first use."""
        if mutation.variant_id:
            return mutation.variant_id
        parent_id = await self.parent_variant_id(mutation)
        definition = {"skill_id": mutation.skill_id, "mutation_id": mutation.id, "version": mutation.parent_version}
        made = await self._fitness.create(f"mutation:{mutation.id}", mutation.agent_id, definition, parent_id)
        await self._mutations.set_variant(mutation.id, made.id)
        return made.id

    async def parent_variant_id(self, mutation: Mutation) -> str:
        """The variant of what the mutation was made from, made on first use."""
        if mutation.parent_mutation_id:
            return await self.spawn(await self._mutations.get(mutation.parent_mutation_id))
        version = await self._skills.version(mutation.skill_id, mutation.parent_version)
        if version.variant_id:
            return version.variant_id
        definition = {"skill_id": mutation.skill_id, "version": version.version}
        key = tool_id(mutation.skill_id, version.version)
        made = await self._fitness.create(f"version:{key}", mutation.agent_id, definition)
        await self._mutations.set_version_variant(mutation.skill_id, version.version, made.id)
        return made.id

    async def _parent_variant(self, mutation: Mutation, runs: Runs, cause: Cause) -> Variant:
        parent = await self._fitness.get(await self.parent_variant_id(mutation))
        if parent.evaluated:
            return parent
        # The score of a first run: what a person thought of the version says nothing about how it runs.
        run = FirstRun(parses=True, succeeded=runs.correct == runs.total)
        return await self._fitness.evaluate(parent.id, run, cause)

    async def _decide(self, mutation: Mutation, measured: Measurements, judged: Judged, caused_by: str) -> Mutation:
        comparison = judged.comparison
        if not comparison.wins:
            log.info("mutation %s does not win: %s", mutation.id, comparison.explanation)
            metrics.MUTATIONS.labels(Outcome.DISCARDED).inc()
            return await self._mutations.discard(mutation.id, comparison.explanation)
        # What is suspected to be wrong somewhere is for a person to look at, who is told where.
        if not mutation.overfit and await may_promote_itself(self._capabilities, mutation.agent_id):
            share = await trial_share(self._capabilities, self._canary_share)
            tried = await self._mutations.put_on_trial(mutation.id, share, comparison.explanation, caused_by=caused_by)
            log.info("mutation %s wins and is %s", mutation.id, tried.outcome)
            metrics.MUTATIONS.labels(tried.outcome).inc()
            return tried
        version = await self._skills.version(mutation.skill_id, mutation.parent_version)
        review = await asyncio.to_thread(review_for, mutation, version.code, measured, comparison, judged.scores)
        log.info("mutation %s waits for a person: %s", mutation.id, comparison.explanation)
        metrics.MUTATIONS.labels(Outcome.IN_REVIEW).inc()
        return await self._mutations.ask_for_review(mutation.id, review, comparison.explanation, caused_by)
