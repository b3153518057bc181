"""Experiments between the contract and the rules."""

from dataclasses import replace

from autodev.learning.v1 import evolver_service_pb2 as pb
from autodev_learning.evolution.experiments import (
    DEFAULT_WALL_TIME,
    Experiment,
    ExperimentBudget,
    ExperimentState,
    Step,
)
from autodev_learning.evolution.individuals import Individual
from autodev_learning.evolution.islands import Plan
from autodev_learning.evolution.objectives import Objective, named_objectives
from autodev_learning.evolution.research import Wanted
from autodev_learning.servicers.messages import moment_to_proto
from autodev_runtime.errors import InvalidArgument

STATES = {state: pb.ExperimentState.Value(f"EXPERIMENT_STATE_{state.name}") for state in ExperimentState}


def wanted_from(request: pb.RunResearchExperimentRequest, batch: int) -> Wanted:
    """The experiment that is asked for. Raises InvalidArgument."""
    if bool(request.skill_id) == request.HasField("score"):
        raise InvalidArgument.field("score", "one of skill_id and score is required")
    return Wanted(
        request.agent_id,
        budget_from(request.budget),
        plan_from(request.plan, batch),
        request.skill_id,
        objective_from(request.score) if request.HasField("score") else None,
    )


def plan_from(plan: pb.SearchPlan, batch: int) -> Plan:
    """What is asked for, and the defaults of the rest."""
    default = Plan()
    return Plan(
        seed=plan.seed,
        islands=plan.islands or default.islands,
        batch=plan.batch or batch,
        patience=plan.patience or default.patience,
        alone=plan.alone,
    )


def objective_from(score: pb.ScoreFunction) -> Objective:
    """The objective that is named, or stated. Raises InvalidArgument."""
    goal = score.goal if score.HasField("goal") else None
    if score.name:
        named = named_objectives().get(score.name)
        if named is None:
            known = ", ".join(sorted(named_objectives()))
            raise InvalidArgument.field("score.name", f"there is none of this name; there are {known}")
        return replace(named, initial_code=score.initial_code or named.initial_code, goal=goal)
    for field in ("call", "scorer", "initial_code"):
        if not getattr(score, field):
            raise InvalidArgument.field(f"score.{field}", "it is required where no name is stated")
    return Objective(
        score.description, score.call, score.scorer, score.initial_code, score.preamble, score.minimise, goal
    )


def objective_to_proto(objective: Objective) -> pb.ScoreFunction:
    return pb.ScoreFunction(
        description=objective.description,
        call=objective.call,
        scorer=objective.scorer,
        initial_code=objective.initial_code,
        preamble=objective.preamble,
        minimise=objective.minimise,
        goal=objective.goal,
    )


def program_to_proto(individual: Individual, experiment: Experiment) -> pb.ExperimentProgram:
    found = individual.evaluation
    objective = experiment.objective
    return pb.ExperimentProgram(
        number=individual.number,
        parent=individual.parent,
        step=individual.step,
        island=individual.island,
        operator=individual.operator,
        note=individual.offer.note,
        code=individual.code,
        quality=objective.score(found.quality) if objective else found.quality,
        latency_seconds=found.latency_s,
        memory_bytes=found.memory_bytes,
        tokens=individual.offer.tokens,
        size=individual.size,
        novelty=individual.novelty,
    )


def budget_from(budget: pb.ExperimentBudget) -> ExperimentBudget:
    """What is asked for, and the defaults of the rest."""
    default = ExperimentBudget()
    wall_time = budget.max_wall_time.ToTimedelta() if budget.HasField("max_wall_time") else DEFAULT_WALL_TIME
    return ExperimentBudget(
        max_iterations=budget.max_iterations or default.max_iterations,
        max_wall_time=wall_time,
        max_tokens=budget.max_tokens or default.max_tokens,
        max_cost_usd=budget.max_cost_usd or default.max_cost_usd,
    )


def experiment_to_proto(experiment: Experiment) -> pb.Experiment:
    budget = pb.ExperimentBudget(
        max_iterations=experiment.budget.max_iterations,
        max_tokens=experiment.budget.max_tokens,
        max_cost_usd=experiment.budget.max_cost_usd,
    )
    budget.max_wall_time.FromTimedelta(experiment.budget.max_wall_time)
    return pb.Experiment(
        id=experiment.id,
        skill_id=experiment.skill_id,
        agent_id=experiment.agent_id,
        budget=budget,
        state=STATES[experiment.state],
        stop_reason=experiment.stop_reason,
        steps=[step_to_proto(step) for step in experiment.steps],
        best_mutation_id=experiment.best_mutation_id,
        created_at=moment_to_proto(experiment.created_at),
        ended_at=moment_to_proto(experiment.ended_at),
        plan=pb.SearchPlan(
            seed=experiment.plan.seed,
            islands=experiment.plan.islands,
            batch=experiment.plan.batch,
            patience=experiment.plan.patience,
            alone=experiment.plan.alone,
        ),
        score=objective_to_proto(experiment.objective) if experiment.objective else None,
        evaluated=experiment.evaluated,
        best_fitness=experiment.best_fitness,
    )


def step_to_proto(step: Step) -> pb.ExperimentStep:
    return pb.ExperimentStep(
        iteration=step.iteration,
        mutation_id=step.mutation_id,
        summary=step.summary,
        kept=step.kept,
        time_ratio=step.time_ratio,
        fitness=step.fitness,
        evaluated=step.evaluated,
        known=step.known,
        tokens=step.tokens,
        cost_usd=step.cost_usd,
    )
