"""Research experiments: what a step made is one transaction, the step itself with its event the next."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.advisor import Guidance
from autodev_learning.evolution.announcements import experiment_progressed, guidance_issued
from autodev_learning.evolution.experiments import (
    Experiment,
    ExperimentBudget,
    ExperimentState,
    Step,
    ended,
    too_many_of_tenant,
    with_step,
)
from autodev_learning.evolution.individuals import Evaluation, Individual, Offer, Stage
from autodev_learning.evolution.islands import Plan
from autodev_learning.evolution.objectives import Objective
from autodev_learning.rows import ExperimentRow, IndividualRow
from autodev_learning.store.shapes import Json
from autodev_learning.store.turns import take_turn
from autodev_runtime.claims import Claims
from autodev_runtime.columns import insert_if_absent
from autodev_runtime.database import Database
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import ALL_TENANTS, current_tenant
from autodev_runtime.outbox import Outbox
from autodev_runtime.repeating import repeatable

TURN = "experiments"
BUDGET: Json[ExperimentBudget] = Json(ExperimentBudget)
STEPS: Json[tuple[Step, ...]] = Json(tuple[Step, ...])
PLAN: Json[Plan] = Json(Plan)
OBJECTIVE: Json[Objective] = Json(Objective)
OFFER: Json[Offer] = Json(Offer)
EVALUATION: Json[Evaluation] = Json(Evaluation)

FIGURES = (
    IndividualRow.number,
    IndividualRow.step,
    IndividualRow.island,
    IndividualRow.parent,
    IndividualRow.operator,
    IndividualRow.size,
    IndividualRow.offer["tokens"].as_integer(),
    IndividualRow.evaluation["stage"].as_string(),
    IndividualRow.evaluation["fitness"].as_float(),
    IndividualRow.evaluation["quality"].as_float(),
    IndividualRow.evaluation["latency_s"].as_float(),
    IndividualRow.evaluation["memory_bytes"].as_integer(),
)


class ExperimentStore:
    """Every method but `unfinished` is about the current tenant. It may have `most` experiments that are not over."""

    def __init__(self, database: Database, outbox: Outbox, most: int) -> None:
        self._database = database
        self._outbox = outbox
        self._most = most

    @repeatable
    async def add(self, experiment: Experiment) -> Experiment:
        """Write an experiment; the first one of its request wins, and is given back.

        Raises ResourceExhausted (EXPERIMENTS_FULL).
        """
        async with self._database.session(current_tenant()) as session:
            # Replicas that counted at the same time would each write one more.
            await take_turn(session, TURN)
            added = await insert_if_absent(
                session,
                ExperimentRow,
                id=experiment.id,
                request_id=experiment.request_id,
                skill_id=experiment.skill_id,
                skill_version=experiment.skill_version,
                agent_id=experiment.agent_id,
                budget=BUDGET.dump(experiment.budget),
                plan=PLAN.dump(experiment.plan),
                objective=OBJECTIVE.dump(experiment.objective) if experiment.objective else None,
                created_at=experiment.created_at,
            )
            if added:
                await self._refuse_if_full(session, experiment.request_id)
            query = select(ExperimentRow).where(ExperimentRow.request_id == experiment.request_id)
            return experiment_from_row((await session.scalars(query)).one())

    async def refuse_if_full(self, request_id: str) -> None:
        """Raise ResourceExhausted (EXPERIMENTS_FULL) where there is no room now for what a request starts."""
        async with self._database.reading(current_tenant()) as session:
            await self._refuse_if_full(session, request_id)

    async def _refuse_if_full(self, session: AsyncSession, request_id: str) -> None:
        others = select(func.count(ExperimentRow.id)).where(
            ExperimentRow.ended_at.is_(None), ExperimentRow.request_id != request_id
        )
        if (await session.scalar(others) or 0) >= self._most:
            raise too_many_of_tenant(self._most)

    async def find(self, request_id: str) -> Experiment | None:
        """The experiment that a request started."""
        async with self._database.reading(current_tenant()) as session:
            row = await session.scalar(select(ExperimentRow).where(ExperimentRow.request_id == request_id))
            return experiment_from_row(row) if row is not None else None

    async def get(self, experiment_id: str) -> Experiment:
        """Raises NotFound."""
        async with self._database.reading(current_tenant()) as session:
            row = await session.scalar(select(ExperimentRow).where(ExperimentRow.id == experiment_id))
            if row is None:
                raise NotFound("experiment", experiment_id)
            return experiment_from_row(row)

    async def page(self, limit: int, before_id: str | None) -> list[Experiment]:
        """Experiments, newest first, of those older than `before_id`."""
        query = select(ExperimentRow).order_by(ExperimentRow.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(ExperimentRow.id < before_id)
        async with self._database.reading(current_tenant()) as session:
            return [experiment_from_row(row) for row in await session.scalars(query)]

    async def unfinished(self) -> list[tuple[str, str]]:
        """Tenant and id of every experiment that is not over."""
        query = select(ExperimentRow.tenant_id, ExperimentRow.id).where(ExperimentRow.ended_at.is_(None))
        async with self._database.connection(ALL_TENANTS) as connection:
            return [(tenant, experiment_id) for tenant, experiment_id in await connection.execute(query)]

    def claims(self, lost: Callable[[], None]) -> Claims:
        """What this replica alone works at, where several share the database."""
        return Claims(self._database, lost)

    @repeatable
    async def add_individuals(self, experiment_id: str, individuals: Sequence[Individual]) -> None:
        """Write what a step made, all of it or nothing. Another replica's, written before, stays.

        Raises NotFound.
        """
        async with self._database.session(current_tenant()) as session:
            await _row(session, experiment_id)
            first = individuals[0].number if individuals else 0
            query = select(IndividualRow.id).where(
                IndividualRow.experiment_id == experiment_id, IndividualRow.number >= first
            )
            if await session.scalar(query.limit(1)) is None:
                session.add_all(individual_to_row(experiment_id, each) for each in individuals)

    async def individuals(self, experiment_id: str) -> list[Individual]:
        """What an experiment made, in the order of number."""
        return await self._individuals(IndividualRow.experiment_id == experiment_id)

    async def numbered(self, experiment_id: str, numbers: Collection[int]) -> list[Individual]:
        """Its programs that have these numbers, in their order."""
        return await self._individuals(IndividualRow.experiment_id == experiment_id, IndividualRow.number.in_(numbers))

    async def figures(self, experiment_id: str) -> list[Individual]:
        """What an experiment made, in the order of number, without any text: of code alone there may be 100 MB."""
        query = select(*FIGURES).where(IndividualRow.experiment_id == experiment_id).order_by(IndividualRow.number)
        async with self._database.reading(current_tenant()) as session:
            return [individual_from_figures(*row) for row in await session.execute(query)]

    async def made_in_step(self, experiment_id: str, step: int) -> list[Individual]:
        """What one step of it made, in the order of number."""
        return await self._individuals(IndividualRow.experiment_id == experiment_id, IndividualRow.step == step)

    async def _individuals(self, *wanted: ColumnElement[bool]) -> list[Individual]:
        query = select(IndividualRow).where(*wanted).order_by(IndividualRow.number)
        async with self._database.reading(current_tenant()) as session:
            return [individual_from_row(row) for row in await session.scalars(query)]

    async def add_step(self, experiment_id: str, step: Step) -> Experiment:
        """Write a step, and announce it; one that is written already changes nothing."""

        def change(experiment: Experiment) -> Experiment:
            return with_step(experiment, step) if step.iteration > len(experiment.steps) else experiment

        return await self._change(experiment_id, change)

    async def lose(self, experiment_id: str, tokens: int, cost_usd: float) -> Experiment:
        """Count what proposers used in a try at a step that was broken off."""

        def change(experiment: Experiment) -> Experiment:
            return replace(
                experiment,
                lost_tokens=experiment.lost_tokens + tokens,
                lost_cost_usd=experiment.lost_cost_usd + cost_usd,
            )

        return await self._change(experiment_id, change)

    async def stop(self, experiment_id: str, reason: str, state: ExperimentState) -> Experiment:
        """Keep that no further round begins, and why; of one that stops already, the first reason holds."""

        def change(experiment: Experiment) -> Experiment:
            return experiment if experiment.stopping else replace(experiment, stop_reason=reason, state=state)

        return await self._change(experiment_id, change)

    async def end(self, experiment_id: str, at: datetime, guidance: Guidance | None) -> Experiment:
        """Keep that an experiment is over, and announce it with what the advisor says of its skill now; once."""

        def change(experiment: Experiment) -> Experiment:
            return experiment if experiment.ended_at is not None else ended(experiment, at)

        return await self._change(experiment_id, change, guidance)

    @repeatable
    async def _change(
        self, experiment_id: str, change: Callable[[Experiment], Experiment], guidance: Guidance | None = None
    ) -> Experiment:
        async with self._database.session(current_tenant()) as session:
            row = await _row(session, experiment_id)
            before = experiment_from_row(row)
            after = change(before)
            if after == before:
                return before
            row.state, row.stop_reason, row.ended_at = after.state, after.stop_reason, after.ended_at
            row.steps, row.best_mutation_id = STEPS.dump(after.steps), after.best_mutation_id
            row.tokens_used, row.cost_usd = after.tokens_used, after.cost_usd
            if after.steps != before.steps or after.ended_at is not None:
                self._outbox.add(session, experiment_progressed(after))
            if guidance is not None:
                self._outbox.add(session, guidance_issued(after.skill_id, guidance, after.agent_id, after.id))
            return after


async def _row(session: AsyncSession, experiment_id: str) -> ExperimentRow:
    query = select(ExperimentRow).where(ExperimentRow.id == experiment_id)
    row = await session.scalar(query.with_for_update())
    if row is None:
        raise NotFound("experiment", experiment_id)
    return row


def experiment_from_row(row: ExperimentRow) -> Experiment:
    """The experiment that a row holds. What it used beyond its steps is lost."""
    steps = STEPS.load(row.steps)
    return Experiment(
        id=row.id,
        request_id=row.request_id,
        skill_id=row.skill_id,
        skill_version=row.skill_version,
        agent_id=row.agent_id,
        budget=BUDGET.load(row.budget),
        created_at=row.created_at,
        plan=PLAN.load(row.plan),
        objective=OBJECTIVE.load(row.objective) if row.objective else None,
        state=ExperimentState(row.state),
        stop_reason=row.stop_reason,
        steps=steps,
        best_mutation_id=row.best_mutation_id,
        ended_at=row.ended_at,
        lost_tokens=max(0, row.tokens_used - sum(step.tokens for step in steps)),
        lost_cost_usd=max(0.0, row.cost_usd - sum(step.cost_usd for step in steps)),
    )


def individual_to_row(experiment_id: str, individual: Individual) -> IndividualRow:
    """The row that holds a program."""
    return IndividualRow(
        experiment_id=experiment_id,
        number=individual.number,
        step=individual.step,
        island=individual.island,
        parent=individual.parent,
        operator=individual.operator,
        offer=OFFER.dump(individual.offer),
        evaluation=EVALUATION.dump(individual.evaluation),
        digest=individual.digest,
        size=individual.size,
        novelty=individual.novelty,
    )


def individual_from_row(row: IndividualRow) -> Individual:
    """The program that a row holds."""
    return Individual(
        number=row.number,
        step=row.step,
        island=row.island,
        parent=row.parent,
        operator=row.operator,
        offer=OFFER.load(row.offer),
        evaluation=EVALUATION.load(row.evaluation),
        digest=row.digest,
        size=row.size,
        novelty=row.novelty,
    )


def individual_from_figures(
    number: int, step: int, island: int, parent: int, operator: str, size: int, tokens: int, stage: str, *found: Any
) -> Individual:
    """The program that has these FIGURES, without its texts."""
    evaluation = Evaluation(Stage(stage), *found)
    return Individual(number, step, island, parent, operator, Offer("", tokens=tokens), evaluation, size=size)
