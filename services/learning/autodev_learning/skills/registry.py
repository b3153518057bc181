"""The skills of a tenant: versions that never change, one of which agents run."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import TYPE_CHECKING

from autodev_learning.examples import Example, called_names
from autodev_learning.memento.proposing import defined_names
from autodev_learning.skills.provenance import Provenance
from autodev_runtime.errors import FailedPrecondition

if TYPE_CHECKING:
    from autodev_learning.store.skills import SkillStore

FIRST_VERSION = "1.0.0"
MOST_WORDS = 16


@dataclass(frozen=True)
class SkillVersion:
    """One version of a skill's code, with what it takes to use it elsewhere: preamble, examples, where it is from."""

    version: str
    parent_version: str
    code: str
    preamble: str
    source_id: str
    provenance: Provenance
    examples: tuple[Example, ...]
    entry_points: tuple[str, ...]
    content_sha256: str
    approved_by: str
    created_at: datetime
    variant_id: str | None = None


@dataclass(frozen=True)
class Skill:
    """Something that the tenant's agents can do.

    `canary`: a version on trial, which `canary_share` of the runs gets (None: the service's setting).
    """

    id: str
    name: str
    description: str
    agent_id: str
    created_at: datetime
    active: SkillVersion
    canary: SkillVersion | None = None
    canary_share: float | None = None


class Stage(Enum):
    """What becomes of a version that is added: the one that agents run, or the one on trial."""

    ACTIVE = auto()
    CANARY = auto()


@dataclass(frozen=True)
class NextVersion:
    """A rewrite of a skill's version: the mutation `source_id` made it from `parent_version`."""

    skill_id: str
    parent_version: str
    code: str
    source_id: str
    provenance: Provenance
    approved_by: str
    variant_id: str | None = None


@dataclass(frozen=True)
class Rollback:
    """A person's wish to go back: to the active version's parent, or to a named version."""

    request_id: str
    skill_id: str
    to_version: str
    operator: str
    reason: str


def content_sha256(preamble: str, code: str) -> str:
    """The SHA-256 of the preamble, a line feed and the code, in UTF-8; hexadecimal."""
    return hashlib.sha256(f"{preamble}\n{code}".encode()).hexdigest()


def entry_points(code: str, examples: Sequence[Example]) -> tuple[str, ...]:
    """The functions and classes that the code defines: those that the examples call first."""
    defined = defined_names(code)
    called = [name for name in called_names([example.call for example in examples]) if name in defined]
    return tuple(dict.fromkeys((*called, *defined)))


def next_minor(versions: Collection[str]) -> str:
    """The version after the highest of these, its minor number one higher: 1.3.0 after 1.2.0."""
    major, minor, _ = max(tuple(int(part) for part in version.split(".")) for version in versions)
    return f"{major}.{minor + 1}.0"


def free_name(wanted: str, taken: Collection[str]) -> str:
    """The name, with the first number behind it that makes it free where it is taken."""
    number = 2
    name = wanted
    while name in taken:
        name = f"{wanted}_{number}"
        number += 1
    return name


def rollback_target(skill: Skill, to_version: str) -> str:
    """The version to go back to. Raises FailedPrecondition (NO_EARLIER_VERSION)."""
    target = to_version or skill.active.parent_version
    if not target:
        raise FailedPrecondition(
            f"version {skill.active.version} of {skill.name!r} is its first", reason="NO_EARLIER_VERSION"
        )
    return target


class Skills:
    """The registry."""

    def __init__(self, store: "SkillStore") -> None:
        self._store = store

    async def get(self, id_or_name: str) -> Skill:
        """Raises NotFound."""
        return await self._store.get(id_or_name)

    async def page(self, limit: int, after_name: str | None) -> list[Skill]:
        """Skills by name, of those behind `after_name`."""
        return await self._store.page(limit, after_name)

    async def search(self, query: str, limit: int, after_name: str | None) -> list[Skill]:
        """Skills whose name or description has every word of the query, in any case; by name, of those behind
        `after_name`. None for a query without words."""
        words = query.lower().split()[:MOST_WORDS]
        return await self._store.search(words, limit, after_name) if words else []

    async def versions(self, id_or_name: str, limit: int, before_id: str | None) -> list[tuple[str, SkillVersion]]:
        """A skill's versions with their rows' ids, newest first, of those older than `before_id`. Raises NotFound."""
        skill = await self._store.get(id_or_name)
        return await self._store.versions(skill.id, limit, before_id)

    async def roll_back(self, rollback: Rollback) -> Skill:
        """Make a version that was the active one so again, once a request. It ends a trial.

        Raises NotFound, FailedPrecondition (NO_EARLIER_VERSION, NEVER_IN_USE).
        """
        return await self._store.roll_back(rollback)
