"""A trial that went well ends in a version that agents run only where that is still wanted, and nothing was lost."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev_learning.evolution.canary import NOT_BY_ITSELF, Canaries, MutationPromoter, Trials
from autodev_learning.evolution.canary_rule import TrialRule
from autodev_learning.evolution.comparison import Purpose
from autodev_learning.evolution.mutations import Mutation, Order, Outcome, mutation_from
from autodev_learning.evolution.opportunities import SkillRun
from autodev_learning.evolution.proving import MutationProver
from autodev_learning.evolution.rewriting import Rewrite
from autodev_learning.peers.capabilities import Capabilities
from autodev_learning.proof.prover import Prover
from autodev_learning.skills.provenance import Provenance
from autodev_learning.skills.reviews import Decided, Decision, SubjectKind, review_of
from autodev_learning.store.evolution import EvolutionStore
from autodev_learning.store.mutations import MutationStore
from autodev_learning.store.suites import SuiteStore
from autodev_learning.store.trials import TrialStore
from autodev_runtime.identity import Role
from autodev_sandbox.execution import BackendUnavailable
from tests.clock import Clock
from tests.conftest import require
from tests.integration.capability.parts import replica, settings_on
from tests.integration.learning.test_stores import Stores, approved, stores
from tests.serving import acting, serving
from tests.storage import Storage
from tests.unit.learning.sandboxed import namespace_execute

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub

__all__ = ["stores"]

SAME = "def total(values):\n    return sum(list(values))\n"
SMALL_ONLY = "def total(values):\n    return sum(values[:1])\n"
AGENT = "a1"
GOOD_RUNS = 2


@dataclass
class Parts:
    """A skill, the capability service that says what may be, and what ends trials."""

    stores: Stores
    capability: "CapabilityServiceAsyncStub"
    mutations: MutationStore
    evolution: EvolutionStore
    canaries: Canaries
    promoter: MutationPromoter
    runs: int = 0

    async def allow(self, *, auto_promote: bool = True, level: int = pb.MATURITY_LEVEL_AUTONOMOUS) -> None:
        settings = settings_on()
        settings.auto_promote = auto_promote
        await self.capability.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings))
        await self.capability.SetMaturity(pb.SetMaturityRequest(agent_id=AGENT, maturity=level))  # type: ignore[arg-type]

    async def rewrite(self, code: str, name: str = "trial") -> Mutation:
        """A rewrite that did well in the sandbox."""
        skill = await self.stores.skills.get("total")
        order = Order(f"request:{name}", name, skill.id, "total", "1.0.0", AGENT)
        mutation = mutation_from(order, Rewrite(code, Purpose.FASTER, Provenance()))
        await self.mutations.add(mutation, None, "")
        return await self.mutations.record_run(mutation, "", (), None, "")

    async def on_trial(self, code: str) -> Mutation:
        """A rewrite that won and is on trial."""
        return await self.mutations.put_on_trial((await self.rewrite(code)).id, 0.5, "it wins")

    async def approved(self, code: str, name: str = "trial", *, on_trial: bool = True) -> Mutation:
        """A rewrite that a person approved. The event of the decision comes twice."""
        mutation = await self.rewrite(code, name)
        review = review_of(SubjectKind.MUTATION, mutation.id, AGENT, title="t", code=code, replaces="", evidence=())
        await self.mutations.ask_for_review(mutation.id, review, "it wins", "")
        decided = Decided(review.id, SubjectKind.MUTATION, mutation.id, Decision.APPROVED, "ada", "", "e", on_trial)
        for _ in range(2):
            await self.promoter.on_decision(decided)
        return await self.mutations.get(mutation.id)

    async def run(self, version: str, call: str, output: str, expected: str = "") -> None:
        """A good run, as an agent's runtime reports it."""
        self.runs += 1
        skill = await self.stores.skills.get("total")
        run = SkillRun(f"run-{self.runs}", AGENT, skill.id, version, 0.1, 0, True, output, call, expected)
        await self.evolution.keep_run(run, skill, {}, "", "")
        await self.canaries.observe(run, skill.id, f"event-of-{run.execution_id}")

    async def end(self, mutation: Mutation) -> Mutation:
        """The mutation after all its good runs."""
        for _ in range(GOOD_RUNS):
            await self.run("1.1.0", "total([7])", "7")
        return await self.mutations.get(mutation.id)

    async def active(self) -> str:
        return (await self.stores.skills.get("total")).active.version


@pytest.fixture
async def parts(stores: Stores, storage: Storage) -> AsyncIterator[Parts]:
    try:
        execute = await namespace_execute()
    except BackendUnavailable as error:
        require(None, f"no namespace sandbox: {error}")
        raise
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    async with replica(storage, Clock()) as capability, serving([capability.served]) as channel:
        stub = CapabilityServiceStub(acting(channel, "acme", Role.OPERATOR))
        mutations, suites = MutationStore(stores.database, stores.outbox), SuiteStore(stores.database)
        rule = TrialRule(good_runs=GOOD_RUNS)
        prover = MutationProver(stores.skills, suites, Prover(execute))
        asked = Capabilities(CapabilityServiceStub(channel), timedelta(minutes=1))
        trials = Trials(TrialStore(stores.database), rule)
        canaries = Canaries(mutations, stores.skills, suites, trials, prover, asked)
        promoter = MutationPromoter(mutations, prover, asked, canary_share=0.2)
        evolution = EvolutionStore(stores.database, stores.outbox, 24)
        made = Parts(stores, stub, mutations, evolution, canaries, promoter)
        await made.allow()
        yield made


async def test_after_its_good_runs_it_is_what_agents_run(parts: Parts) -> None:
    ended = await parts.end(await parts.on_trial(SAME))
    assert (ended.outcome, await parts.active()) == (Outcome.PROMOTED, "1.1.0")
    assert (await parts.stores.threads())[-1] == ("skill_promoted", ended.id, "event-of-run-2")


async def test_a_trial_that_ends_badly_says_which_run_ended_it(parts: Parts) -> None:
    mutation = await parts.on_trial(SAME)
    await parts.run("1.1.0", "total([2, 3])", "6", expected="5")
    assert (await parts.stores.threads())[-1] == ("skill_rolled_back", mutation.id, "event-of-run-1")


@pytest.mark.parametrize(
    ("auto_promote", "level"),
    [
        (False, pb.MATURITY_LEVEL_AUTONOMOUS),
        (True, pb.MATURITY_LEVEL_SUPERVISED),
        (True, pb.MATURITY_LEVEL_INTERN),
        (True, pb.MATURITY_LEVEL_STUDENT),
    ],
)
async def test_what_may_no_longer_be_used_without_a_person_is_rolled_back(
    parts: Parts, auto_promote: bool, level: int
) -> None:
    mutation = await parts.on_trial(SAME)
    await parts.allow(auto_promote=auto_promote, level=level)
    ended = await parts.end(mutation)
    assert (ended.outcome, ended.outcome_reason) == (Outcome.DISCARDED, NOT_BY_ITSELF)
    assert await parts.active() == "1.0.0"


async def test_what_fails_an_example_that_came_in_meanwhile_is_rolled_back_with_the_input(parts: Parts) -> None:
    mutation = await parts.on_trial(SMALL_ONLY)
    await parts.run("1.0.0", "total([2, 3])", "5", expected="5")
    ended = await parts.end(mutation)
    assert ended.outcome is Outcome.DISCARDED
    assert "total([2, 3]) gives 2, expected is 5" in ended.outcome_reason
    assert await parts.active() == "1.0.0"


async def test_what_a_person_approved_on_trial_becomes_active_whatever_the_agent_may(parts: Parts) -> None:
    await parts.allow(auto_promote=False, level=pb.MATURITY_LEVEL_SUPERVISED)
    mutation = await parts.approved(SAME)
    skill = await parts.stores.skills.get("total")
    assert skill.canary is not None
    assert (mutation.outcome, skill.active.version, skill.canary.version) == (Outcome.CANARY, "1.0.0", "1.1.0")
    assert (skill.canary.approved_by, skill.canary_share) == ("ada", 0.2)
    ended = await parts.end(mutation)
    active = (await parts.stores.skills.get("total")).active
    assert (ended.outcome, active.version, active.approved_by) == (Outcome.PROMOTED, "1.1.0", "ada")


async def test_what_a_person_approved_on_trial_is_rolled_back_by_itself_all_the_same(parts: Parts) -> None:
    mutation = await parts.approved(SAME)
    await parts.run("1.1.0", "total([2, 3])", "6", expected="5")
    ended = await parts.mutations.get(mutation.id)
    assert ended.outcome is Outcome.DISCARDED
    assert "total([2, 3]) gave 6; expected is 5" in ended.outcome_reason
    assert await parts.active() == "1.0.0"


async def test_what_was_compared_with_a_version_that_is_replaced_does_not_go_on_trial(parts: Parts) -> None:
    older = await parts.rewrite(SAME, "older")
    review = review_of(SubjectKind.MUTATION, older.id, AGENT, title="t", code=SAME, replaces="", evidence=())
    await parts.mutations.ask_for_review(older.id, review, "it wins", "")
    await parts.approved("def total(values):\n    return sum(tuple(values))\n", "newer", on_trial=False)
    assert await parts.active() == "1.1.0"
    await parts.promoter.on_decision(
        Decided(review.id, SubjectKind.MUTATION, older.id, Decision.APPROVED, "ada", "", "e", on_trial=True)
    )
    assert (await parts.mutations.get(older.id)).outcome is Outcome.DISCARDED
    assert (await parts.stores.skills.get("total")).canary is None
