"""Experiments of a mesh that is told of a language model: one arm beside the operators, told what failed before."""

import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
import pytest_asyncio

from autodev.capability.v1.capability_service_pb2 import GetWorkspaceSettingsRequest, UpdateWorkspaceSettingsRequest
from autodev.learning.v1 import evolver_service_pb2 as evolver
from tests.evolving import AUTONOMOUS, QUICK, Workspace
from tests.llm import Asked, LlmServer, Reply, code
from tests.mesh import Mesh

pytestmark = pytest.mark.asyncio(loop_scope="module")

BETTER = "another-model"
MODELS = {"llm", "llm-better"}
PRICES = {"usd_per_million_input_tokens": 1, "usd_per_million_output_tokens": 2}
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
    address = f"{model.url}/v1"
    settings = {
        **SETTINGS,
        "AUTODEV_LEARNING_LLM_BASE_URL": address,
        "AUTODEV_LEARNING_LLM_FURTHER_MODELS": json.dumps(
            {"better": {"model": f"openai:{BETTER}", "base_url": address, **PRICES}}
        ),
    }
    async with Mesh(tmp_path_factory.mktemp("llm-experiments"), settings=settings) as mesh, mesh.client() as client:
        space = Workspace(mesh, client)
        await space.configure()
        yield space


async def _switch_on(workspace: Workspace, proposers: Sequence[str]) -> None:
    capability = workspace.client.capability
    settings = (await capability.GetWorkspaceSettings(GetWorkspaceSettingsRequest())).settings
    settings.proposers[:] = proposers
    await capability.UpdateWorkspaceSettings(UpdateWorkspaceSettingsRequest(settings=settings))


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


async def test_of_several_models_the_one_whose_programs_pay_off_is_asked_more(
    workspace: Workspace, model: LlmServer
) -> None:
    better = itertools.count()

    def answer(asked: Asked) -> Reply:
        if asked.body["model"] == BETTER:
            # Each time a little nearer to what is best.
            return code(f"def point():\n    return (-1.7 + {0.5 ** (next(better) / 4)}, 0.68)\n")
        return code(f"def point():\n    return ({len(model.asked)}00.0, 9.0)\n")

    model.will_answer(answer)
    await _switch_on(workspace, sorted(MODELS))
    found = await _run(workspace, "several")
    tried = {each.name: each.tried for each in found.operators}
    assert tried["llm-better"] > 2 * tried["llm"] > 0
    assert tried["llm"] + tried["llm-better"] == len(model.asked)


async def test_a_model_that_is_configured_takes_part_and_is_told_what_failed(
    workspace: Workspace, model: LlmServer
) -> None:
    """Where a workspace names no proposers, it has all of them."""

    def outside(asked: Asked) -> Reply:
        return code(f"def point():\n    return ({len(model.asked)}00.0, 9.0)\n")

    model.will_answer(code("def point():\n    return (-1.7, 0.68)\n"), outside)
    await _switch_on(workspace, [])
    found = await _run(workspace, "told")
    tried = sum(each.tried for each in found.operators if each.name in MODELS)
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
    await _switch_on(workspace, ["search"])
    found = await _run(workspace, "left-out")
    assert not model.asked
    assert not MODELS & {each.name for each in found.operators}
