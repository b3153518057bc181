"""Research experiments: a search for a better skill, or for a program that scores higher, step by step within a budget.

An experiment belongs to nobody's call: it goes on when the caller is gone, and after a crash from the last step stored.
"""

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from autodev_learning.evolution.islands import Plan
from autodev_learning.evolution.objectives import Objective
from autodev_runtime.errors import ResourceExhausted

DEFAULT_WALL_TIME = timedelta(minutes=10)
RETRY_AFTER = timedelta(seconds=10)
BARREN_STEPS = 3
"""Steps that make nothing to run, after which there are no more ideas: operators draw by lot, one may be bad luck."""


class ExperimentState(StrEnum):
    """Where an experiment stands. One is over when `ended_at` is set: a cancelled one ends after the step it is at."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    FAILED = "failed"


class StopReason(StrEnum):
    """Why an experiment ends by itself."""

    ITERATIONS = "iterations"
    WALL_TIME = "wall time"
    TOKENS = "tokens"
    MONEY = "money"
    NO_MORE_IDEAS = "no more ideas"
    PLATEAU = "no improvement"
    GOAL = "goal"
    QUOTA = "quota"


@dataclass(frozen=True)
class ExperimentBudget:
    """What an experiment may use."""

    max_iterations: int = 5
    max_wall_time: timedelta = DEFAULT_WALL_TIME
    max_tokens: int = 100_000
    max_cost_usd: float = 1.0


@dataclass(frozen=True)
class Step:
    """One step: what was made, and which of it was kept.

    `evaluated` programs were run, `known` were there before. `fitness` is the best score after the step. In a search
    for a skill, it is the fitness of the rewrite `mutation_id` that was compared with the best before it, the program
    `individual`, and `time_ratio` its time against that one's. `tokens` and `cost_usd` are what proposers used.
    """

    iteration: int
    mutation_id: str
    summary: str
    kept: bool
    time_ratio: float = 0.0
    fitness: float = 0.0
    tokens: int = 0
    cost_usd: float = 0.0
    evaluated: int = 0
    known: int = 0
    individual: int = -1


@dataclass(frozen=True)
class Experiment:
    """A search, as it is stored: for a better version of a skill, or by an objective; then `skill_id` is empty.

    `stop_reason` is set once no further step begins. `lost_tokens` and `lost_cost_usd` are what proposers used in tries
    at the next step that were broken off: they are counted with that step.
    """

    id: str
    request_id: str
    skill_id: str
    skill_version: str
    agent_id: str
    budget: ExperimentBudget
    created_at: datetime
    plan: Plan = field(default_factory=Plan)
    objective: Objective | None = None
    state: ExperimentState = ExperimentState.RUNNING
    stop_reason: str = ""
    steps: tuple[Step, ...] = ()
    best_mutation_id: str = ""
    ended_at: datetime | None = None
    lost_tokens: int = 0
    lost_cost_usd: float = 0.0

    @property
    def evaluated(self) -> int:
        """Programs that were run."""
        return sum(step.evaluated for step in self.steps)

    @property
    def tokens_used(self) -> int:
        return sum(step.tokens for step in self.steps) + self.lost_tokens

    @property
    def cost_usd(self) -> float:
        return sum(step.cost_usd for step in self.steps) + self.lost_cost_usd

    @property
    def best_fitness(self) -> float:
        """The best program's; of a skill's, 0 while the original is the best."""
        return next((step.fitness for step in reversed(self.steps) if step.kept), 0.0)

    @property
    def deadline(self) -> datetime:
        return self.created_at + self.budget.max_wall_time

    @property
    def stopping(self) -> bool:
        """Whether no further round begins."""
        return self.state is not ExperimentState.RUNNING or bool(self.stop_reason)


def reason_to_stop(experiment: Experiment, at: datetime) -> StopReason | None:
    """The bound that is met, if one is."""
    budget = experiment.budget
    met = {
        StopReason.GOAL: _reached(experiment),
        StopReason.ITERATIONS: len(experiment.steps) >= budget.max_iterations,
        StopReason.WALL_TIME: at >= experiment.deadline,
        StopReason.TOKENS: experiment.tokens_used >= budget.max_tokens,
        StopReason.MONEY: experiment.cost_usd >= budget.max_cost_usd,
        StopReason.NO_MORE_IDEAS: len(last := experiment.steps[-BARREN_STEPS:]) == BARREN_STEPS
        and not any(step.evaluated for step in last),
        StopReason.PLATEAU: len(late := experiment.steps[-experiment.plan.patience :]) == experiment.plan.patience
        and not any(step.kept for step in late),
    }
    return next((reason for reason, is_met in met.items() if is_met), None)


def _reached(experiment: Experiment) -> bool:
    objective = experiment.objective
    if objective is None or not any(step.kept for step in experiment.steps):
        return False
    return objective.reached(objective.fitness(experiment.best_fitness))


def with_step(experiment: Experiment, step: Step) -> Experiment:
    """The experiment with one more step. Raises ValueError unless it is the next one."""
    if step.iteration != len(experiment.steps) + 1:
        raise ValueError(f"step {step.iteration} cannot follow {len(experiment.steps)} steps")
    best = step.mutation_id if step.kept and step.mutation_id else experiment.best_mutation_id
    step = replace(step, tokens=step.tokens + experiment.lost_tokens, cost_usd=step.cost_usd + experiment.lost_cost_usd)
    steps = (*experiment.steps, step)
    return replace(experiment, steps=steps, best_mutation_id=best, lost_tokens=0, lost_cost_usd=0.0)


def ended(experiment: Experiment, at: datetime) -> Experiment:
    """The experiment, over: cancelled or failed where that is what stopped it, else succeeded."""
    state = ExperimentState.SUCCEEDED if experiment.state is ExperimentState.RUNNING else experiment.state
    return replace(experiment, state=state, ended_at=at)


def in_turn(unfinished: Iterable[tuple[str, str]], at_work: Container[str]) -> list[tuple[str, str]]:
    """Tenant and id of those that nobody works at here, in the order in which they are to be taken up.

    First those of the tenants that have the fewest at work or before them, of these the oldest. They come, and are
    known, by their ids, which are made in order of time.
    """
    ordered = sorted(unfinished, key=lambda each: each[1])
    before = Counter(tenant for tenant, experiment_id in ordered if experiment_id in at_work)
    turns: list[tuple[int, str, str]] = []
    for tenant, experiment_id in ordered:
        if experiment_id not in at_work:
            turns.append((before[tenant], experiment_id, tenant))
            before[tenant] += 1
    return [(tenant, experiment_id) for _, experiment_id, tenant in sorted(turns)]


def too_many_at_work(most: int) -> ResourceExhausted:
    """The refusal of an experiment by a replica that has no place for it."""
    return _full(f"{most} experiments are at work in this replica: repeat the call")


def too_many_of_tenant(most: int) -> ResourceExhausted:
    """The refusal of one more experiment of a workspace."""
    return _full(f"{most} experiments of the workspace are not over, its most: wait for one to end, or cancel one")


def _full(message: str) -> ResourceExhausted:
    return ResourceExhausted(message, reason="EXPERIMENTS_FULL", retry_after=RETRY_AFTER)
