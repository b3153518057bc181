"""The five samples in a mesh, each in Python and in Go: found, asked, and safe when they are away."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from google.protobuf.struct_pb2 import Struct

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.fitness.v1 import fitness_service_pb2 as fitness
from autodev.gateway.v1 import event_pb2
from autodev.learning.v1.memento_service_pb2 import ListProposersRequest
from autodev_sdk import AutoDevClient, make_event
from tests.integration.extensions.conftest import Samples, environment_with
from tests.loop import RIGHT, VALIDATED, WRONG, attempt, candidate_in, let_learn, publish
from tests.mesh import DEVELOPER, TENANT, Mesh, eventually, key
from tests.serving import refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")

LANGUAGES = {"python": "example", "go": "go"}
"""The samples' names begin with this."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    settings = {
        **samples.environment,
        "AUTODEV_SANDBOX_LEVELS": "namespace,container",
        "AUTODEV_LEARNING_EXTENSIONS": f"go.swaps={samples.address}",
        "AUTODEV_FITNESS_EXTENSIONS": f"go.thrift={samples.address}",
        "AUTODEV_CAPABILITY_EXTENSIONS": f"go.deploy={samples.address}",
        "AUTODEV_CAPABILITY_EXTENSION_LEVELS": "go.deploy=supervised",
        "AUTODEV_GATEWAY_EXTENSIONS": f"go.journal={samples.address}",
    }
    async with Mesh(tmp_path_factory.mktemp("mesh"), settings=settings) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: Mesh) -> AsyncIterator[AutoDevClient]:
    async with mesh.client() as connected:
        await let_learn(connected)
        yield connected


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def agent() -> str:
    """An agent that no other test has."""
    return f"agent-{uuid4().hex[:8]}"


async def test_an_engine_writes_what_the_sandbox_then_proves(client: AutoDevClient, agent: str, language: str) -> None:
    engine = f"{LANGUAGES[language]}.swaps"
    await let_learn(client, agent, proposers=[engine])
    await publish(client, attempt(agent, WRONG), attempt(agent, WRONG))
    candidate = await candidate_in(client, agent, VALIDATED)
    assert candidate.generated_code == RIGHT
    assert candidate.provenance.proposer == engine
    # Its first swap was wrong, was shown to it, and it went on to the next.
    assert candidate.provenance.programs_tried == 2
    (step,) = candidate.provenance.steps
    assert "== 1" in step


async def test_engines_are_among_the_proposers_that_a_workspace_may_name(client: AutoDevClient) -> None:
    proposers = (await client.memento.ListProposers(ListProposersRequest())).proposers
    names = [each.name for each in proposers if each.available]
    assert set(names[:2]) == {"go.swaps", "example.swaps"}
    assert names[2:] == ["case_bank", "search", "crossover"]


async def test_a_fitness_function_scores_by_what_was_measured(client: AutoDevClient, agent: str, language: str) -> None:
    function = f"{LANGUAGES[language]}.thrift"
    variant = await variant_scored_by(client, agent, function)
    signals = fitness.ProxySignals(execution_success=True)
    signals.measurements["cost_usd"] = 1
    request = fitness.EvaluateInitialProxyRequest(variant_id=variant.id, signals=signals)
    scored = (await client.fitness.EvaluateInitialProxy(request)).variant
    assert scored.fitness_score == pytest.approx(0.75)


async def test_a_function_that_cannot_score_leaves_the_variant_unevaluated(
    client: AutoDevClient, agent: str, language: str
) -> None:
    variant = await variant_scored_by(client, agent, f"{LANGUAGES[language]}.thrift")
    signals = fitness.ProxySignals(execution_success=True)
    request = fitness.EvaluateInitialProxyRequest(variant_id=variant.id, signals=signals)
    refused = await refusal(client.fitness.EvaluateInitialProxy(request))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "FITNESS_FUNCTION_FAILED")
    assert ("cost_usd" in refused.message) or ("KeyError" in refused.message)
    found = (await client.fitness.GetVariant(fitness.GetVariantRequest(variant_id=variant.id))).variant
    assert found.evaluation_status == fitness.EVALUATION_STATUS_PENDING


async def variant_scored_by(client: AutoDevClient, agent: str, function: str) -> fitness.WorkflowVariant:
    definition = Struct()
    definition.update({"steps": []})
    request = fitness.CreateVariantRequest(
        request_id=uuid4().hex, agent_id=agent, workflow_definition=definition, fitness_function=function
    )
    return (await client.fitness.CreateVariant(request)).variant


async def test_a_gate_refuses_while_its_check_says_no(
    client: AutoDevClient, samples: Samples, agent: str, language: str
) -> None:
    gate = f"{LANGUAGES[language]}.deploy"
    request = capability.CheckCapabilityRequest(agent_id=agent, capability=gate)
    before = await client.capability.CheckCapability(request)
    assert before.reason == capability.DENIAL_REASON_MATURITY
    assert before.required == capability.MATURITY_LEVEL_SUPERVISED
    await client.capability.SetMaturity(
        capability.SetMaturityRequest(agent_id=agent, maturity=capability.MATURITY_LEVEL_SUPERVISED)
    )
    assert (await client.capability.CheckCapability(request)).allowed
    samples.freeze.touch()
    try:
        frozen = await client.capability.CheckCapability(request)
        assert (frozen.allowed, frozen.reason) == (False, capability.DENIAL_REASON_CHECK)
        assert frozen.message == f"{gate}: a freeze is on, {agent} may not deploy"
        reserve = capability.ReserveUsageRequest(request_id=uuid4().hex, agent_id=agent, capability=gate)
        assert (await refusal(client.capability.ReserveUsage(reserve))).reason == "GATE_REFUSED"
    finally:
        samples.freeze.unlink()
    assert (await client.capability.ReserveUsage(reserve)).reservation.id


@pytest.fixture
def handling(mesh: Mesh, samples: Samples, language: str) -> Iterator[None]:
    """The gateway calls what is a gRPC service; what is in Python runs beside its user's program."""
    if language == "go":
        yield
        return
    process = subprocess.Popen(
        [
            *(Path(sys.executable).with_name("autodev"), "events", "handle"),
            *("--address", mesh.address("gateway")),
        ],
        env={**environment_with(samples), "AUTODEV_API_KEY": key(TENANT, DEVELOPER)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert process.stderr.readline() == "Events are handled by example.journal; Ctrl-C ends.\n"
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.usefixtures("handling")
async def test_handlers_hear_of_failures_successes_and_runs(
    client: AutoDevClient, samples: Samples, agent: str, language: str
) -> None:
    failed, succeeded = attempt(agent, WRONG), attempt(agent, RIGHT, outcome=event_pb2.OUTCOME_SUCCESS)
    run = event_pb2.SkillExecutionEvent(
        execution_id=uuid4().hex, agent_id=agent, skill_id="s", skill_name=f"sum-{agent}"
    )
    expected = {
        f"failed {failed.task_failed.episode_id}",
        f"succeeded {succeeded.task_succeeded.episode_id}",
        f"ran sum-{agent}",
    }
    await publish(client, failed, succeeded, make_event(run, agent_id=agent))

    async def noted() -> bool:
        journal = samples.journal(language)
        return journal.exists() and expected <= set(journal.read_text().splitlines())

    await eventually(noted, "the journal has all three")


async def test_when_the_extensions_are_away_nothing_is_allowed_or_scored_and_no_event_is_lost(
    client: AutoDevClient, samples: Samples, agent: str
) -> None:
    await client.capability.SetMaturity(
        capability.SetMaturityRequest(agent_id=agent, maturity=capability.MATURITY_LEVEL_SUPERVISED)
    )
    variant = await variant_scored_by(client, agent, "go.thrift")
    request = capability.CheckCapabilityRequest(agent_id=agent, capability="go.deploy")
    assert (await client.capability.CheckCapability(request)).allowed
    samples.kill()
    refused = await client.capability.CheckCapability(request)
    assert (refused.allowed, refused.reason) == (False, capability.DENIAL_REASON_CHECK)
    assert refused.check_away
    assert "cannot be asked" in refused.message
    evaluate = fitness.EvaluateInitialProxyRequest(variant_id=variant.id, signals=fitness.ProxySignals())
    assert (await refusal(client.fitness.EvaluateInitialProxy(evaluate))).code == "UNAVAILABLE"
    failed = attempt(agent, WRONG)
    await publish(client, failed)
    samples.start()

    async def told() -> bool:
        return f"failed {failed.task_failed.episode_id}" in samples.journal("go").read_text().splitlines()

    await eventually(told, "the event of the outage is in the journal")

    async def allowed() -> bool:
        return (await client.capability.CheckCapability(request)).allowed

    await eventually(allowed, "the gate is asked again")
