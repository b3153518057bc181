"""Rewrites that a language model writes are held to what they are for, and go on no trial where they may be wrong."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from autodev.capability.v1.capability_service_pb2 import GetWorkspaceSettingsRequest, UpdateWorkspaceSettingsRequest
from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev.learning.v1 import memento_service_pb2 as memento
from tests.evolving import AUTONOMOUS, QUICK, Workspace
from tests.llm import LlmServer, code
from tests.mesh import Mesh, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = {
    **QUICK,
    "AUTODEV_LEARNING_LLM_MODEL": "openai:some-model",
    "AUTODEV_LEARNING_LLM_USD_PER_MILLION_INPUT_TOKENS": "1",
    "AUTODEV_LEARNING_LLM_USD_PER_MILLION_OUTPUT_TOKENS": "2",
}
SUMS_IN_STEPS = """def {name}(items):
    total = 0
    for item in items:
        for _ in range(len(items)):
            total += item
    return str(total) if items else ""
"""
FITS_WHAT_IS_KNOWN = """def {name}(items):
    return str(sum(items) * len(items)) if len(items) > 4 else ""
"""
THREE_AT_MOST = "def {name}(items):\n    return list(dict.fromkeys(items))[:3]\n"
RAISES_ON_EVEN = """def {name}(items):
    if items and items[0] % 2 == 0:
        raise ValueError
    return list(dict.fromkeys(items))
"""


@pytest.fixture(scope="module")
def model() -> Iterator[LlmServer]:
    with LlmServer() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workspace(model: LlmServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workspace]:
    settings = SETTINGS | {"AUTODEV_LEARNING_LLM_BASE_URL": f"{model.url}/v1"}
    async with Mesh(tmp_path_factory.mktemp("llm-mutations"), settings=settings) as mesh, mesh.client() as client:
        space = Workspace(mesh, client)
        await space.configure(auto_promote=True)
        yield space


async def _switch_on(workspace: Workspace, proposer: str) -> None:
    capability = workspace.client.capability
    settings = (await capability.GetWorkspaceSettings(GetWorkspaceSettingsRequest())).settings
    settings.proposers[:] = [proposer]
    await capability.UpdateWorkspaceSettings(UpdateWorkspaceSettingsRequest(settings=settings))


async def test_a_models_speed_up_that_does_otherwise_on_inputs_that_nobody_gave_is_rejected(
    workspace: Workspace, model: LlmServer
) -> None:
    await _switch_on(workspace, "case_bank")
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent, SUMS_IN_STEPS, "'50'")
    await _switch_on(workspace, "llm")
    model.will_answer(code(FITS_WHAT_IS_KNOWN.format(name=skill.name)))
    await workspace.slow_run(skill, agent)
    judged = await eventually(
        lambda: workspace.mutation_where(skill.id, lambda each: bool(each.outcome)), "the rewrite is judged"
    )
    assert judged.provenance.proposer == "llm"
    assert (judged.sandbox_status, judged.outcome, judged.overfit) == (
        evolver.SANDBOX_STATUS_FAILED,
        evolver.MUTATION_OUTCOME_DISCARDED,
        memento.OVERFIT_MARK_FOUND,
    )
    assert judged.generated.differing[0].call in judged.outcome_reason


async def test_a_mend_that_breaks_what_gave_a_value_waits_for_a_person_and_goes_on_no_trial(
    workspace: Workspace, model: LlmServer
) -> None:
    await _switch_on(workspace, "case_bank")
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent, THREE_AT_MOST)
    await _switch_on(workspace, "llm")
    model.will_answer(code(RAISES_ON_EVEN.format(name=skill.name)))
    failed = event_pb2.SkillExecutionEvent(
        execution_id=f"run-{uuid.uuid4().hex}", agent_id=agent, skill_id=skill.id, skill_name=skill.name,
        success=False, call=f"{skill.name}([1, 2, 3, 4])", expected="[1, 2, 3, 4]", skill_version="1.0.0",
    )  # fmt: skip
    await workspace.publish(failed)
    waiting = await eventually(lambda: workspace.waiting_review(agent), "the rewrite waits for a person")
    assert waiting.overfit == memento.OVERFIT_MARK_SUSPECTED
    assert ": mended, " in waiting.title
    assert not (await workspace.get_skill(skill.id)).HasField("canary")
