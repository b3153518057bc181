"""A trial that went well ends in a version that agents run only where that is still wanted, and nothing was lost."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev_learning.evolution.canary import NOT_BY_ITSELF, Canaries, Trials
from autodev_learning.evolution.canary_rule import TrialRule
from autodev_learning.evolution.comparison import Purpose
from autodev_learning.evolution.mutations import Mutation, Order, Outcome, mutation_from
from autodev_learning.evolution.opportunities import SkillRun
from autodev_learning.evolution.proving import MutationProver
from autodev_learning.evolution.rewriting import Rewrite
from autodev_learning.peers.capabilities import Capabilities
from autodev_learning.proof.prover import Prover
from autodev_learning.skills.provenance import Provenance
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
    runs: int = 0

    async def allow(self, *, auto_promote: bool = True, level: int = pb.MATURITY_LEVEL_AUTONOMOUS) -> None:
        settings = settings_on()
        settings.auto_promote = auto_promote
        await self.capability.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings))
        await self.capability.SetMaturity(pb.SetMaturityRequest(agent_id=AGENT, maturity=level))  # type: ignore[arg-type]

    async def on_trial(self, code: str) -> Mutation:
        """A rewrite that won and is on trial."""
        skill = await self.stores.skills.get("total")
        order = Order("request:trial", "trial", skill.id, "total", "1.0.0", AGENT)
        mutation = mutation_from(order, Rewrite(code, Purpose.FASTER, Provenance()))
        await self.mutations.add(mutation, None, "")
        await self.mutations.record_run(mutation, "", (), None, "")
        return await self.mutations.put_on_trial(mutation.id, 0.5, "it wins")

    async def run(self, version: str, call: str, output: str, expected: str = "") -> None:
        """A good run, as an agent's runtime reports it."""
        self.runs += 1
        skill = await self.stores.skills.get("total")
        run = SkillRun(f"run-{self.runs}", AGENT, skill.id, version, 0.1, 0, True, output, call, expected)
        await self.evolution.keep_run(run, skill, {}, "", "")
        await self.canaries.observe(run, skill.id)

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
        canaries = Canaries(
            mutations,
            stores.skills,
            suites,
            Trials(TrialStore(stores.database), rule),
            MutationProver(stores.skills, suites, Prover(execute)),
            Capabilities(CapabilityServiceStub(channel), timedelta(minutes=1)),
        )
        made = Parts(stores, stub, mutations, EvolutionStore(stores.database, stores.outbox, 24), canaries)
        await made.allow()
        yield made


async def test_after_its_good_runs_it_is_what_agents_run(parts: Parts) -> None:
    ended = await parts.end(await parts.on_trial(SAME))
    assert (ended.outcome, await parts.active()) == (Outcome.PROMOTED, "1.1.0")


@pytest.mark.parametrize(
    ("auto_promote", "level"), [(False, pb.MATURITY_LEVEL_AUTONOMOUS), (True, pb.MATURITY_LEVEL_SUPERVISED)]
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
