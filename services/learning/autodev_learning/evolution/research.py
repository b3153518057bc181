"""Running research experiments: one task each, beside the calls that follow them."""

import ast
import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from autodev_learning.advisor import Guidance, guidance_for
from autodev_learning.evolution.archive import rank
from autodev_learning.evolution.experiments import (
    Experiment,
    ExperimentBudget,
    ExperimentState,
    StopReason,
    in_turn,
    reason_to_stop,
    too_many_at_work,
)
from autodev_learning.evolution.following import Followers
from autodev_learning.evolution.individuals import Individual
from autodev_learning.evolution.islands import Plan, payoffs
from autodev_learning.evolution.judging import Judge
from autodev_learning.evolution.laboratory import Search
from autodev_learning.evolution.mutations import Outcome, SandboxStatus
from autodev_learning.evolution.novelty import NotPython, profile_of
from autodev_learning.evolution.objectives import Objective
from autodev_learning.evolution.pareto import front_of
from autodev_learning.evolution.steps import Steps
from autodev_learning.peers.capabilities import Capabilities, Capability, reservation_key
from autodev_learning.peers.patience import patiently
from autodev_runtime.columns import now
from autodev_runtime.errors import AutoDevError, InvalidArgument, ResourceExhausted
from autodev_runtime.identity import acting_as, current_identity, current_tenant, service_identity
from autodev_sdk.ending import ended
from autodev_sdk.events import uuid7

if TYPE_CHECKING:
    from autodev_learning.store.advisor import AdvisorStore
    from autodev_learning.store.experiments import ExperimentStore
    from autodev_learning.store.mutations import MutationStore
    from autodev_learning.store.skills import SkillStore

log = logging.getLogger(__name__)

JUDGING_PATIENCE_S = 300.0
TAKE_UP_S = 5.0
"""How soon an experiment goes on whose replica is gone."""


@dataclass(frozen=True)
class ResearchLimits:
    """Experiments at work at once in this replica, programs that one may make, and bytes of code in all of these."""

    at_a_time: int = 4
    programs: int = 20_000
    code_bytes: int = 100_000_000


@dataclass(frozen=True)
class Wanted:
    """An experiment that is asked for: for a skill, or by an objective."""

    agent_id: str
    budget: ExperimentBudget
    plan: Plan = field(default_factory=Plan)
    skill_id: str = ""
    objective: Objective | None = None

    @property
    def programs(self) -> int:
        """Programs that it may make."""
        return self.budget.max_iterations * self.plan.batch


@dataclass(frozen=True)
class Made:
    """Of what an experiment made: the best, those that no other beats, and what became of each operator's."""

    best: Individual | None
    front: Sequence[Individual]
    operators: Mapping[str, tuple[int, int]]


class Research:
    """Starts, follows, cancels and resumes experiments."""

    def __init__(
        self,
        experiments: "ExperimentStore",
        mutations: "MutationStore",
        skills: "SkillStore",
        advisor: "AdvisorStore",
        capabilities: Capabilities,
        steps: Steps,
        judge: Judge,
        limits: ResearchLimits,
    ) -> None:
        self._experiments = experiments
        self._mutations = mutations
        self._skills = skills
        self._advisor = advisor
        self._capabilities = capabilities
        self._steps = steps
        self._judge = judge
        self._limits = limits
        self._claims = experiments.claims(self._lost)
        self._claiming = asyncio.Lock()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._beginning = 0
        self._freed = asyncio.Event()
        self._followers = Followers(experiments)

    async def start(self, request_id: str, wanted: Wanted) -> Experiment:
        """Start an experiment; the same request again gives the first one, and sees that it goes on.

        Raises NotFound, PermissionDenied, InvalidArgument, ResourceExhausted (EXPERIMENTS_FULL, EXPERIMENT_TOO_LARGE,
        QUOTA_EXCEEDED).
        """
        experiment = await self._experiments.find(request_id)
        if experiment is None:
            self._refuse_too_much(wanted)
            with self._place():
                experiment = await self._experiments.add(await self._begun(request_id, wanted))
                if experiment.ended_at is None:
                    await self._work_at(current_tenant(), experiment.id)
        elif experiment.ended_at is None:
            await self._ensure(current_tenant(), experiment.id)
        return experiment

    async def _begun(self, request_id: str, wanted: Wanted) -> Experiment:
        # Before a use of the day's limit is taken, which is not given back.
        await self._experiments.refuse_if_full(request_id)
        skill_id = version = ""
        if wanted.objective is not None:
            self._refuse_too_long(wanted, wanted.objective.initial_code)
            await asyncio.to_thread(_require_python, wanted.objective)
            await self._capabilities.demand(wanted.agent_id, Capability.ALPHA_EVOLVER)
            use = reservation_key("experiment", request_id)
            await self._capabilities.take(use, wanted.agent_id, Capability.ALPHA_EVOLVER)
        else:
            skill = await self._skills.get(wanted.skill_id)
            skill_id, version = skill.id, skill.active.version
            self._refuse_too_long(wanted, skill.active.code)
            await self._capabilities.demand(wanted.agent_id, Capability.ALPHA_EVOLVER)
        return Experiment(
            uuid7(), request_id, skill_id, version, wanted.agent_id, wanted.budget, now(), wanted.plan, wanted.objective
        )

    def _refuse_too_much(self, wanted: Wanted) -> None:
        if wanted.programs > self._limits.programs:
            raise ResourceExhausted(
                f"an experiment may make {self._limits.programs} programs, and this one asks for {wanted.programs}",
                reason="EXPERIMENT_TOO_LARGE",
            )

    def _refuse_too_long(self, wanted: Wanted, code: str) -> None:
        """All programs of an experiment are in memory while it is at work, and about as long as the first one."""
        each = len(code.encode())
        if wanted.programs * each > self._limits.code_bytes:
            raise ResourceExhausted(
                f"an experiment's programs may have {self._limits.code_bytes} bytes of code, and this one asks for "
                f"{wanted.programs} of about {each} bytes each",
                reason="EXPERIMENT_TOO_LARGE",
            )

    async def made(self, experiment_id: str) -> Made:
        """What an experiment made."""
        figures = await self._experiments.figures(experiment_id)
        best = min((each for each in figures if each.alive), key=rank, default=None)
        front = [each.number for each in front_of(figures)]
        wanted = front if best is None else [best.number, *front]
        told = {each.number: each for each in await self._experiments.numbered(experiment_id, wanted)}
        return Made(told[best.number] if best else None, [told[number] for number in front], payoffs(figures))

    def follow(self, experiment_id: str) -> AsyncIterator[Experiment]:
        """The experiment as it is, and again after each change, until it is over.

        Raises NotFound, Unavailable (DRAINING), when it is read.
        """
        return self._followers.follow(experiment_id)

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
            await self._ensure(current_tenant(), experiment_id)
        self._followers.wake(experiment_id)
        return experiment

    def drain(self) -> None:
        """End what follows experiments, which would hold the service up for as long as it may take calls to end."""
        self._followers.drain()

    async def put_away_late(self, mutation_id: str) -> None:
        """Discard a mutation that was finished after its experiment was over, and never run; told again, do nothing."""
        mutation = await self._mutations.get(mutation_id)
        if mutation.outcome is not Outcome.OPEN or mutation.status is not SandboxStatus.PENDING:
            return
        if mutation.experiment_id and (await self._experiments.get(mutation.experiment_id)).ended_at is not None:
            await self._mutations.discard(mutation_id, "the experiment was over before it was run")

    async def run(self) -> None:
        """Go on with every experiment that no other replica works at, until this is cancelled."""
        try:
            while True:
                try:
                    await self._take_up()
                except AutoDevError as error:
                    log.warning("experiments that nobody works at could not be looked for, and will be: %s", error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(TAKE_UP_S):
                        await self._freed.wait()
                self._freed.clear()
        finally:
            await ended(*self._under_way.values())
            await self._claims.close()

    async def _take_up(self) -> None:
        for tenant, experiment_id in in_turn(await self._experiments.unfinished(), self._under_way):
            with acting_as(service_identity("learning", tenant)):
                await self._ensure(tenant, experiment_id)

    async def _ensure(self, tenant: str, experiment_id: str) -> None:
        """Work at the experiment, where there is a place: else it is left to the replica that has one first."""
        if not self._is_full:
            with self._place():
                await self._work_at(tenant, experiment_id)

    @property
    def _is_full(self) -> bool:
        return len(self._under_way) + self._beginning >= self._limits.at_a_time

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Hold a place for an experiment that is to be worked at. Raises ResourceExhausted (EXPERIMENTS_FULL)."""
        if self._is_full:
            raise too_many_at_work(self._limits.at_a_time)
        self._beginning += 1
        try:
            yield
        finally:
            self._beginning -= 1

    async def _work_at(self, tenant: str, experiment_id: str) -> None:
        """Work at the experiment, unless this replica or another one does."""
        # A claim that this replica has would be given to it twice.
        async with self._claiming:
            if experiment_id in self._under_way:
                return
            if not await self._claims.claim(_claim(experiment_id)):
                return
            try:
                # Read now: another replica may have worked at it until it was claimed.
                experiment = await self._experiments.get(experiment_id)
            except BaseException:
                await self._claims.release(_claim(experiment_id))
                raise
            task = asyncio.ensure_future(self._as_service(tenant, experiment))
            self._under_way[experiment_id] = task
            task.add_done_callback(partial(self._left, experiment_id))

    def _left(self, experiment_id: str, task: asyncio.Task[None]) -> None:
        del self._under_way[experiment_id]
        # One that could not even be ended is looked at again in time, and not at once.
        if not task.cancelled() and task.exception() is None:
            self._freed.set()

    def _lost(self) -> None:
        """Other replicas may work at the experiments now; who claims them next goes on after their last steps."""
        for task in self._under_way.values():
            task.cancel()

    async def _as_service(self, tenant: str, experiment: Experiment) -> None:
        with acting_as(service_identity("learning", tenant)):
            try:
                await self._go_on(experiment)
            except AutoDevError as error:
                log.warning("experiment %s cannot go on: %s", experiment.id, error.reason)
                await self._fail(experiment.id, error.message)
            except Exception:
                log.exception("experiment %s broke", experiment.id)
                await self._fail(experiment.id, "internal error; the service's log has it")
            finally:
                self._followers.wake(experiment.id)
                await self._claims.release(_claim(experiment.id))

    async def _go_on(self, experiment: Experiment) -> None:
        if experiment.ended_at is not None:
            return
        search: Search | None = None
        while not experiment.stopping:
            reason: str | None = reason_to_stop(experiment, now())
            if reason is None:
                reason, search = await self._step_in_time(experiment, search)
            if reason is not None:
                await self._experiments.stop(experiment.id, reason, ExperimentState.RUNNING)
            experiment = await self._experiments.get(experiment.id)
            self._followers.wake(experiment.id)
        await self._conclude(experiment)

    async def _step_in_time(self, experiment: Experiment, search: Search | None) -> tuple[str | None, Search | None]:
        """Take a step, stored, or say why there is none; and the search, for the next step."""
        remaining_s = _seconds_until(experiment.deadline)
        # A step that was interrupted may have changed the search: the next try sets it up again from what is stored.
        left: list[Search | None] = [search]

        async def take() -> str | None:
            current = left.pop() if left else None
            stored = experiment
            if current is None or not current.has_taken(len(experiment.steps)):
                # Read now: a try before this one may have used some of the budget.
                stored = await self._experiments.get(experiment.id)
                current = await self._steps.resume(stored)
            if current is None:
                return StopReason.NO_MORE_IDEAS
            reason = await self._steps.take(stored, current)
            left.append(current)
            return reason

        try:
            async with asyncio.timeout(remaining_s):
                return await patiently(take, remaining_s), left[0] if left else None
        except TimeoutError:
            return StopReason.WALL_TIME, None

    async def _conclude(self, experiment: Experiment) -> None:
        """Judge the best rewrite against the original, put the others away, and end."""
        for mutation in await self._mutations.of_experiment(experiment.id):
            if mutation.id == experiment.best_mutation_id:
                await patiently(partial(self._judge.judge_against_version, mutation), JUDGING_PATIENCE_S)
            elif mutation.outcome is Outcome.OPEN:
                await self._mutations.discard(mutation.id, "a step of an experiment that kept another one")
        await self._experiments.end(experiment.id, now(), await self._guidance(experiment))
        known = experiment.stop_reason in list(StopReason)
        log.info("experiment %s is over: %s", experiment.id, experiment.stop_reason if known else experiment.state)

    async def _fail(self, experiment_id: str, reason: str) -> None:
        """Keep that an experiment cannot go on."""
        experiment = await self._experiments.stop(experiment_id, reason, ExperimentState.FAILED)
        if not experiment.ended_at:
            await self._experiments.end(experiment_id, now(), await self._guidance(experiment))

    async def _guidance(self, experiment: Experiment) -> Guidance | None:
        """What the advisor says of the experiment's skill."""
        if not experiment.skill_id:
            return None
        return guidance_for(await self._advisor.figures(experiment.skill_id))


def _claim(experiment_id: str) -> str:
    return f"experiment {experiment_id}"


def _seconds_until(deadline: datetime) -> float:
    return max(0.0, (deadline - now()).total_seconds())


def _require_python(objective: Objective) -> None:
    for name, code in (("score.initial_code", objective.initial_code), ("score.scorer", objective.scorer)):
        try:
            profile_of(code)
        except NotPython as error:
            raise InvalidArgument.field(name, str(error)) from None
    for name, code, mode in (
        ("score.call", objective.call.strip(), "eval"),
        ("score.preamble", objective.preamble, "exec"),
    ):
        try:
            ast.parse(code, mode=mode)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InvalidArgument.field(name, f"is no Python: {type(error).__name__}") from None
