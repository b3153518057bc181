"""A rewrite that a person approved is run on its skill's suite once more, in the real sandbox, before it is used."""

from dataclasses import dataclass
from typing import cast

import pytest

from autodev_learning.evolution.canary import MutationPromoter
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
from autodev_sandbox.execution import BackendUnavailable
from tests.conftest import require
from tests.integration.learning.test_stores import Stores, approved, stores
from tests.unit.learning.sandboxed import namespace_execute

__all__ = ["stores"]

SAME = "def total(values):\n    return sum(list(values))\n"
SMALL_ONLY = "def total(values):\n    return sum(values[:1])\n"


@dataclass(frozen=True)
class Parts:
    """A skill whose active version is right, and what promotes its rewrites."""

    stores: Stores
    mutations: MutationStore
    promoter: MutationPromoter
    skill_id: str

    async def waiting(self, code: str, name: str) -> Mutation:
        """A rewrite that waits for a person."""
        order = Order(f"request:{name}", name, self.skill_id, "total", "1.0.0", "a1")
        mutation = mutation_from(order, Rewrite(code, Purpose.FASTER, Provenance()))
        await self.mutations.add(mutation, None, "")
        await self.mutations.record_run(mutation, "", (), None, "")
        review = review_of(SubjectKind.MUTATION, mutation.id, "a1", title="t", code=code, replaces="", evidence=())
        return await self.mutations.ask_for_review(mutation.id, review, "it wins", "")

    async def approve(self, mutation: Mutation) -> Mutation:
        decided = Decided("r", SubjectKind.MUTATION, mutation.id, Decision.APPROVED, "ada", "", "e")
        for _ in range(2):
            await self.promoter.on_decision(decided)
        return await self.mutations.get(mutation.id)


@pytest.fixture
async def parts(stores: Stores) -> Parts:
    try:
        execute = await namespace_execute()
    except BackendUnavailable as error:
        require(None, f"no namespace sandbox: {error}")
        raise
    await stores.skills.promote((await approved(stores, "request:r")).id, "")
    skill = await stores.skills.get("total")
    mutations = MutationStore(stores.database, stores.outbox)
    prover = MutationProver(stores.skills, SuiteStore(stores.database), Prover(execute))
    nobody_asked = cast(Capabilities, None)
    return Parts(stores, mutations, MutationPromoter(mutations, prover, nobody_asked, 0.2), skill.id)


async def test_what_fails_an_example_that_came_in_while_it_waited_is_refused_with_the_input(parts: Parts) -> None:
    waiting = await parts.waiting(SMALL_ONLY, "small")
    skill = await parts.stores.skills.get("total")
    evolution = EvolutionStore(parts.stores.database, parts.stores.outbox, 24)
    run = SkillRun("run-1", "a1", skill.id, "1.0.0", 0.1, 0, True, "5", "total([2, 3])", "5")
    await evolution.keep_run(run, skill, {}, "", "")
    refused = await parts.approve(waiting)
    assert refused.outcome is Outcome.DISCARDED
    assert "total([2, 3]) gives 2, expected is 5" in refused.outcome_reason
    assert (await parts.stores.skills.get("total")).active.version == "1.0.0"
    kept = await parts.approve(await parts.waiting(SAME, "same"))
    assert kept.outcome is Outcome.PROMOTED
    assert (await parts.stores.skills.get("total")).active.code == SAME


async def test_what_takes_back_another_rewrites_mend_is_refused(parts: Parts) -> None:
    older = await parts.waiting(SMALL_ONLY, "older")
    await parts.approve(await parts.waiting(SAME, "newer"))
    skill = await parts.stores.skills.get("total")
    evolution = EvolutionStore(parts.stores.database, parts.stores.outbox, 24)
    run = SkillRun("run-2", "a1", skill.id, skill.active.version, 0.1, 0, True, "9", "total([4, 5])", "9")
    await evolution.keep_run(run, skill, {}, "", "")
    refused = await parts.approve(older)
    assert (refused.outcome, skill.active.version) == (Outcome.DISCARDED, "1.1.0")
    assert (await parts.stores.skills.get("total")).active.version == "1.1.0"
