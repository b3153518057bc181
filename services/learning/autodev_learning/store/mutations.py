"""Mutations: each step is one transaction, with its events."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.evolution.announcements import mutation_executed, mutation_generated
from autodev_learning.evolution.comparison import Purpose
from autodev_learning.evolution.mutations import (
    Measurements,
    Mutation,
    Outcome,
    SandboxStatus,
    TrialEnd,
    experiment_prefix,
    version_of,
)
from autodev_learning.examples import Example, is_plain_call
from autodev_learning.memento.announcements import (
    By,
    review_requested,
    skill_promoted,
    skill_trial_started,
)
from autodev_learning.memento.candidates import ExampleResult
from autodev_learning.peers.fitness import Comparison
from autodev_learning.proof.agreement import GeneratedCheck, Overfit
from autodev_learning.proof.suites import Source
from autodev_learning.rows import OpportunityRow, SkillRow, SkillVersionRow, ToolMutationRow
from autodev_learning.skills.registry import NextVersion, Stage, entry_points
from autodev_learning.skills.reviews import Review
from autodev_learning.store.candidates import PROVENANCE
from autodev_learning.store.reviews import add_review
from autodev_learning.store.shapes import Json
from autodev_learning.store.skills import TURN, add_version
from autodev_learning.store.suites import Addition, grow_suite
from autodev_learning.store.threads import thread_of
from autodev_learning.store.trial_ends import end_trial
from autodev_learning.store.turns import take_turn
from autodev_runtime.columns import insert_if_absent
from autodev_runtime.database import Database
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import current_tenant
from autodev_runtime.outbox import Outbox
from autodev_runtime.repeating import repeatable

RESULTS: Json[tuple[ExampleResult, ...]] = Json(tuple[ExampleResult, ...])
REPLACED = "replaced"
ANOTHER_ON_TRIAL = "another version went on trial in its place"
ANOTHER_IN_USE = "another version took its place"
MEASUREMENTS: Json[Measurements] = Json(Measurements)
GENERATED: Json[GeneratedCheck] = Json(GeneratedCheck)


class MutationStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def find(self, key: str) -> Mutation | None:
        """The mutation that an order made."""
        async with self._database.reading(current_tenant()) as session:
            row = await session.scalar(select(ToolMutationRow).where(ToolMutationRow.request_id == key))
            return mutation_from_row(row) if row is not None else None

    async def get(self, mutation_id: str) -> Mutation:
        """Raises NotFound."""
        async with self._database.reading(current_tenant()) as session:
            row = await session.scalar(select(ToolMutationRow).where(ToolMutationRow.id == mutation_id))
            if row is None:
                raise NotFound("mutation", mutation_id)
            return mutation_from_row(row)

    async def page(
        self, skill_id: str, status: SandboxStatus | None, limit: int, before_id: str | None
    ) -> list[Mutation]:
        """Mutations, newest first, of those older than `before_id`; of one skill and status, or of all."""
        query = select(ToolMutationRow).order_by(ToolMutationRow.id.desc()).limit(limit)
        if skill_id:
            query = query.where(ToolMutationRow.skill_id == skill_id)
        if status is not None:
            query = query.where(ToolMutationRow.sandbox_status == status)
        if before_id is not None:
            query = query.where(ToolMutationRow.id < before_id)
        async with self._database.reading(current_tenant()) as session:
            return [mutation_from_row(row) for row in await session.scalars(query)]

    async def of_experiment(self, experiment_id: str) -> list[Mutation]:
        """An experiment's mutations, oldest first."""
        query = select(ToolMutationRow).where(ToolMutationRow.request_id.startswith(experiment_prefix(experiment_id)))
        async with self._database.reading(current_tenant()) as session:
            return [mutation_from_row(row) for row in await session.scalars(query.order_by(ToolMutationRow.id))]

    @repeatable
    async def add(self, mutation: Mutation, opportunity_id: str | None, caused_by: str) -> Mutation:
        """Write a mutation, link its opportunity, and announce it; the first of its order wins, and is given back."""
        async with self._database.session(current_tenant()) as session:
            if not await insert_if_absent(session, ToolMutationRow, **_values(mutation)):
                query = select(ToolMutationRow).where(ToolMutationRow.request_id == mutation.request_id)
                return mutation_from_row((await session.scalars(query)).one())
            if opportunity_id is not None:
                await session.execute(
                    update(OpportunityRow)
                    .where(OpportunityRow.id == opportunity_id)
                    .values(mutation_id=mutation.id, skipped_reason="")
                )
            self._outbox.add(session, mutation_generated(mutation, caused_by))
            return mutation

    @repeatable
    async def record_run(
        self,
        mutation: Mutation,
        fault: str,
        results: tuple[ExampleResult, ...],
        measurements: Measurements | None,
        caused_by: str,
        generated: GeneratedCheck | None = None,
        overfit: Overfit = Overfit.NONE,
    ) -> Mutation:
        """Write how a pending mutation did, and announce it, once. One with a fault is discarded."""
        async with self._database.session(current_tenant()) as session:
            row = await _row(session, mutation.id)
            if row.sandbox_status != SandboxStatus.PENDING:
                return mutation_from_row(row)
            row.sandbox_status = SandboxStatus.FAILED if fault else SandboxStatus.PASSED
            row.execution_error = fault
            row.examples = RESULTS.dump(results)
            row.measurements = MEASUREMENTS.dump(measurements) if measurements else None
            row.generated = GENERATED.dump(generated) if generated else None
            row.overfit = overfit
            if fault:
                row.outcome, row.outcome_reason = Outcome.DISCARDED, fault
            self._outbox.add(session, mutation_executed(mutation, fault, caused_by))
            return mutation_from_row(row)

    async def set_variant(self, mutation_id: str, variant_id: str) -> None:
        """Keep a mutation's variant in the fitness service."""
        await self._change(mutation_id, variant_id=variant_id)

    async def record_comparison(self, mutation_id: str, comparison: Comparison) -> None:
        """Keep how a mutation compares with what it is compared with."""
        await self._change(
            mutation_id,
            time_ratio=comparison.time_ratio,
            time_ratio_low=comparison.time_ratio_low,
            time_ratio_high=comparison.time_ratio_high,
            fitness_delta=comparison.fitness_delta,
        )

    @repeatable
    async def set_version_variant(self, skill_id: str, version: str, variant_id: str) -> None:
        """Keep a version's variant in the fitness service."""
        async with self._database.session(current_tenant()) as session:
            await session.execute(
                update(SkillVersionRow)
                .where(SkillVersionRow.skill_id == skill_id, SkillVersionRow.version == version)
                .values(variant_id=variant_id)
            )

    @repeatable
    async def ask_for_review(self, mutation_id: str, review: Review, reason: str, caused_by: str) -> Mutation:
        """Have a mutation wait for a person, and announce it, once."""
        async with self._database.session(current_tenant()) as session:
            row = await _row(session, mutation_id)
            if row.outcome != Outcome.OPEN:
                return mutation_from_row(row)
            row.outcome, row.outcome_reason, row.review_id = Outcome.IN_REVIEW, reason, review.id
            add_review(session, review)
            self._outbox.add(session, review_requested(review, await thread_of(session, mutation_id), caused_by))
            return mutation_from_row(row)

    @repeatable
    async def put_on_trial(
        self, mutation_id: str, share: float, reason: str, approved_by: str = "", caused_by: str = ""
    ) -> Mutation:
        """Make a mutation the skill's next version, on trial, and announce it, once. It replaces another one on trial.

        `share`: of the executions, that run it while the trial lasts. One that waits for a person is put on trial only
        as approved by one. It is discarded if what it was compared with is no longer the active version.
        """
        async with self._database.session(current_tenant()) as session:
            await take_turn(session, TURN)
            row = await _row(session, mutation_id)
            if row.outcome != (Outcome.IN_REVIEW if approved_by else Outcome.OPEN):
                return mutation_from_row(row)
            if overtaken := await _overtaken(session, row):
                row.outcome, row.outcome_reason = Outcome.DISCARDED, overtaken
                return mutation_from_row(row)
            await end_trial(
                session, self._outbox, row.skill_id, TrialEnd(REPLACED, ANOTHER_ON_TRIAL, approved_by, caused_by)
            )
            version = await add_version(session, _next_version(row, approved_by), Stage.CANARY)
            skill = (await session.scalars(select(SkillRow).where(SkillRow.id == row.skill_id))).one()
            skill.canary_share = share
            row.outcome, row.outcome_reason = Outcome.CANARY, reason
            self._outbox.add(
                session,
                skill_trial_started(
                    skill.id,
                    skill_name=skill.name,
                    agent_id=row.agent_id,
                    version=version,
                    active_version=skill.active_version,
                    subject_id=row.id,
                    share=share,
                    reason=reason,
                    correlation_id=await thread_of(session, row.id),
                    caused_by=caused_by,
                    by=By.PERSON if approved_by else By.TRIAL,
                ),
            )
            return mutation_from_row(row)

    @repeatable
    async def promote(self, mutation_id: str, approved_by: str, reason: str = "", caused_by: str = "") -> Mutation:
        """Make a mutation that waits or is on trial the version that agents run, and announce it, once.

        It is put away if what it was compared with is no longer the active version: it would take back what the one in
        use is better in. Raises NotFound.
        """
        async with self._database.session(current_tenant()) as session:
            await take_turn(session, TURN)
            row = await _row(session, mutation_id)
            if row.outcome not in (Outcome.IN_REVIEW, Outcome.CANARY):
                return mutation_from_row(row)
            if overtaken := await _overtaken(session, row):
                await self._put_away(session, row, overtaken, caused_by)
                return mutation_from_row(row)
            if row.outcome == Outcome.IN_REVIEW:
                # What a person approved is not replaced by an older rewrite that happens to do well.
                await end_trial(
                    session, self._outbox, row.skill_id, TrialEnd(REPLACED, ANOTHER_IN_USE, approved_by, caused_by)
                )
            by = By.TRIAL if row.outcome == Outcome.CANARY else By.PERSON
            version = await add_version(session, _next_version(row, approved_by), Stage.ACTIVE)
            await grow_suite(session, row.skill_id, _succession(row))
            row.outcome = Outcome.PROMOTED
            row.outcome_reason = reason or f"approved by {approved_by}"
            self._outbox.add(
                session,
                skill_promoted(
                    row.skill_id,
                    skill_name=row.tool_name,
                    version=version,
                    agent_id=row.agent_id,
                    subject_id=row.id,
                    correlation_id=await thread_of(session, row.id),
                    caused_by=caused_by,
                    by=by,
                ),
            )
            return mutation_from_row(row)

    @repeatable
    async def end_trial(self, mutation_id: str, end: TrialEnd) -> Mutation:
        """Take a mutation off trial, for good, and announce that its version was rolled back, once. Raises NotFound."""
        async with self._database.session(current_tenant()) as session:
            await take_turn(session, TURN)
            row = await _row(session, mutation_id)
            if row.outcome == Outcome.CANARY:
                await end_trial(session, self._outbox, row.skill_id, end)
            return mutation_from_row(row)

    async def _put_away(self, session: AsyncSession, row: ToolMutationRow, overtaken: str, caused_by: str) -> None:
        if row.outcome == Outcome.CANARY:
            await end_trial(session, self._outbox, row.skill_id, TrialEnd("overtaken", overtaken, caused_by=caused_by))
        else:
            row.outcome, row.outcome_reason = Outcome.DISCARDED, f"approved, and refused: {overtaken}"

    @repeatable
    async def refuse(self, mutation: Mutation, fault: str, caused_by: str) -> Mutation:
        """Put a mutation away that a person approved and that fails its skill's suite by now; announce that, once."""
        async with self._database.session(current_tenant()) as session:
            row = await _row(session, mutation.id)
            if row.outcome == Outcome.IN_REVIEW:
                row.sandbox_status, row.execution_error = SandboxStatus.FAILED, fault
                row.outcome, row.outcome_reason = Outcome.DISCARDED, f"approved, and refused: {fault}"
                self._outbox.add(session, mutation_executed(mutation, fault, caused_by))
            return mutation_from_row(row)

    @repeatable
    async def discard(self, mutation_id: str, reason: str) -> Mutation:
        """Put a mutation away that is not in use. Raises NotFound."""
        async with self._database.session(current_tenant()) as session:
            row = await _row(session, mutation_id)
            if row.outcome in (Outcome.OPEN, Outcome.IN_REVIEW):
                row.outcome, row.outcome_reason = Outcome.DISCARDED, reason
            return mutation_from_row(row)

    @repeatable
    async def _change(self, mutation_id: str, **values: object) -> None:
        async with self._database.session(current_tenant()) as session:
            await session.execute(update(ToolMutationRow).where(ToolMutationRow.id == mutation_id).values(**values))


async def _row(session: AsyncSession, mutation_id: str) -> ToolMutationRow:
    query = select(ToolMutationRow).where(ToolMutationRow.id == mutation_id)
    row = await session.scalar(query.with_for_update())
    if row is None:
        raise NotFound("mutation", mutation_id)
    return row


async def _overtaken(session: AsyncSession, row: ToolMutationRow) -> str:
    """Why a mutation says nothing of the version in use, empty where it was made from it. The caller holds the turn."""
    made_from = version_of(row.parent_tool_id)
    active = await session.scalar(select(SkillRow.active_version).where(SkillRow.id == row.skill_id))
    return "" if made_from == active else f"it was made from {made_from}, and {active} is in use by now"


def _next_version(row: ToolMutationRow, approved_by: str) -> NextVersion:
    return NextVersion(
        skill_id=row.skill_id,
        parent_version=version_of(row.parent_tool_id),
        code=row.mutated_code,
        source_id=row.id,
        provenance=PROVENANCE.load(row.provenance),
        approved_by=approved_by,
        variant_id=row.variant_id,
    )


def _succession(row: ToolMutationRow) -> list[Addition]:
    """Calls of runs on which a version and its successor gave the same: later ones are to give it too.

    Anybody may report a run: a call that does something else as well could change what the others of a suite give.
    """
    names = entry_points(row.mutated_code, ())
    return [
        Addition(Example(each.call, each.expected), Source.SUCCESSION, row.id, held_out=each.held_out)
        for each in RESULTS.load(row.examples)
        if each.passed and each.expected and is_plain_call(each.call, names)
    ]


def _values(mutation: Mutation) -> dict[str, object]:
    return {
        "id": mutation.id,
        "request_id": mutation.request_id,
        "parent_tool_id": mutation.parent_tool_id,
        "parent_mutation_id": mutation.parent_mutation_id,
        "skill_id": mutation.skill_id,
        "agent_id": mutation.agent_id,
        "tool_name": mutation.skill_name,
        "mutated_code": mutation.code,
        "sandbox_status": mutation.status.value,
        "execution_error": mutation.execution_error,
        "purpose": mutation.purpose.value,
        "provenance": PROVENANCE.dump(mutation.provenance),
        "outcome": mutation.outcome.value,
        "outcome_reason": mutation.outcome_reason,
        "created_at": mutation.created_at,
    }


def mutation_from_row(row: ToolMutationRow) -> Mutation:
    """The mutation that a row holds."""
    provenance = PROVENANCE.load(row.provenance)
    return Mutation(
        id=row.id,
        request_id=row.request_id,
        skill_id=row.skill_id,
        skill_name=row.tool_name,
        parent_version=version_of(row.parent_tool_id),
        agent_id=row.agent_id,
        code=row.mutated_code,
        purpose=Purpose(row.purpose) if row.purpose else _purpose_by(provenance.proposer),
        provenance=provenance,
        created_at=row.created_at,
        parent_mutation_id=row.parent_mutation_id,
        status=SandboxStatus(row.sandbox_status),
        execution_error=row.execution_error,
        examples=RESULTS.load(row.examples),
        measurements=MEASUREMENTS.load(row.measurements) if row.measurements is not None else None,
        variant_id=row.variant_id,
        time_ratio=row.time_ratio,
        time_ratio_low=row.time_ratio_low,
        time_ratio_high=row.time_ratio_high,
        fitness_delta=row.fitness_delta,
        outcome=Outcome(row.outcome),
        outcome_reason=row.outcome_reason,
        review_id=row.review_id,
        generated=GENERATED.load(row.generated) if row.generated is not None else None,
        overfit=Overfit(row.overfit),
    )


def _purpose_by(proposer: str) -> Purpose:
    """What is most likely: speed-ups, and what models wrote, are held to their parents; other proposers only mend."""
    return Purpose.FASTER if proposer == "performance" or proposer.startswith("llm") else Purpose.MEND
