"""The sample clients in other languages, built and run against a real mesh: what users start from works."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from autodev.learning.v1 import review_service_pb2 as reviews
from tests.conftest import require
from tests.loop import let_learn
from tests.mesh import DEVELOPER, TENANT, Mesh, key

CLIENTS = Path(__file__).parents[2] / "examples/clients"
BUILD_S, RUN_S = 1_500, 120


@dataclass(frozen=True)
class Client:
    """A sample: the programs its build.sh needs, and how it is run on an address, a key's file and an agent."""

    language: str
    needs: Sequence[str]
    run: Sequence[str]

    @property
    def folder(self) -> Path:
        return CLIENTS / self.language


SAMPLES = [
    Client("go", ("go", "npx"), ("./client",)),
    Client(
        "java", ("mvn", "java"), ("java", "-cp", "target/autodev-client-1.0.0.jar:target/dependency/*", "client.Client")
    ),
    Client("rust", ("cargo",), ("target/debug/autodev-client",)),
    Client("typescript", ("npm",), ("node", "dist/client.js")),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    async with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        yield mesh


@pytest.fixture(params=SAMPLES, ids=lambda client: client.language)
def built(request: pytest.FixtureRequest) -> Client:
    """One of the samples, built."""
    client: Client = request.param
    for program in client.needs:
        require(shutil.which(program), f"{program} is not installed")
    subprocess.run([client.folder / "build.sh"], check=True, timeout=BUILD_S)
    return client


# The first build of a language fetches and compiles its libraries.
@pytest.mark.timeout(BUILD_S + 2 * RUN_S)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_client_reports_failures_and_is_told_what_waits_for_review(
    mesh: Mesh, built: Client, tmp_path: Path
) -> None:
    agent = f"agent-{built.language}"
    key_file = tmp_path / "developer.key"
    # As an editor leaves it.
    key_file.write_text(f"{key(TENANT, DEVELOPER)}\n")
    async with mesh.client() as client:
        await let_learn(client, agent)
        process = await asyncio.create_subprocess_exec(
            *built.run,
            mesh.address("gateway"),
            str(key_file),
            agent,
            cwd=built.folder,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(process.communicate(), RUN_S)
        assert process.returncode == 0
        first, *_, last = output.decode().splitlines()
        assert first == "reported 2 failures"
        title, _, review_id = last.partition(": autodev review show ")
        review = await client.reviews.GetReview(reviews.GetReviewRequest(review_id=review_id))
        assert (review.review.title, review.review.agent_id) == (title, agent)


@pytest.mark.timeout(BUILD_S + 2 * RUN_S)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_client_that_is_refused_says_why_in_one_line(mesh: Mesh, built: Client, tmp_path: Path) -> None:
    key_file = tmp_path / "wrong.key"
    key_file.write_text("no key\n")
    process = await asyncio.create_subprocess_exec(
        *built.run,
        mesh.address("gateway"),
        str(key_file),
        "agent",
        cwd=built.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(RUN_S):
        output, told = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    [line] = told.decode().splitlines()
    assert line.endswith("the API key is not known")
