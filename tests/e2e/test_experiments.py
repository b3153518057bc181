"""Research experiments: streamed step by step, cancelled, bounded, and resumed after a crash from the last step."""

import asyncio
import json
import math
import sys
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict

from autodev.fitness.v1 import fitness_service_pb2 as fitness
from autodev.learning.v1 import advisor_service_pb2 as advisor
from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev.learning.v1 import skill_service_pb2 as skills
from tests.evolving import AUTONOMOUS, INTERN, QUICK, SLOW_IN_TWO_WAYS, SUPERVISED, Workspace
from tests.loop import events_of, kinds, status_of
from tests.mesh import DEVELOPER, OTHER_TENANT, TENANT, Mesh, eventually, key

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUNNING, SUCCEEDED, CANCELLED = (
    evolver.EXPERIMENT_STATE_RUNNING,
    evolver.EXPERIMENT_STATE_SUCCEEDED,
    evolver.EXPERIMENT_STATE_CANCELLED,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    # Few programs a step, so that there is something left for the next one.
    settings = {
        **QUICK,
        "AUTODEV_LEARNING_EXPERIMENT_BATCH": "2",
        "AUTODEV_LEARNING_MUTATION_CANDIDATES": "1",
        "AUTODEV_LEARNING_COMPARISON_ROUNDS": "6",
    }
    async with Mesh(tmp_path_factory.mktemp("experiments"), settings=settings) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def workspace(mesh: Mesh) -> AsyncIterator[Workspace]:
    async with mesh.client() as client:
        space = Workspace(mesh, client)
        await space.configure()
        yield space


async def _slow_skill(workspace: Workspace, agent: str) -> skills.Skill:
    skill = await workspace.skill(agent, SLOW_IN_TWO_WAYS, "'312'")
    await workspace.slow_run(skill, await workspace.agent(INTERN), rest="[:40]")
    await _knows_a_run(workspace, skill)
    return skill


async def _knows_a_run(workspace: Workspace, skill: skills.Skill) -> None:
    async def known() -> bool:
        runs = await workspace.client.advisor.GetGuidance(advisor.GetGuidanceRequest(skill_id=skill.id))
        return runs.data_summary.executions == 1

    await eventually(known, "the slow call is a known input")


def _request(skill: skills.Skill, agent: str, iterations: int = 4) -> evolver.RunResearchExperimentRequest:
    budget = evolver.ExperimentBudget(max_iterations=iterations)
    budget.max_wall_time.FromSeconds(120)
    return evolver.RunResearchExperimentRequest(
        request_id=uuid.uuid4().hex, skill_id=skill.id, agent_id=agent, budget=budget
    )


async def _follow(workspace: Workspace, request: evolver.RunResearchExperimentRequest) -> list[evolver.Experiment]:
    return [each.experiment async for each in workspace.client.evolver.RunResearchExperiment(request, timeout=120)]


async def _over(workspace: Workspace, experiment_id: str) -> evolver.Experiment | None:
    request = evolver.GetExperimentRequest(experiment_id=experiment_id)
    try:
        experiment = (await workspace.client.evolver.GetExperiment(request)).experiment
    except grpc.aio.AioRpcError as error:
        # The gateway has not yet found a service that was killed and is back.
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return None
        raise
    return experiment if experiment.HasField("ended_at") else None


async def test_an_experiment_streams_its_steps_and_sends_the_best_to_review(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await _slow_skill(workspace, agent)
    request = _request(skill, agent)
    seen = await _follow(workspace, request)
    assert seen[0].state == RUNNING
    assert [len(each.steps) for each in seen] == sorted(len(each.steps) for each in seen)
    last = seen[-1]
    assert last.state == SUCCEEDED
    assert last.stop_reason in ("iterations", "no more ideas")
    assert [step.iteration for step in last.steps] == list(range(1, len(last.steps) + 1))
    assert any(step.kept and 0 < step.time_ratio < 1 for step in last.steps)
    waiting = await eventually(lambda: workspace.waiting_review(agent), "the best waits for review")
    assert waiting.subject_id == last.best_mutation_id
    assert (await _follow(workspace, request))[-1] == last
    others = [each for each in await workspace.mutations(skill.id) if each.id != last.best_mutation_id]
    assert {each.outcome for each in others} <= {evolver.MUTATION_OUTCOME_DISCARDED}
    progress = [each.experiment_progressed for each in await events_of(workspace.client, agent)]
    done = [each.iterations_done for each in progress if each.experiment_id == last.id]
    assert done == [*range(1, len(last.steps) + 1), len(last.steps)]


async def test_an_experiment_goes_on_after_a_crash_and_repeats_no_step(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await _slow_skill(workspace, agent)
    request = _request(skill, agent)
    call = workspace.client.evolver.RunResearchExperiment(request, timeout=120)
    before = await anext(each.experiment async for each in call if each.experiment.steps)
    workspace.mesh.kill("learning")
    await workspace.mesh.start("learning")
    # Nobody follows it, and it goes on.
    after = await eventually(lambda: _over(workspace, before.id), "the experiment is over", 120)
    assert after.state == SUCCEEDED
    assert list(after.steps)[: len(before.steps)] == list(before.steps)
    assert (await _follow(workspace, request))[-1] == after
    progress = [each.experiment_progressed for each in await events_of(workspace.client, agent)]
    steps = [each.iterations_done for each in progress if each.experiment_id == after.id and not each.ended]
    assert steps == list(range(1, len(after.steps) + 1))
    made = [each.id for each in await workspace.mutations(skill.id)]
    assert len(made) == len(set(made)) == sum(bool(step.mutation_id) for step in after.steps)


async def test_an_experiment_is_cancelled_after_its_step(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await _slow_skill(workspace, agent)
    call = workspace.client.evolver.RunResearchExperiment(_request(skill, agent, iterations=50), timeout=120)
    first = (await anext(aiter(call))).experiment
    cancel = evolver.CancelExperimentRequest(experiment_id=first.id)
    cancelled = (await workspace.client.evolver.CancelExperiment(cancel)).experiment
    assert (cancelled.state, cancelled.stop_reason) == (CANCELLED, "cancelled by developer")
    over = await eventually(lambda: _over(workspace, first.id), "the experiment is over")
    assert over.state == CANCELLED
    assert len(over.steps) <= 1
    again = (await workspace.client.evolver.CancelExperiment(cancel)).experiment
    assert again == over


async def test_the_days_limit_stops_an_experiment(mesh: Mesh) -> None:
    async with mesh.client(OTHER_TENANT) as client:
        workspace = Workspace(mesh, client)
        await workspace.configure(mutations_a_day=1)
        agent = await workspace.agent(AUTONOMOUS)
        skill = await _slow_skill(workspace, agent)
        first = evolver.GenerateToolMutationRequest(request_id="first", skill_id=skill.id, agent_id=agent)
        assert (await client.evolver.GenerateToolMutation(first)).mutation.mutated_code
        last = (await _follow(workspace, _request(skill, agent)))[-1]
        assert (last.state, last.stop_reason, last.best_mutation_id) == (SUCCEEDED, "quota", "")
        refused = evolver.GenerateToolMutationRequest(request_id="one", skill_id=skill.id, agent_id=agent)
        assert await status_of(client.evolver.GenerateToolMutation(refused)) == "RESOURCE_EXHAUSTED"


async def test_wall_time_ends_an_experiment_in_the_middle_of_a_step(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, await workspace.agent(INTERN), rest=" + [__import__('time').sleep(1.5)]")
    await _knows_a_run(workspace, skill)
    request = _request(skill, agent)
    request.budget.max_wall_time.FromSeconds(1)
    last = (await _follow(workspace, request))[-1]
    assert (last.state, last.stop_reason, list(last.steps)) == (SUCCEEDED, "wall time", [])
    assert not await workspace.mutations(skill.id)


async def test_an_agent_below_supervised_gets_no_experiment(workspace: Workspace) -> None:
    agent = await workspace.agent(INTERN)
    skill = await workspace.skill(agent)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await _follow(workspace, _request(skill, agent))
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_steps_of_the_loop_can_be_taken_by_hand(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await _slow_skill(workspace, agent)
    evolve = workspace.client.evolver
    request = evolver.GenerateToolMutationRequest(request_id=uuid.uuid4().hex, skill_id=skill.id, agent_id=agent)
    made = (await evolve.GenerateToolMutation(request)).mutation
    assert made.mutated_code
    assert (await evolve.GenerateToolMutation(request)).mutation.id == made.id
    execute = evolver.SandboxExecuteMutationRequest(mutation_id=made.id)
    executed = (await evolve.SandboxExecuteMutation(execute)).mutation
    assert executed.sandbox_status == evolver.SANDBOX_STATUS_PASSED
    assert all(each.passed for each in executed.examples)
    spawn = evolver.SpawnWorkflowVariantRequest(request_id=uuid.uuid4().hex, agent_id=agent, mutation_id=made.id)
    variant = (await evolve.SpawnWorkflowVariant(spawn)).variant_id
    assert variant == (await evolve.SpawnWorkflowVariant(spawn)).variant_id
    # The event of the mutation brings it further without another call.
    waiting = await eventually(lambda: workspace.waiting_review(agent), "it waits for review")
    assert waiting.subject_id == made.id
    found = (await evolve.GetMutation(evolver.GetMutationRequest(mutation_id=made.id))).mutation
    assert found.variant_id == variant
    happened = kinds(await events_of(workspace.client, agent))
    assert happened.count("mutation_executed") == 1
    assert "optimization_triggered" not in happened


async def test_a_workflow_of_the_callers_becomes_a_variant(workspace: Workspace) -> None:
    agent = await workspace.agent(INTERN)
    request = evolver.SpawnWorkflowVariantRequest(request_id="r" * 128, agent_id=agent)
    request.workflow_definition.update({"steps": ["fetch", "sum"]})
    first = await workspace.client.evolver.SpawnWorkflowVariant(request)
    again = await workspace.client.evolver.SpawnWorkflowVariant(request)
    assert first.variant_id == again.variant_id
    empty = evolver.SpawnWorkflowVariantRequest(request_id="r2", agent_id=agent)
    assert await status_of(workspace.client.evolver.SpawnWorkflowVariant(empty)) == "INVALID_ARGUMENT"


async def test_a_workflow_is_mutated_within_the_limit_and_its_score_is_explained(mesh: Mesh) -> None:
    async with mesh.client() as client:
        workspace = Workspace(mesh, client)
        await workspace.configure()
        agent = await workspace.agent(SUPERVISED)
        spawn = client.evolver.SpawnWorkflowVariant
        root = evolver.SpawnWorkflowVariantRequest(request_id=uuid.uuid4().hex, agent_id=agent)
        root.workflow_definition.update({"steps": [{"tool": "find", "parameters": {"limit": 3}}, {"tool": "send"}]})
        parent = (await spawn(root)).variant_id
        mutation = evolver.WorkflowMutation(variant_id=parent, edit="swap")
        request = evolver.SpawnWorkflowVariantRequest(
            request_id=uuid.uuid4().hex, agent_id=agent, workflow_mutation=mutation
        )
        made = await spawn(request)
        assert [step["tool"] for step in MessageToDict(made.workflow_definition)["steps"]] == ["send", "find"]
        assert (made.parent_variant_id, made.edit) == (parent, "swap")
        assert made.detail == "step 1 (find) and step 2 (send) swapped"
        # Again: the first, also when nobody may mutate any more.
        await workspace.configure(mutations_a_day=0)
        assert await spawn(request) == made
        request.request_id = uuid.uuid4().hex
        assert await status_of(spawn(request)) == "RESOURCE_EXHAUSTED"
        request.agent_id = await workspace.agent(INTERN)
        assert await status_of(spawn(request)) == "PERMISSION_DENIED"
        request.workflow_mutation.variant_id = "no-such"
        assert await status_of(spawn(request)) == "NOT_FOUND"
        await workspace.configure()

        bounce = fitness.ExternalSignal(id="b1", email_bounce=True)
        for variant in (parent, made.variant_id):
            run = fitness.EvaluateInitialProxyRequest(variant_id=variant)
            run.signals.execution_success = True
            await client.fitness.EvaluateInitialProxy(run)
        signals = fitness.EvaluateDelayedWebhookRequest(variant_id=parent, signals=[bounce])
        await client.fitness.EvaluateDelayedWebhook(signals)
        explained = json.loads(await _command_line(mesh, "explain", parent, "-o", "json"))
        steps = [step["adjustment"] for step in explained["steps"]]
        assert math.fsum([explained["proxy_score"], *steps]) == explained["fitness_score"]
        assert "email_bounce (b1)" in await _command_line(mesh, "explain", parent)
        assert made.variant_id in await _command_line(mesh, "top", "--limit", "100")
        lines = (await _command_line(mesh, "lineage", made.variant_id)).splitlines()
        assert [made.variant_id in lines[-2], parent in lines[-1]] == [True, True]
        assert made.detail in lines[-2]
        assert "as good by the first run alone" in await _command_line(mesh, "compare", parent, made.variant_id)
        printed = await _command_line(mesh, "mutate", made.variant_id, "--agent", agent, "--edit", "duplicate")
        assert "duplicated" in printed


async def _command_line(mesh: Mesh, *arguments: str) -> str:
    """What `autodev fitness ...` prints."""
    command = [sys.executable, "-m", "autodev_cli", "fitness", *arguments]
    target = ["--address", mesh.address("gateway"), "--api-key", key(TENANT, DEVELOPER)]
    process = await asyncio.create_subprocess_exec(
        *command, *target, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()
