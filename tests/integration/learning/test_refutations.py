"""Successes that a runtime refutes: they are no cases, and failures as others are."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev.gateway.v1 import event_pb2 as ev
from autodev_learning.memento.consumers import on_task_failed, on_task_succeeded
from autodev_learning.memento.reflection import PatternRule, Reflection
from autodev_learning.peers.capabilities import Capabilities
from autodev_learning.store.episodes import EpisodeStore
from autodev_runtime.identity import Role, acting_as, service_identity
from autodev_sdk.events import make_event
from tests.clock import Clock
from tests.integration.capability.parts import replica, settings_on
from tests.serving import acting, serving
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub as Stub

TASK = "write twice(x)"


@pytest_asyncio.fixture
async def reflection(storage: Storage, store: EpisodeStore) -> AsyncIterator[Reflection]:
    """It may have skills written for the agent "ada", and for no other."""
    async with replica(storage, Clock()) as parts, serving([parts.served]) as channel:
        operator: Stub = CapabilityServiceStub(acting(channel, "acme", Role.OPERATOR))
        await operator.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on()))
        await operator.SetMaturity(pb.SetMaturityRequest(agent_id="ada", maturity=pb.MATURITY_LEVEL_INTERN))
        with acting_as(service_identity("learning", "acme")):
            capabilities = Capabilities(CapabilityServiceStub(channel), timedelta(seconds=60))
            yield Reflection(store, capabilities, PatternRule())


async def report(
    reflection: Reflection,
    episode_id: str,
    outcome: "ev.Outcome.ValueType",
    verification: "ev.Verification.ValueType" = ev.VERIFICATION_SELF_REPORTED,
    agent: str = "ada",
) -> None:
    event = make_event(
        ev.TaskEvent(
            episode_id=episode_id,
            agent_id=agent,
            task_description=TASK,
            outcome=outcome,
            code="def twice(x):\n    return x * 3\n",
            verification=verification,
        )
    )
    handle = on_task_succeeded if outcome == ev.OUTCOME_SUCCESS else on_task_failed
    await handle(reflection, event)


@pytest.mark.parametrize("refuting", [ev.OUTCOME_SUCCESS, ev.OUTCOME_FAILURE])
@pytest.mark.parametrize("reported_before", [True, False])
async def test_a_refuted_success_is_no_case_and_makes_a_pattern_as_failures_do(
    reflection: Reflection, store: EpisodeStore, refuting: "ev.Outcome.ValueType", reported_before: bool
) -> None:
    if reported_before:
        await report(reflection, "refuted", ev.OUTCOME_SUCCESS)
        assert [each.episode_id for each in await store.cases(TASK, 10)] == ["refuted"]
    for _ in range(2):
        await report(reflection, "refuted", refuting, ev.VERIFICATION_REFUTED)
    # The report that it refutes may come again, or late.
    await report(reflection, "refuted", ev.OUTCOME_SUCCESS)
    assert await store.cases(TASK, 10) == []
    await report(reflection, "failed", ev.OUTCOME_FAILURE)
    (pattern,) = await store.list_patterns("ada", 10, None)
    assert sorted(pattern.episode_ids) == ["failed", "refuted"]


@pytest.mark.parametrize("refuting", [ev.OUTCOME_SUCCESS, ev.OUTCOME_FAILURE])
async def test_a_refuted_success_of_an_agent_that_no_skills_are_written_for_is_no_case(
    reflection: Reflection, store: EpisodeStore, refuting: "ev.Outcome.ValueType"
) -> None:
    await report(reflection, "refuted", ev.OUTCOME_SUCCESS, agent="student")
    await report(reflection, "refuted", refuting, ev.VERIFICATION_REFUTED, agent="student")
    assert await store.cases(TASK, 10) == []
    assert await store.find_failure("refuted") is None
