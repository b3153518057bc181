"""Experiments by a score function: the same result by seed, also where the service is killed in the middle."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from functools import partial

import grpc
import pytest
import pytest_asyncio

from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev_sdk.ending import results_of
from tests.evolving import AUTONOMOUS, INTERN, QUICK, Workspace
from tests.loop import events_of, status_of
from tests.mesh import OTHER_TENANT, Mesh, eventually
from tests.serving import refusal_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = "def f():\n    return 1.0\n"
CHEAT = """def point():
    import __main__, builtins, sys
    for name, module in list(sys.modules.items()):
        if hasattr(module, "score"):
            module.score = lambda value: -1e9
    builtins.score = lambda value: -1e9
    return (4.0, 4.0)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    async with Mesh(
        tmp_path_factory.mktemp("scores"), settings={**QUICK, "AUTODEV_LEARNING_MAX_EXPERIMENTS": "2"}
    ) as mesh:
        yield mesh


@pytest_asyncio.fixture(loop_scope="module")
async def workspace(mesh: Mesh) -> AsyncIterator[Workspace]:
    async with mesh.client() as client:
        space = Workspace(mesh, client)
        await space.configure()
        yield space


def _request(agent: str, **score: object) -> evolver.RunResearchExperimentRequest:
    request = evolver.RunResearchExperimentRequest(
        request_id=uuid.uuid4().hex,
        agent_id=agent,
        budget=evolver.ExperimentBudget(max_iterations=12),
        plan=evolver.SearchPlan(seed=7, batch=12),
        score=evolver.ScoreFunction(**{"name": "minimise-waves", **score}),  # type: ignore[arg-type]
    )
    request.budget.max_wall_time.FromSeconds(300)
    return request


async def _result(workspace: Workspace, experiment_id: str) -> evolver.GetExperimentResponse | None:
    request = evolver.GetExperimentRequest(experiment_id=experiment_id)
    try:
        found = await workspace.client.evolver.GetExperiment(request)
    except grpc.aio.AioRpcError as error:
        # The gateway has not yet found a service that was killed and is back.
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return None
        raise
    return found if found.experiment.HasField("ended_at") else None


async def _run(workspace: Workspace, request: evolver.RunResearchExperimentRequest) -> evolver.GetExperimentResponse:
    seen = [each.experiment async for each in workspace.client.evolver.RunResearchExperiment(request, timeout=300)]
    found = await _result(workspace, seen[-1].id)
    assert found is not None
    return found


def _what_was_found(found: evolver.GetExperimentResponse) -> tuple[object, ...]:
    experiment = found.experiment
    steps = [step.SerializeToString(deterministic=True) for step in experiment.steps]
    programs = [each.SerializeToString(deterministic=True) for each in (found.best, *found.front, *found.operators)]
    return experiment.state, experiment.stop_reason, experiment.best_fitness, experiment.evaluated, steps, programs


async def test_an_experiment_that_is_killed_finds_what_an_unbroken_one_finds(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    unbroken = await _run(workspace, _request(agent))
    assert unbroken.experiment.stop_reason == "iterations"
    assert unbroken.best.quality == unbroken.experiment.best_fitness < 1.0
    request = _request(agent)
    chance = random.Random(3)
    for kill in range(3):
        call = workspace.client.evolver.RunResearchExperiment(request, timeout=300)
        seen = await anext(each.experiment async for each in call if len(each.experiment.steps) > 3 * kill)
        # Anywhere within a step: while programs are made, run, or kept.
        await asyncio.sleep(chance.uniform(0, 0.3))
        await _kill_and_start(workspace)
    broken = await eventually(lambda: _result(workspace, seen.id), "the experiment is over", 240)
    assert _what_was_found(broken) == _what_was_found(unbroken)
    progress = [each.experiment_progressed for each in await events_of(workspace.client, agent)]
    steps = [each.iterations_done for each in progress if each.experiment_id == seen.id and not each.ended]
    assert steps == list(range(1, 13))
    other = _request(agent)
    other.plan.seed = 8
    assert _what_was_found(await _run(workspace, other)) != _what_was_found(unbroken)


async def _kill_and_start(workspace: Workspace) -> None:
    workspace.mesh.kill("learning")
    await workspace.mesh.start("learning")

    async def serves() -> bool:
        try:
            await workspace.client.evolver.ListExperiments(evolver.ListExperimentsRequest(page_size=1))
        except grpc.aio.AioRpcError:
            return False
        return True

    await eventually(serves, "the gateway finds the service again")


async def test_no_more_experiments_are_at_work_than_may_be_however_many_are_started_at_once(mesh: Mesh) -> None:
    async with mesh.client() as client, mesh.client(OTHER_TENANT) as other:
        workspaces = [Workspace(mesh, client), Workspace(mesh, other)]
        calls = []
        for workspace in workspaces:
            await workspace.configure()
            agent = await workspace.agent(AUTONOMOUS)
            for _ in range(12):
                request = _request(agent)
                request.budget.max_iterations, request.plan.patience = 1000, 1000
                calls.append((workspace, request))
        answers = await results_of(*(_started(*call) for call in calls))
        assert [answer for answer in answers if isinstance(answer, str)] == ["EXPERIMENTS_FULL"] * 22
        for workspace in workspaces:
            listed = await workspace.client.evolver.ListExperiments(evolver.ListExperimentsRequest(page_size=500))
            for each in listed.experiments:
                await workspace.client.evolver.CancelExperiment(evolver.CancelExperimentRequest(experiment_id=each.id))
                await eventually(partial(_result, workspace, each.id), "it is over")


async def _started(workspace: Workspace, request: evolver.RunResearchExperimentRequest) -> evolver.Experiment | str:
    """The experiment that is started, or the reason why there is none."""
    try:
        return (await anext(aiter(workspace.client.evolver.RunResearchExperiment(request, timeout=120)))).experiment
    except grpc.aio.AioRpcError as error:
        return refusal_of(error).reason


async def test_who_watches_sees_each_step_and_the_end(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    request = _request(agent, goal=0.9)
    started = await anext(aiter(workspace.client.evolver.RunResearchExperiment(request, timeout=300)))
    watch = evolver.WatchExperimentRequest(experiment_id=started.experiment.id)
    seen = [each.experiment async for each in workspace.client.evolver.WatchExperiment(watch, timeout=300)]
    assert [len(each.steps) for each in seen] == sorted(len(each.steps) for each in seen)
    assert (seen[-1].state, seen[-1].stop_reason) == (evolver.EXPERIMENT_STATE_SUCCEEDED, "goal")
    assert seen[-1].best_fitness <= 0.9
    unknown = evolver.WatchExperimentRequest(experiment_id="none")
    assert await status_of(anext(aiter(workspace.client.evolver.WatchExperiment(unknown)))) == "NOT_FOUND"


async def test_a_program_cannot_reach_its_scorer(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    request = _request(agent, initial_code=CHEAT)
    request.budget.max_iterations = 1
    found = await _run(workspace, request)
    assert found.best.quality > -1.6
    alone = _request(agent, initial_code=CHEAT)
    alone.budget.max_iterations = 1
    alone.plan.alone = True
    assert (await _run(workspace, alone)).best.quality > -1.6


async def test_a_search_that_starts_from_no_score_fails_and_says_what_was_wrong(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    outside = await _run(workspace, _request(agent, initial_code="def point():\n    return (9.0, 9.0)\n"))
    assert outside.experiment.state == evolver.EXPERIMENT_STATE_FAILED
    assert "the point is not in the square" in outside.experiment.stop_reason
    assert not outside.experiment.steps
    other = await _run(workspace, _request(agent, initial_code="def pint():\n    raise ValueError('\\ud800\\0')\n"))
    assert "the program to start from has no score: point() gives NameError" in other.experiment.stop_reason


async def test_nothing_that_a_program_says_comes_into_a_log(mesh: Mesh, workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    secret = "what only the tenant may read"
    raises = f"raise ValueError('boom\\n2026-11-27T22:58:05.038+00:00 ERROR   gateway: {secret}')\n"
    for score in (
        {"initial_code": f"def point():\n    {raises}"},
        {"name": "", "call": "f()", "scorer": f"def score(value):\n    {raises}", "initial_code": START},
    ):
        failed = (await _run(workspace, _request(agent, **score))).experiment
        assert secret in failed.stop_reason
        assert f"experiment {failed.id} " in mesh.log("learning")
    assert all(secret not in path.read_text() for path in mesh.directory.glob("*.log"))


async def test_what_is_asked_for_wrongly_is_refused(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    run = workspace.client.evolver.RunResearchExperiment

    async def refusal(request: evolver.RunResearchExperimentRequest) -> str:
        return await status_of(anext(aiter(run(request, timeout=60))))

    both = _request(agent)
    both.skill_id = "skill"
    neither = _request(agent)
    neither.ClearField("score")
    assert await refusal(both) == await refusal(neither) == "INVALID_ARGUMENT"
    assert await refusal(_request(agent, name="unknown")) == "INVALID_ARGUMENT"
    assert await refusal(_request(agent, name="")) == "INVALID_ARGUMENT"
    assert await refusal(_request(agent, initial_code="def point(:")) == "INVALID_ARGUMENT"
    own = {"name": "", "call": "f()", "scorer": "def score(value):\n    return value\n", "initial_code": START}
    assert await refusal(_request(agent, **{**own, "call": "f("})) == "INVALID_ARGUMENT"
    assert await refusal(_request(agent, **{**own, "preamble": "def ("})) == "INVALID_ARGUMENT"
    large = _request(agent)
    large.budget.max_iterations, large.plan.batch = 1000, 512
    assert await refusal(large) == "RESOURCE_EXHAUSTED"
    long = _request(agent, **{**own, "initial_code": START + "# all the same\n" * 10_000})
    long.budget.max_iterations, long.plan.batch = 20, 512
    assert await refusal(long) == "RESOURCE_EXHAUSTED"
    assert await refusal(_request(await workspace.agent(INTERN))) == "PERMISSION_DENIED"
