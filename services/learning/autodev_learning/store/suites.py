"""The regression suites of skills: they grow, and no member changes."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.examples import Example, call_key, split_held_out
from autodev_learning.proof.suites import Source, SuiteExample, is_keepable
from autodev_learning.rows import SkillExampleRow
from autodev_runtime.columns import insert_if_absent, now
from autodev_runtime.database import Database
from autodev_runtime.identity import current_tenant
from autodev_sdk.events import uuid7

MOST_MEMBERS = 500
"""Of one skill. A suite that is full takes no more: who was first stays."""


@dataclass(frozen=True)
class Addition:
    """An example that is to become a member, unless its call is one already."""

    example: Example
    source: Source
    source_id: str
    held_out: bool = False


class SuiteStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def members(self, skill_id: str) -> list[SuiteExample]:
        """All of a skill's suite, oldest first."""
        return await self.page(skill_id, MOST_MEMBERS, None)

    async def page(self, skill_id: str, limit: int, after_id: str | None) -> list[SuiteExample]:
        """Members, oldest first, of those that came after one."""
        query = select(SkillExampleRow).where(SkillExampleRow.skill_id == skill_id)
        query = query.order_by(SkillExampleRow.id).limit(limit)
        if after_id is not None:
            query = query.where(SkillExampleRow.id > after_id)
        async with self._database.reading(current_tenant()) as session:
            return [_member(row) for row in await session.scalars(query)]

    async def expected(self, skill_id: str, call: str) -> str:
        """What a call must equal; empty where the suite does not know it."""
        query = select(SkillExampleRow.expected).where(
            SkillExampleRow.skill_id == skill_id, SkillExampleRow.call_sha256 == _sha256(call)
        )
        async with self._database.reading(current_tenant()) as session:
            return await session.scalar(query) or ""


def task_additions(examples: Sequence[Example], candidate_id: str) -> list[Addition]:
    """A task's examples, those held out from its proposer marked."""
    _, held_out = split_held_out(examples)
    hidden = {id(example) for example in held_out}
    return [Addition(each, Source.TASK, candidate_id, held_out=id(each) in hidden) for each in examples]


async def grow_suite(session: AsyncSession, skill_id: str, additions: Sequence[Addition]) -> None:
    """Add members within the caller's transaction, those that can be members and while there is room."""
    keepable = [each for each in additions if is_keepable(each.example)]
    if not keepable:
        return
    count = select(func.count()).select_from(SkillExampleRow).where(SkillExampleRow.skill_id == skill_id)
    room = MOST_MEMBERS - (await session.scalar(count) or 0)
    for addition in keepable:
        if room <= 0:
            return
        room -= await insert_if_absent(
            session,
            SkillExampleRow,
            id=uuid7(),
            skill_id=skill_id,
            call_sha256=_sha256(addition.example.call),
            call=addition.example.call,
            expected=addition.example.expected,
            source=addition.source,
            source_id=addition.source_id,
            held_out=addition.held_out,
            created_at=now(),
        )


async def held_out_among(session: AsyncSession, skill_id: str, calls: Iterable[str]) -> set[str]:
    """Those of the calls that the suite knows as held out, however they are written."""
    hashes = {call: _sha256(call) for call in calls}
    query = select(SkillExampleRow.call_sha256).where(
        SkillExampleRow.skill_id == skill_id,
        SkillExampleRow.held_out.is_(True),
        SkillExampleRow.call_sha256.in_(set(hashes.values())),
    )
    held_out = set(await session.scalars(query))
    return {call for call, hashed in hashes.items() if hashed in held_out}


def _sha256(call: str) -> str:
    return hashlib.sha256(call_key(call).encode(errors="surrogatepass")).hexdigest()


def _member(row: SkillExampleRow) -> SuiteExample:
    return SuiteExample(
        id=row.id,
        call=row.call,
        expected=row.expected,
        source=Source(row.source),
        source_id=row.source_id,
        held_out=row.held_out,
        created_at=row.created_at,
    )
