"""Versions on trial: compared live with the active one, promoted after enough good runs, rolled back where worse."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.evolution.canary_rule import Standing, TrialRule, Verdict, verdict
from autodev_learning.evolution.mutations import Outcome, TrialEnd
from autodev_learning.evolution.opportunities import SkillRun
from autodev_learning.evolution.proving import MutationProver
from autodev_learning.examples import Example, matches
from autodev_learning.peers.capabilities import Capabilities, Capability
from autodev_learning.skills.registry import Skill, SkillVersion
from autodev_learning.skills.reviews import Decided, Decision

if TYPE_CHECKING:
    from autodev_learning.store.mutations import MutationStore
    from autodev_learning.store.skills import SkillStore
    from autodev_learning.store.suites import SuiteStore
    from autodev_learning.store.trials import TrialFigures, TrialStore

log = logging.getLogger(__name__)

NOT_BY_ITSELF = "the workspace or the agent's level no longer lets a version be used without a person"


def wrong_value(run: SkillRun, examples: Sequence[Example]) -> str:
    """What a run gave that is known to be wrong, in a sentence; empty where nothing is.

    An output that is a literal is compared where the call is a known example; another says nothing.
    """
    known = [*examples, *((Example(run.call, run.expected),) if run.expected else ())]
    if not run.success or not matches(run.output, run.output):
        return ""
    for example in known:
        if example.call == run.call and not matches(run.output, example.expected):
            return f"{run.call[:200]} gave {run.output[:200]}; expected is {example.expected[:200]}"
    return ""


async def may_promote_itself(capabilities: Capabilities, agent_id: str) -> bool:
    """Whether the workspace opted in and the agent is autonomous, which background evolution stands for."""
    if not (await capabilities.workspace()).auto_promote:
        return False
    return (await capabilities.check(agent_id, Capability.BACKGROUND_EVOLUTION)).allowed_another_day


async def trial_share(capabilities: Capabilities, otherwise: float) -> float:
    """The share of the executions that run a version on trial: the workspace's own, or the service's."""
    return (await capabilities.workspace()).canary_share or otherwise


@dataclass(frozen=True)
class TrialView:
    """A trial as it is shown."""

    figures: "TrialFigures"
    verdict: Verdict
    rule: TrialRule


class Trials:
    """How versions on trial do."""

    def __init__(self, trials: "TrialStore", rule: TrialRule) -> None:
        self._trials = trials
        self._rule = rule

    async def view(self, skill: Skill) -> TrialView | None:
        """The skill's trial, if it has one."""
        if skill.canary is None:
            return None
        figures = await self._trials.figures(skill.id, skill.canary.version, skill.active.version, self._rule.looks)
        return TrialView(figures, verdict(figures.now, figures.looks, self._rule), self._rule)


class Canaries:
    """Ends trials. All that it goes by is in the database, so a crash only delays the next look."""

    def __init__(
        self,
        mutations: "MutationStore",
        skills: "SkillStore",
        suites: "SuiteStore",
        trials: Trials,
        prover: MutationProver,
        capabilities: Capabilities,
    ) -> None:
        self._mutations = mutations
        self._skills = skills
        self._suites = suites
        self._trials = trials
        self._prover = prover
        self._capabilities = capabilities

    async def observe(self, run: SkillRun, skill_id: str, caused_by: str) -> None:
        """Promote or roll back the skill's version on trial, if it is what ran. The run is stored already.

        `caused_by`: the event that reported it.
        """
        skill = await self._skills.get(skill_id)
        version = skill.canary
        if version is None or version.version != run.skill_version:
            return
        suite = await self._suites.expected(skill_id, run.call) if run.call else ""
        known = (*version.examples, *((Example(run.call, suite),) if suite else ()))
        if wrong := wrong_value(run, known):
            await self._roll_back(version.source_id, TrialEnd("wrong value", wrong, caused_by=caused_by))
            return
        view = await self._trials.view(skill)
        if view is None:
            return
        match view.verdict.standing:
            case Standing.WORSE | Standing.UNDECIDED as standing:
                await self._roll_back(version.source_id, TrialEnd(standing, view.verdict.reason, caused_by=caused_by))
            case Standing.PASSED:
                await self._promote(version, view.verdict.reason, caused_by)
            case Standing.GOES_ON:
                pass

    async def _promote(self, version: SkillVersion, reason: str, caused_by: str) -> None:
        mutation = await self._mutations.get(version.source_id)
        if not version.approved_by and not await may_promote_itself(self._capabilities, mutation.agent_id):
            await self._roll_back(mutation.id, TrialEnd("not allowed", NOT_BY_ITSELF, caused_by=caused_by))
            return
        # During the trial the suite may have grown by what the active version gave.
        if regression := await self._prover.regression(mutation):
            await self._roll_back(mutation.id, TrialEnd("regression", regression, caused_by=caused_by))
            return
        log.info("mutation %s passed its trial: %s", mutation.id, reason)
        promoted = await self._mutations.promote(mutation.id, version.approved_by, reason, caused_by)
        if promoted.outcome is Outcome.PROMOTED:
            metrics.TRIALS.labels(Standing.PASSED).inc()

    async def _roll_back(self, mutation_id: str, end: TrialEnd) -> None:
        log.info("mutation %s failed its trial: %s", mutation_id, end.result)
        await self._mutations.end_trial(mutation_id, end)


class MutationPromoter:
    """Acts on people's decisions about mutations; see `promotion.Promoter`."""

    def __init__(
        self, mutations: "MutationStore", prover: MutationProver, capabilities: Capabilities, canary_share: float
    ) -> None:
        self._mutations = mutations
        self._prover = prover
        self._capabilities = capabilities
        self._canary_share = canary_share

    async def on_decision(self, decided: Decided) -> None:
        """Make an approved mutation the next version, on trial where that was said; put a rejected one away.

        What fails the suite by now is neither.
        """
        if decided.decision is not Decision.APPROVED:
            await self._mutations.discard(decided.subject_id, f"rejected by {decided.reviewer}")
            return
        mutation = await self._mutations.get(decided.subject_id)
        if mutation.waits and (regression := await self._prover.regression(mutation)):
            log.info("mutation %s is refused: regression", mutation.id)
            metrics.REGRESSIONS.inc()
            await self._mutations.refuse(mutation, regression, decided.event_id)
            return
        if not decided.on_trial:
            await self._mutations.promote(decided.subject_id, decided.reviewer, "", decided.event_id)
            return
        share = await trial_share(self._capabilities, self._canary_share)
        reason = f"approved by {decided.reviewer}"
        await self._mutations.put_on_trial(decided.subject_id, share, reason, decided.reviewer, decided.event_id)
