"""The sample clients in other languages, built and run against a real mesh: what users start from works."""

import asyncio
import contextlib
import shutil
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pytest
import pytest_asyncio

from autodev.learning.v1 import review_service_pb2 as reviews
from tests.conftest import require
from tests.loop import WRONG, attempt, events_of, kinds, let_learn, publish
from tests.mesh import DEVELOPER, TENANT, Mesh, key
from tests.passage import Passage

CLIENTS = Path(__file__).parents[2] / "examples/clients"
BUILD_S, RUN_S = 1_500, 120
NOTHING_YET = b"nothing yet: is Auto-Dev enabled, and the agent INTERN?\n"


@dataclass(frozen=True)
class Client:
    """A sample: the programs its build.sh needs, and how it is run on an address, a key's file and an agent."""

    language: str
    needs: tuple[str, ...]
    run: tuple[str, ...]

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


@cache
def build(sample: Client) -> Client:
    """The sample, built."""
    for program in sample.needs:
        require(shutil.which(program), f"{program} is not installed")
    subprocess.run([sample.folder / "build.sh"], check=True, timeout=BUILD_S)
    return sample


@pytest.fixture(scope="module", params=SAMPLES, ids=lambda client: client.language)
def built(request: pytest.FixtureRequest) -> Client:
    """One of the samples, built."""
    return build(request.param)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A developer's key, as an editor leaves it."""
    path = tmp_path / "developer.key"
    path.write_text(f"{key(TENANT, DEVELOPER)}\n")
    return path


@contextlib.asynccontextmanager
async def running(sample: Client, address: str, key_file: Path, agent: str) -> AsyncIterator[Process]:
    """A sample that runs, for so long at most, within the block."""
    process = await asyncio.create_subprocess_exec(
        *sample.run, address, str(key_file), agent, cwd=sample.folder, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(RUN_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# The first build of a language fetches and compiles its libraries.
pytestmark = [pytest.mark.timeout(BUILD_S + 2 * RUN_S), pytest.mark.asyncio(loop_scope="module")]


async def test_a_client_reports_failures_and_is_told_what_waits_for_review(
    mesh: Mesh, built: Client, key_file: Path
) -> None:
    agent = f"agent-{built.language}"
    async with mesh.client() as client:
        await let_learn(client, agent)
        async with running(built, mesh.address("gateway"), key_file, agent) as process:
            output, told = await process.communicate()
        # A machine that is at work may be so slow.
        assert (process.returncode, told.replace(NOTHING_YET, b"")) == (0, b"")
        first, *_, last = output.decode().splitlines()
        assert first == "reported 2 failures"
        title, _, review_id = last.partition(": autodev review show ")
        review = await client.reviews.GetReview(reviews.GetReviewRequest(review_id=review_id))
        assert (review.review.title, review.review.agent_id) == (title, agent)


async def test_a_client_goes_on_where_it_was_when_its_subscription_breaks_off(
    mesh: Mesh, built: Client, key_file: Path
) -> None:
    agent = f"following-{built.language}"
    failure = partial(attempt, agent, WRONG)
    async with (
        mesh.client() as client,
        Passage(mesh.address("gateway")) as passage,
        running(built, passage.address, key_file, agent) as process,
    ):
        assert process.stdout is not None
        printed = [await process.stdout.readline()]
        # No review comes of what an agent reports that may not have skills written.
        await publish(client, failure())
        printed.append(await process.stdout.readline())
        for lost in (passage.reset, passage.closed):
            async with lost():
                await publish(client, failure())
            printed.append(await process.stdout.readline())
        await mesh.stop("gateway")
        await mesh.start("gateway")
        # Its connection may still wait before it is made again, and until then calls fail at once.
        await client.channel.channel_ready()
        await let_learn(client, agent)
        await publish(client, failure(), failure())
        output, told = await process.communicate()
        of_agent = kinds(await events_of(client, agent))[2:]
        assert process.returncode == 0, told.decode()
        first, *events, _ = b"".join([*printed, output]).decode().splitlines()
        assert first == "reported 2 failures"
        assert list(map(spelt, events)) == list(map(spelt, of_agent[: of_agent.index("review_requested") + 1]))


async def test_a_client_whose_answer_is_lost_reports_nothing_twice(mesh: Mesh, built: Client, key_file: Path) -> None:
    agent = f"repeating-{built.language}"
    async with (
        mesh.client() as client,
        Passage(mesh.address("gateway"), answers_to_lose=1) as passage,
        running(built, passage.address, key_file, agent) as process,
    ):
        assert process.stdout is not None
        assert await process.stdout.readline() == b"reported 2 failures\n"
        assert kinds(await events_of(client, agent)) == ["task_failed", "task_failed"]


async def test_clients_notice_that_their_connection_has_gone_silent(mesh: Mesh, key_file: Path) -> None:
    async with asyncio.TaskGroup() as together:
        for sample in map(build, SAMPLES):
            together.create_task(notices_silence(mesh, sample, key_file))


async def notices_silence(mesh: Mesh, sample: Client, key_file: Path) -> None:
    """See a client print an event that it is not told of by the connection that it has."""
    agent = f"silenced-{sample.language}"
    async with (
        mesh.client() as client,
        Passage(mesh.address("gateway")) as passage,
        running(sample, passage.address, key_file, agent) as process,
    ):
        assert process.stdout is not None
        await process.stdout.readline()
        for _ in range(2):
            # No review comes of what an agent reports that may not have skills written.
            await publish(client, attempt(agent, WRONG))
            line = await process.stdout.readline()
            assert spelt(line.decode().strip()) == "taskfailed"
            passage.mute()


async def test_clients_say_what_may_be_missing_where_nothing_comes(mesh: Mesh, key_file: Path) -> None:
    async with asyncio.TaskGroup() as together:
        for sample in map(build, SAMPLES):
            together.create_task(says_what_may_be_missing(mesh, sample, key_file))


async def says_what_may_be_missing(mesh: Mesh, sample: Client, key_file: Path) -> None:
    """See a client of an agent that may not have skills written say so, and go on."""
    async with running(sample, mesh.address("gateway"), key_file, f"student-{sample.language}") as process:
        assert process.stderr is not None
        assert await process.stderr.readline() == NOTHING_YET
        assert process.returncode is None


def spelt(kind: str) -> str:
    """A kind of events, which each language writes in its own way."""
    return kind.replace("_", "").lower()


async def test_a_client_that_is_refused_says_why_in_one_line(mesh: Mesh, built: Client, tmp_path: Path) -> None:
    key_file = tmp_path / "wrong.key"
    key_file.write_text("no key\n")
    async with running(built, mesh.address("gateway"), key_file, "agent") as process:
        output, told = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    [line] = told.decode().splitlines()
    assert line.endswith("the API key is not known")
