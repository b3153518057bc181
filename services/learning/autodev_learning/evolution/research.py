"""Running research experiments: one task each, beside the calls that follow them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.advisor import guidance_for
from autodev_learning.evolution.experiments import (
    Experiment,
    ExperimentBudget,
    ExperimentState,
    Step,
    StopReason,
    reason_to_stop,
)
from autodev_learning.evolution.generation import Generation, Wish
from autodev_learning.evolution.judging import Judge
from autodev_learning.evolution.mutation_runs import MutationRuns
from autodev_learning.evolution.mutations import Mutation, Order, Outcome, SandboxStatus, experiment_key
from autodev_learning.peers.capabilities import Capabilities, Capability
from autodev_learning.peers.patience import patiently
from autodev_runtime.columns import now
from autodev_runtime.errors import AutoDevError, ResourceExhausted
from autodev_runtime.identity import acting_as, current_identity, current_tenant, service_identity
from autodev_sdk.events import uuid7

if TYPE_CHECKING:
    from autodev_learning.store.advisor import AdvisorStore
    from autodev_learning.store.experiments import ExperimentStore
    from autodev_learning.store.mutations import MutationStore
    from autodev_learning.store.skills import SkillStore

log = logging.getLogger(__name__)

JUDGING_PATIENCE_S = 300.0
LOOK_AGAIN_S = 0.5
"""How soon a follower sees a step that another replica stored."""


class Research:
    """Starts, follows, cancels and resumes experiments."""

    def __init__(
        self,
        experiments: "ExperimentStore",
        mutations: "MutationStore",
        skills: "SkillStore",
        advisor: "AdvisorStore",
        capabilities: Capabilities,
        generation: Generation,
        runs: MutationRuns,
        judge: Judge,
    ) -> None:
        self._experiments = experiments
        self._mutations = mutations
        self._skills = skills
        self._advisor = advisor
        self._capabilities = capabilities
        self._generation = generation
        self._runs = runs
        self._judge = judge
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._changed: dict[str, asyncio.Event] = {}

    async def start(self, request_id: str, skill_id: str, agent_id: str, budget: ExperimentBudget) -> Experiment:
        """Start an experiment; the same request again gives the first one, and sees that it goes on.

        Raises NotFound, PermissionDenied.
        """
        experiment = await self._experiments.find(request_id)
        if experiment is None:
            skill = await self._skills.get(skill_id)
            await self._capabilities.demand(agent_id, Capability.ALPHA_EVOLVER)
            experiment = await self._experiments.add(
                Experiment(uuid7(), request_id, skill.id, skill.active.version, agent_id, budget, now())
            )
        self._ensure(current_tenant(), experiment)
        return experiment

    async def follow(self, experiment_id: str) -> AsyncIterator[Experiment]:
        """The experiment as it is, and again after each change, until it is over."""
        sent: Experiment | None = None
        while True:
            changed = self._changed.setdefault(experiment_id, asyncio.Event())
            experiment = await self._experiments.get(experiment_id)
            if experiment != sent:
                yield experiment
                sent = experiment
            if experiment.ended_at is not None:
                self._changed.pop(experiment_id, None)
                return
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await changed.wait()
            except TimeoutError:
                continue

    async def get(self, experiment_id: str) -> Experiment:
        """Raises NotFound."""
        return await self._experiments.get(experiment_id)

    async def page(self, limit: int, before_id: str | None) -> list[Experiment]:
        """Experiments, newest first, of those older than `before_id`."""
        return await self._experiments.page(limit, before_id)

    async def cancel(self, experiment_id: str) -> Experiment:
        """Stop an experiment after the step it is at; what it found is judged as at any end. Raises NotFound."""
        reason = f"cancelled by {current_identity().subject}"
        experiment = await self._experiments.stop(experiment_id, reason, ExperimentState.CANCELLED)
        if experiment.ended_at is None:
            self._ensure(current_tenant(), experiment)
        self._announce(experiment_id)
        return experiment

    async def put_away_late(self, mutation_id: str) -> None:
        """Discard a mutation that was finished after its experiment was over."""
        mutation = await self._mutations.get(mutation_id)
        if mutation.experiment_id and (await self._experiments.get(mutation.experiment_id)).ended_at is not None:
            await self._mutations.discard(mutation_id, "the experiment was over before it was run")

    async def run(self) -> None:
        """Go on with every experiment that is not over, and keep those that are started until this is cancelled."""
        for tenant, experiment_id in await self._experiments.unfinished():
            with acting_as(service_identity("learning", tenant)):
                self._ensure(tenant, await self._experiments.get(experiment_id))
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _ensure(self, tenant: str, experiment: Experiment) -> None:
        if experiment.ended_at is None and experiment.id not in self._under_way:
            task = asyncio.ensure_future(self._as_service(tenant, experiment))
            self._under_way[experiment.id] = task
            task.add_done_callback(lambda _: self._under_way.pop(experiment.id, None))

    async def _as_service(self, tenant: str, experiment: Experiment) -> None:
        with acting_as(service_identity("learning", tenant)):
            try:
                await self._go_on(experiment)
            except AutoDevError as error:
                log.warning("experiment %s cannot go on: %s", experiment.id, error)
                await self._fail(experiment.id, error.message)
            except Exception:
                log.exception("experiment %s broke", experiment.id)
                await self._fail(experiment.id, "internal error; the service's log has it")
            finally:
                self._announce(experiment.id)
                self._changed.pop(experiment.id, None)

    async def _go_on(self, experiment: Experiment) -> None:
        while not experiment.stopping:
            reason: str | None = reason_to_stop(experiment, now())
            if reason is None:
                reason = await self._round_in_time(experiment)
            if reason is not None:
                await self._experiments.stop(experiment.id, reason, ExperimentState.RUNNING)
            experiment = await self._experiments.get(experiment.id)
            self._announce(experiment.id)
        await self._conclude(experiment)

    async def _round_in_time(self, experiment: Experiment) -> str | None:
        """Take a step, stored; or say why there is none."""
        remaining_s = _seconds_until(experiment.deadline)
        try:
            async with asyncio.timeout(remaining_s):
                return await patiently(lambda: self._round(experiment), remaining_s)
        except TimeoutError:
            return StopReason.WALL_TIME

    async def _round(self, experiment: Experiment) -> str | None:
        iteration = len(experiment.steps) + 1
        tried = await self._mutations.of_experiment(experiment.id)
        best = next((each for each in tried if each.id == experiment.best_mutation_id), None)
        try:
            mutation = await self._next_mutation(experiment, iteration, best, tried)
        except ResourceExhausted as error:
            if error.reason == "QUOTA_EXCEEDED":
                return StopReason.QUOTA
            raise
        if not mutation.code:
            return StopReason.NO_MORE_IDEAS
        step = await self._measured(iteration, await self._runs.execute(mutation.id, ""))
        metrics.EXPERIMENT_STEPS.labels("kept" if step.kept else "not_kept").inc()
        await self._experiments.add_step(experiment.id, step)
        return None

    async def _next_mutation(
        self, experiment: Experiment, iteration: int, best: Mutation | None, tried: list[Mutation]
    ) -> Mutation:
        skill = await self._skills.get(experiment.skill_id)
        original = await self._skills.version(skill.id, experiment.skill_version)
        order = Order(
            experiment_key(experiment.id, iteration),
            f"{experiment.id}-{iteration}",
            skill.id,
            skill.name,
            experiment.skill_version,
            experiment.agent_id,
            best.id if best else "",
        )
        codes = (original.code, *(each.code for each in tried if each.code))
        wish = Wish(code=best.code if best else original.code, avoid=frozenset(codes))
        return await self._generation.generate(order, wish, "")

    async def _measured(self, iteration: int, mutation: Mutation) -> Step:
        """The step that a mutation's run makes: kept where it wins over the best before it."""
        spent = mutation.provenance
        step = Step(
            iteration, mutation.id, mutation.execution_error, kept=False, tokens=spent.tokens, cost_usd=spent.cost_usd
        )
        if mutation.status is not SandboxStatus.PASSED or mutation.measurements is None:
            return step
        judged = await self._judge.compare(mutation, mutation.measurements)
        comparison = judged.comparison
        done = "; ".join(spent.steps)
        return replace(
            step,
            summary=f"{done}: {comparison.explanation}" if done else comparison.explanation,
            kept=comparison.wins,
            time_ratio=comparison.time_ratio,
            fitness=judged.scores[0],
        )

    async def _conclude(self, experiment: Experiment) -> None:
        """Judge the best rewrite against the original, put the others away, and end."""
        for mutation in await self._mutations.of_experiment(experiment.id):
            if mutation.id == experiment.best_mutation_id:
                await patiently(partial(self._judge.judge_against_version, mutation), JUDGING_PATIENCE_S)
            elif mutation.outcome is Outcome.OPEN:
                await self._mutations.discard(mutation.id, "a step of an experiment that kept another one")
        guidance = guidance_for(await self._advisor.figures(experiment.skill_id))
        await self._experiments.end(experiment.id, now(), guidance)
        log.info("experiment %s is over: %s", experiment.id, experiment.stop_reason)

    async def _fail(self, experiment_id: str, reason: str) -> None:
        """Keep that an experiment cannot go on."""
        experiment = await self._experiments.stop(experiment_id, reason, ExperimentState.FAILED)
        if not experiment.ended_at:
            guidance = guidance_for(await self._advisor.figures(experiment.skill_id))
            await self._experiments.end(experiment_id, now(), guidance)

    def _announce(self, experiment_id: str) -> None:
        """Wake who follows."""
        changed = self._changed.pop(experiment_id, None)
        if changed is not None:
            changed.set()


def _seconds_until(deadline: datetime) -> float:
    return max(0.0, (deadline - now()).total_seconds())
