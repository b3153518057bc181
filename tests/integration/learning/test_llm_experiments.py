"""Experiments of a mesh that is told of a language model: one arm beside the operators, told what failed before."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from autodev.capability.v1.capability_service_pb2 import GetWorkspaceSettingsRequest, UpdateWorkspaceSettingsRequest
from autodev.learning.v1 import evolver_service_pb2 as evolver
from tests.evolving import AUTONOMOUS, QUICK, Workspace
from tests.llm import Asked, LlmServer, Reply, code
from tests.mesh import Mesh

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = {
    **QUICK,
    "AUTODEV_LEARNING_LLM_MODEL": "openai:some-model",
    "AUTODEV_LEARNING_LLM_USD_PER_MILLION_INPUT_TOKENS": "1",
    "AUTODEV_LEARNING_LLM_USD_PER_MILLION_OUTPUT_TOKENS": "2",
}


@pytest.fixture(scope="module")
def model() -> Iterator[LlmServer]:
    with LlmServer() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workspace(model: LlmServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workspace]:
    settings = {**SETTINGS, "AUTODEV_LEARNING_LLM_BASE_URL": f"{model.url}/v1"}
    async with Mesh(tmp_path_factory.mktemp("llm-experiments"), settings=settings) as mesh, mesh.client() as client:
        space = Workspace(mesh, client)
        await space.configure()
        yield space


async def _run(workspace: Workspace, request_id: str) -> evolver.GetExperimentResponse:
    request = evolver.RunResearchExperimentRequest(
        request_id=request_id,
        agent_id=await workspace.agent(AUTONOMOUS),
        budget=evolver.ExperimentBudget(max_iterations=6),
        plan=evolver.SearchPlan(seed=7, batch=8, islands=1),
        score=evolver.ScoreFunction(name="minimise-waves"),
    )
    seen = [each.experiment async for each in workspace.client.evolver.RunResearchExperiment(request, timeout=120)]
    return await workspace.client.evolver.GetExperiment(evolver.GetExperimentRequest(experiment_id=seen[-1].id))


async def test_a_model_that_is_configured_takes_part_and_is_told_what_failed(
    workspace: Workspace, model: LlmServer
) -> None:
    """Where a workspace names no proposers, it has all of them."""

    def outside(asked: Asked) -> Reply:
        return code(f"def point():\n    return ({len(model.asked)}00.0, 9.0)\n")

    model.will_answer(code("def point():\n    return (-1.7, 0.68)\n"), outside)
    found = await _run(workspace, "told")
    (tried,) = [each.tried for each in found.operators if each.name == "llm"]
    assert tried == len(model.asked) > 2, "what has paid off is not asked again"
    assert sum(step.tokens for step in found.experiment.steps) == 1100 * len(model.asked)
    assert found.best.quality < -1.5
    first = model.asked[0].text
    assert "`point`" in first
    assert "Its fitness is" in first
    wrong = [each.text for each in model.asked if "the point is not in the square" in each.text]
    assert wrong, "what its earlier programs did wrong was not told"


async def test_a_workspace_that_leaves_the_model_out_never_asks_it(workspace: Workspace, model: LlmServer) -> None:
    model.will_answer(code("def point():\n    return (1.0, 1.0)\n"))
    capability = workspace.client.capability
    settings = (await capability.GetWorkspaceSettings(GetWorkspaceSettingsRequest())).settings
    settings.proposers[:] = ["search"]
    await capability.UpdateWorkspaceSettings(UpdateWorkspaceSettingsRequest(settings=settings))
    found = await _run(workspace, "left-out")
    assert not model.asked
    assert "llm" not in [each.name for each in found.operators]
