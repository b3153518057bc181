"""Skills, their versions and their rollbacks."""

import re
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from autodev_learning.evolution.mutations import Outcome, TrialEnd
from autodev_learning.memento.announcements import skill_promoted, skill_rolled_back
from autodev_learning.memento.candidates import Candidate, CandidateStatus
from autodev_learning.rows import ReviewRow, SkillRollbackRow, SkillRow, SkillVersionRow, ToolMutationRow
from autodev_learning.skills.registry import (
    FIRST_VERSION,
    NextVersion,
    Rollback,
    Skill,
    SkillVersion,
    Stage,
    content_sha256,
    entry_points,
    free_name,
    next_minor,
    rollback_target,
)
from autodev_learning.store.candidates import PROVENANCE, candidate_from_row, candidate_row
from autodev_learning.store.episodes import EXAMPLES
from autodev_learning.store.suites import grow_suite, task_additions
from autodev_learning.store.threads import thread_of
from autodev_learning.store.trial_ends import end_trial
from autodev_learning.store.turns import take_turn
from autodev_runtime.columns import now
from autodev_runtime.database import Database
from autodev_runtime.errors import FailedPrecondition, NotFound
from autodev_runtime.identity import current_tenant
from autodev_runtime.outbox import Outbox
from autodev_runtime.repeating import repeatable
from autodev_sdk.events import uuid7

TURN = "skills"
ROLLED_BACK = "the skill was rolled back"
LIKE_SPECIAL = re.compile(r"([%_\\])")
ESCAPED = r"\\\1"


class SkillStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def get(self, id_or_name: str) -> Skill:
        """Raises NotFound."""
        async with self._database.reading(current_tenant()) as session:
            return await load_skill(session, id_or_name)

    async def page(self, limit: int, after_name: str | None) -> list[Skill]:
        """Skills by name, of those behind `after_name`."""
        return await self._page(limit, after_name)

    async def search(self, words: Sequence[str], limit: int, after_name: str | None) -> list[Skill]:
        """Skills whose name or description has each of the words, which are in small letters; by name."""
        return await self._page(limit, after_name, *map(_has_word, words))

    async def _page(self, limit: int, after_name: str | None, *narrowed: ColumnElement[bool]) -> list[Skill]:
        query = _skills().where(*narrowed).order_by(SkillRow.name).limit(limit)
        if after_name is not None:
            query = query.where(SkillRow.name > after_name)
        async with self._database.reading(current_tenant()) as session:
            return [_skill(*found) for found in await session.execute(query)]

    async def versions(self, skill_id: str, limit: int, before_id: str | None) -> list[tuple[str, SkillVersion]]:
        """A skill's versions with the ids of their rows, newest first, of those older than `before_id`."""
        query = select(SkillVersionRow).where(SkillVersionRow.skill_id == skill_id)
        query = query.order_by(SkillVersionRow.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(SkillVersionRow.id < before_id)
        async with self._database.reading(current_tenant()) as session:
            return [(row.id, version_from_row(row)) for row in await session.scalars(query)]

    async def version(self, skill_id: str, version: str) -> SkillVersion:
        """One version of a skill, by its number. Raises NotFound."""
        async with self._database.reading(current_tenant()) as session:
            return version_from_row(await _version_row(session, skill_id, version))

    @repeatable
    async def promote(self, candidate_id: str, caused_by: str) -> Candidate:
        """Make an approved candidate a skill, or part of one whose active version is the same; announce it; once.

        Raises NotFound, FailedPrecondition (NOT_APPROVED).
        """
        async with self._database.session(current_tenant()) as session:
            await take_turn(session, TURN)
            row = await candidate_row(session, candidate_id)
            candidate = candidate_from_row(row)
            if candidate.status is CandidateStatus.PROMOTED:
                return candidate
            if candidate.status is not CandidateStatus.APPROVED:
                raise FailedPrecondition(
                    f"candidate {candidate_id!r} is {candidate.status}, not approved",
                    reason="NOT_APPROVED",
                    metadata={"status": candidate.status.upper()},
                )
            skill = await _skill_with(session, candidate) or await _first_version(session, candidate)
            await grow_suite(session, skill.id, task_additions(candidate.examples, candidate.id))
            row.validation_status, row.skill_id, row.promoted_at = CandidateStatus.PROMOTED, skill.id, now()
            self._outbox.add(
                session,
                skill_promoted(
                    skill.id,
                    skill_name=skill.name,
                    version=skill.active_version,
                    agent_id=candidate.agent_id,
                    subject_id=candidate.id,
                    correlation_id=await thread_of(session, candidate.id),
                    caused_by=caused_by,
                ),
            )
            return candidate_from_row(row)

    @repeatable
    async def roll_back(self, rollback: Rollback) -> Skill:
        """See `Skills.roll_back`."""
        async with self._database.session(current_tenant()) as session:
            await take_turn(session, TURN)
            done = await session.scalar(
                select(SkillRollbackRow).where(SkillRollbackRow.request_id == rollback.request_id)
            )
            if done is not None:
                return await load_skill(session, done.skill_id)
            skill = await load_skill(session, rollback.skill_id)
            version = await _version_row(session, skill.id, rollback_target(skill, rollback.to_version))
            await _require_used(session, version)
            target = version.version
            row = (await session.scalars(select(SkillRow).where(SkillRow.id == skill.id))).one()
            # Who goes back does not trust what came after.
            await end_trial(session, self._outbox, skill.id, TrialEnd("rolled back", ROLLED_BACK, rollback.operator))
            session.add(
                SkillRollbackRow(
                    request_id=rollback.request_id,
                    skill_id=skill.id,
                    from_version=row.active_version,
                    to_version=target,
                    operator=rollback.operator,
                    reason=rollback.reason,
                )
            )
            if target != row.active_version:
                self._outbox.add(
                    session,
                    skill_rolled_back(
                        skill.id,
                        skill_name=skill.name,
                        agent_id=skill.agent_id,
                        from_version=row.active_version,
                        to_version=target,
                        operator=rollback.operator,
                        reason=rollback.reason,
                        correlation_id=await thread_of(session, skill.active.source_id),
                    ),
                )
            row.active_version = target
            await session.flush()
            return await load_skill(session, skill.id)


async def add_version(session: AsyncSession, addition: NextVersion, stage: Stage) -> str:
    """Add a skill's next version within the caller's transaction, which also announces it; returns its number.

    The minor number goes up; the parent stays linked, and its preamble and examples are the new version's too. A source
    that has a version already gets no other, and may move from trial to active. Raises NotFound.
    """
    await take_turn(session, TURN)
    skill = await session.scalar(select(SkillRow).where(SkillRow.id == addition.skill_id).with_for_update())
    if skill is None:
        raise NotFound("skill", addition.skill_id)
    row = await session.scalar(select(SkillVersionRow).where(SkillVersionRow.source_id == addition.source_id))
    if row is None:
        parent = await _version_row(session, skill.id, addition.parent_version)
        numbers = await session.scalars(select(SkillVersionRow.version).where(SkillVersionRow.skill_id == skill.id))
        row = SkillVersionRow(
            skill_id=skill.id,
            version=next_minor(numbers.all()),
            parent_version=parent.version,
            code=addition.code,
            preamble=parent.preamble,
            source_id=addition.source_id,
            provenance=PROVENANCE.dump(addition.provenance),
            examples=parent.examples,
            entry_points=list(entry_points(addition.code, EXAMPLES.load(parent.examples))),
            content_sha256=content_sha256(parent.preamble, addition.code),
            variant_id=addition.variant_id,
        )
        session.add(row)
        # A skill from before there were suites gets one with its next version.
        await grow_suite(session, skill.id, task_additions(EXAMPLES.load(parent.examples), parent.source_id))
    row.approved_by = addition.approved_by
    if stage is Stage.ACTIVE:
        skill.active_version = row.version
        if skill.canary_version == row.version:
            skill.canary_version = skill.canary_share = None
    elif row.version != skill.active_version:
        skill.canary_version = row.version
    await session.flush()
    return row.version


async def load_skill(session: AsyncSession, id_or_name: str) -> Skill:
    """A skill by its id, or else by its name. Raises NotFound."""
    query = _skills().where((SkillRow.id == id_or_name) | (SkillRow.name == id_or_name))
    found = [_skill(*each) for each in await session.execute(query)]
    if not found:
        raise NotFound("skill", id_or_name)
    return min(found, key=lambda skill: skill.id != id_or_name)


def version_from_row(row: SkillVersionRow) -> SkillVersion:
    """The version that a row holds."""
    return SkillVersion(
        version=row.version,
        parent_version=row.parent_version,
        code=row.code,
        preamble=row.preamble,
        source_id=row.source_id,
        provenance=PROVENANCE.load(row.provenance),
        examples=EXAMPLES.load(row.examples),
        entry_points=tuple(row.entry_points),
        content_sha256=row.content_sha256,
        approved_by=row.approved_by,
        created_at=row.created_at,
        variant_id=row.variant_id,
    )


def _has_word(word: str) -> ColumnElement[bool]:
    like = f"%{LIKE_SPECIAL.sub(ESCAPED, word)}%"
    # SQLite, and PostgreSQL with the locale C, know of no capitals but those of ASCII.
    capitals = {each.upper(): each for each in word if not each.isascii() and len(each.upper()) == 1}
    foreign = "".join(capitals), "".join(capitals.values())
    columns = (func.translate(func.lower(each), *foreign) for each in (SkillRow.name, SkillRow.description))
    return or_(*(column.like(like, escape="\\") for column in columns))


def _skills() -> Select[SkillRow, SkillVersionRow, SkillVersionRow]:
    """Skills, each with the version in use and the one on trial, None where there is none: one statement for all."""
    active, canary = aliased(SkillVersionRow), aliased(SkillVersionRow)
    return (
        select(SkillRow, active, canary)
        .join(active, (active.skill_id == SkillRow.id) & (active.version == SkillRow.active_version))
        .outerjoin(canary, (canary.skill_id == SkillRow.id) & (canary.version == SkillRow.canary_version))
    )


def _skill(row: SkillRow, active: SkillVersionRow, canary: SkillVersionRow | None) -> Skill:
    return Skill(
        id=row.id,
        name=row.name,
        description=row.description,
        agent_id=row.agent_id,
        created_at=row.created_at,
        active=version_from_row(active),
        canary=version_from_row(canary) if canary is not None else None,
        canary_share=row.canary_share,
    )


async def _version_row(session: AsyncSession, skill_id: str, version: str) -> SkillVersionRow:
    row = await session.scalar(
        select(SkillVersionRow).where(SkillVersionRow.skill_id == skill_id, SkillVersionRow.version == version)
    )
    if row is None:
        raise NotFound("skill version", version)
    return row


async def _require_used(session: AsyncSession, version: SkillVersionRow) -> None:
    """Raise FailedPrecondition (NEVER_IN_USE) for a version of a rewrite that is on trial, or ended so."""
    outcome = await session.scalar(select(ToolMutationRow.outcome).where(ToolMutationRow.id == version.source_id))
    if outcome not in (None, Outcome.PROMOTED):
        raise FailedPrecondition(
            f"version {version.version} was never the active one: name one that was", reason="NEVER_IN_USE"
        )


async def _skill_with(session: AsyncSession, candidate: Candidate) -> SkillRow | None:
    """The skill whose active version is the candidate's content already: what was approved is what runs."""
    return await session.scalar(
        select(SkillRow)
        .join(
            SkillVersionRow,
            (SkillVersionRow.skill_id == SkillRow.id) & (SkillVersionRow.version == SkillRow.active_version),
        )
        .where(SkillVersionRow.content_sha256 == content_sha256(candidate.preamble, candidate.code))
        .order_by(SkillRow.id)
        .limit(1)
    )


async def _first_version(session: AsyncSession, candidate: Candidate) -> SkillRow:
    approved_by = await session.scalar(select(ReviewRow.reviewer).where(ReviewRow.subject_id == candidate.id))
    skill = SkillRow(
        id=uuid7(),
        name=free_name(candidate.skill_name, await _names_like(session, candidate.skill_name)),
        description=candidate.skill_description,
        agent_id=candidate.agent_id,
        active_version=FIRST_VERSION,
    )
    version = SkillVersionRow(
        skill_id=skill.id,
        version=FIRST_VERSION,
        code=candidate.code,
        preamble=candidate.preamble,
        source_id=candidate.id,
        provenance=PROVENANCE.dump(candidate.provenance),
        examples=EXAMPLES.dump(candidate.examples),
        entry_points=list(entry_points(candidate.code, candidate.examples)),
        content_sha256=content_sha256(candidate.preamble, candidate.code),
        approved_by=approved_by or "",
    )
    session.add_all([skill, version])
    await session.flush()
    return skill


async def _names_like(session: AsyncSession, name: str) -> set[str]:
    pattern = LIKE_SPECIAL.sub(r"\\\1", name) + "%"
    return set(await session.scalars(select(SkillRow.name).where(SkillRow.name.like(pattern, escape="\\"))))
