"""What follows a person's decision: what was approved becomes what agents run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from autodev_learning.memento.candidates import Candidate
from autodev_learning.skills.reviews import Decided, Decision, SubjectKind

if TYPE_CHECKING:
    from autodev_learning.store.skills import SkillStore


class Promoter(Protocol):
    """Acts on decisions about one kind of subject. Safe to call again for the same decision."""

    async def on_decision(self, decided: Decided) -> None:
        """Promote what was approved, put away what was not."""
        ...


class CandidatePromoter:
    """Makes approved candidates skills."""

    def __init__(self, skills: "SkillStore") -> None:
        self._skills = skills

    async def on_decision(self, decided: Decided) -> None:
        """A rejected candidate was put away with the decision itself."""
        if decided.decision is Decision.APPROVED:
            await self.promote(decided.subject_id, decided.event_id)

    async def promote(self, candidate_id: str, caused_by: str = "") -> Candidate:
        """Make an approved candidate a skill; of a promoted one, what is written.

        Raises NotFound, FailedPrecondition (NOT_APPROVED).
        """
        return await self._skills.promote(candidate_id, caused_by)


class Promotion:
    """Hands each decision to who acts on its kind of subject."""

    def __init__(self, promoters: Mapping[SubjectKind, Promoter]) -> None:
        self._promoters = promoters

    async def on_decision(self, decided: Decided) -> None:
        """Act on a decision. Safe to call again."""
        await self._promoters[decided.subject_kind].on_decision(decided)
