"""A mesh that is told of a language model: the loop with it, its budget, and its secrets."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from autodev.learning.v1 import advisor_service_pb2 as advisor
from autodev_sdk import AutoDevClient
from tests.llm import KEY, Fault, LlmServer, Reply, code
from tests.loop import FAILED, RIGHT, VALIDATED, WRONG, attempt, candidate_in, let_learn, publish
from tests.mesh import Mesh

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def model() -> Iterator[LlmServer]:
    with LlmServer() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(model: LlmServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    directory: Path = tmp_path_factory.mktemp("llm")
    (directory / "key").write_text(KEY)
    settings = {
        "AUTODEV_SANDBOX_LEVELS": "namespace,container",
        "AUTODEV_LEARNING_LLM_MODEL": "openai:some-model",
        "AUTODEV_LEARNING_LLM_BASE_URL": f"{model.url}/v1",
        "AUTODEV_LEARNING_LLM_API_KEY_FILE": str(directory / "key"),
        "AUTODEV_LEARNING_LLM_USD_PER_MILLION_INPUT_TOKENS": "1",
        "AUTODEV_LEARNING_LLM_USD_PER_MILLION_OUTPUT_TOKENS": "2",
        "AUTODEV_LEARNING_LLM_TOKENS_PER_DAY": "20000",
        "AUTODEV_LEARNING_LOG_LEVEL": "DEBUG",
    }
    async with Mesh(directory, settings=settings) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: Mesh) -> AsyncIterator[AutoDevClient]:
    async with mesh.client() as connected:
        yield connected


async def test_failures_become_a_candidate_of_the_models(client: AutoDevClient, mesh: Mesh, model: LlmServer) -> None:
    model.will_answer(code(RIGHT))
    await let_learn(client, "taught")
    await publish(client, attempt("taught", WRONG), attempt("taught", WRONG))
    candidate = await candidate_in(client, "taught", VALIDATED)
    assert candidate.generated_code == RIGHT
    made = candidate.provenance
    assert (made.proposer, made.tokens) == ("llm", 1100)
    assert made.cost_usd == pytest.approx(0.0012)
    assert len(made.prompt_hash) == 64
    assert "by openai:some-model, prompt repair_1" in made.steps
    (asked,) = model.asked
    assert "even_sum([7])" in asked.text
    assert "even_sum([2, 4])" not in asked.text, "a held-out example was told"
    assert KEY not in mesh.log_path("learning").read_text()
    assert RIGHT not in mesh.log_path("learning").read_text()


async def test_the_advisor_asks_the_model_and_says_so(client: AutoDevClient, model: LlmServer) -> None:
    model.will_answer(Reply({"guidance": "Little is known yet.", "next_steps": ["Wait."]}))
    answer = await client.advisor.GetGuidance(advisor.GetGuidanceRequest())
    assert (answer.guidance, list(answer.next_steps)) == ("Little is known yet.", ["Wait."])
    assert answer.source == advisor.GUIDANCE_SOURCE_LLM
    (day,) = answer.trend
    assert (day.scored_candidates, day.mean_candidate_score) == (1, 1.0)
    model.will_answer(Fault.UNAUTHORIZED)
    answer = await client.advisor.GetGuidance(advisor.GetGuidanceRequest())
    assert answer.source == advisor.GUIDANCE_SOURCE_RULES
    assert "status 401" in answer.fallback_reason


async def test_the_advisor_asks_no_model_where_the_workspace_left_it_out(
    client: AutoDevClient, model: LlmServer
) -> None:
    model.will_answer(Reply({"guidance": "Little is known yet.", "next_steps": ["Wait."]}))
    await let_learn(client, proposers=["search"])
    answer = await client.advisor.GetGuidance(advisor.GetGuidanceRequest())
    assert answer.fallback_reason == "llm is not among the workspace's proposers"
    assert not model.asked


async def test_when_the_days_budget_is_spent_the_candidate_says_so(client: AutoDevClient, model: LlmServer) -> None:
    model.will_answer(code("def even_sum(values):\n    return 0\n"))
    await let_learn(client, "spender", proposers=["llm"])
    await publish(client, attempt("spender", WRONG), attempt("spender", WRONG))
    candidate = await candidate_in(client, "spender", FAILED)
    assert "the day's budget for language models is spent" in candidate.validation_result.failure_reason
    assert candidate.generated_code == ""
    assert 1 <= len(model.asked) < 20
    assert candidate.provenance.tokens == 1100 * len(model.asked)
