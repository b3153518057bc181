"""Versions on trial: promoted after enough good runs, dropped at the first bad one."""

import logging
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from autodev_learning.evolution.opportunities import SkillRun
from autodev_learning.examples import Example, matches
from autodev_learning.skills.reviews import Decided, Decision

if TYPE_CHECKING:
    from autodev_learning.store.mutations import MutationStore
    from autodev_learning.store.skills import SkillStore

log = logging.getLogger(__name__)


class Trial(StrEnum):
    """What a run says of a version on trial."""

    GOES_ON = "goes on"
    PASSED = "passed"
    FAILED = "failed"


def fault_of_run(run: SkillRun, examples: Sequence[Example]) -> str:
    """What a run on trial did wrong, in a sentence; empty for a good one.

    An output that is a literal is compared where the call is a known example; another says nothing.
    """
    if not run.success:
        return f"the run failed: {run.output[:300]}"
    known = [*examples, *((Example(run.call, run.expected),) if run.expected else ())]
    is_literal = matches(run.output, run.output)
    for example in known:
        if example.call == run.call and is_literal and not matches(run.output, example.expected):
            return f"{run.call[:200]} gave {run.output[:200]}; expected is {example.expected[:200]}"
    return ""


def trial_after(fault: str, good_runs: int, enough: int) -> Trial:
    """Where a trial stands after a run."""
    if fault:
        return Trial.FAILED
    return Trial.PASSED if good_runs >= enough else Trial.GOES_ON


class Canaries:
    """Watches the runs of versions on trial."""

    def __init__(self, mutations: "MutationStore", skills: "SkillStore", good_runs: int) -> None:
        self._mutations = mutations
        self._skills = skills
        self._good_runs = good_runs

    async def observe(self, run: SkillRun, skill_id: str) -> None:
        """Promote or drop the skill's version on trial, if it is what ran. The run is stored already."""
        version = (await self._skills.get(skill_id)).canary
        if version is None or version.version != run.skill_version:
            return
        fault = fault_of_run(run, version.examples)
        good = await self._mutations.good_runs(skill_id, version.version)
        match trial_after(fault, good, self._good_runs):
            case Trial.FAILED:
                log.info("version %s of %s failed its trial: %s", version.version, skill_id, fault)
                await self._mutations.end_trial(version.source_id, fault)
            case Trial.PASSED:
                log.info("version %s of %s passed its trial", version.version, skill_id)
                await self._mutations.promote(version.source_id, "", f"{good} good runs on trial")


class MutationPromoter:
    """Acts on people's decisions about mutations; see `promotion.Promoter`."""

    def __init__(self, mutations: "MutationStore") -> None:
        self._mutations = mutations

    async def on_decision(self, decided: Decided) -> None:
        """Make an approved mutation the skill's next version; put a rejected one away."""
        if decided.decision is Decision.APPROVED:
            await self._mutations.promote(decided.subject_id, decided.reviewer, "", decided.event_id)
        else:
            await self._mutations.discard(decided.subject_id, f"rejected by {decided.reviewer}")
