"""`autodev evolve` on a mesh: what a person starts and follows from a terminal."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from autodev.learning.v1 import evolver_service_pb2 as evolver
from tests.evolving import QUICK, SUPERVISED, Workspace
from tests.mesh import DEVELOPER, TENANT, Mesh, eventually, key

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMAND_S = 120.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workspace(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workspace]:
    async with Mesh(tmp_path_factory.mktemp("evolve"), settings=QUICK) as mesh, mesh.client() as client:
        space = Workspace(mesh, client)
        await space.configure()
        yield space


class Ended(NamedTuple):
    status: int
    out: str
    err: str


async def command(workspace: Workspace, *arguments: str) -> Ended:
    environment = {
        **os.environ,
        "AUTODEV_ADDRESS": workspace.mesh.address("gateway"),
        "AUTODEV_API_KEY": key(TENANT, DEVELOPER),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autodev_cli", "evolve", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(COMMAND_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def printed(workspace: Workspace, *arguments: str) -> str:
    ended = await command(workspace, *arguments)
    assert ended.status == 0, ended.err
    return ended.out


async def as_json(workspace: Workspace, *arguments: str) -> Any:
    return json.loads(await printed(workspace, *arguments, "-o", "json"))


async def test_a_person_starts_an_opportunity(workspace: Workspace) -> None:
    assert "Nothing was seen" in await printed(workspace, "opportunities")
    agent = await workspace.agent(SUPERVISED)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, agent)
    found = await eventually(lambda: workspace.opportunity(agent), "the opportunity is found")
    listed = await printed(workspace, "opportunities")
    assert all(word in listed for word in (found.id, skill.name, agent, "latency"))
    assert skill.name in await printed(workspace, "start", found.id)
    await eventually(lambda: workspace.waiting_review(agent), "a rewrite waits for review")
    (after,) = [each for each in await as_json(workspace, "opportunities") if each["id"] == found.id]
    assert after["started_by"] == DEVELOPER
    assert after["mutation_id"] in await printed(workspace, "opportunities")


async def test_an_experiment_is_run_listed_and_watched(workspace: Workspace) -> None:
    agent = await workspace.agent(SUPERVISED)
    ran = (
        await printed(
            workspace, "run", "--agent", agent, "--score", "minimise-waves", "--iterations", "3", "--seed", "7"
        )
    ).splitlines()
    identifier = ran[0].removeprefix("experiment ")
    assert [line.split()[0] for line in ran[1:-1]] == ["1/3", "2/3", "3/3"]
    assert ran[-1].startswith("succeeded: iterations; best ")
    assert (await printed(workspace, "watch", identifier)).splitlines() == ran
    lines = (await printed(workspace, "watch", identifier, "-o", "json")).splitlines()
    assert len(json.loads(lines[-1])["steps"]) == 3
    listed = await printed(workspace, "experiments")
    assert all(word in listed for word in (identifier, "Find the point", agent, "succeeded"))


async def test_an_experiment_is_followed_over_a_restart_and_cancelled(workspace: Workspace) -> None:
    agent = await workspace.agent(SUPERVISED)
    running = asyncio.ensure_future(
        command(workspace, "run", "--agent", agent, "--score", "pack-10-circles", "--iterations", "1000")
    )

    async def at_work() -> evolver.Experiment | None:
        answer = await workspace.client.evolver.ListExperiments(evolver.ListExperimentsRequest())
        mine = [each for each in answer.experiments if each.agent_id == agent and each.steps]
        return mine[0] if mine else None

    begun = await eventually(at_work, "the experiment takes steps")
    workspace.mesh.kill("learning")
    await workspace.mesh.start("learning")

    async def further() -> bool:
        now = await at_work()
        return now is not None and len(now.steps) > len(begun.steps)

    await eventually(further, "the experiment goes on")
    assert "cancelled" in await printed(workspace, "cancel", begun.id)
    ended = await running
    assert ended.status == 0, ended.err
    assert "cancelled: cancelled by developer" in ended.out


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("run", "--agent", "ada"), 2, "give one of --skill and --score"),
        (("run", "--agent", "ada", "--skill", "a", "--score", "b"), 2, "give one of --skill and --score"),
        (("run", "--agent", "ada", "--skill", "none", "--within", "soon"), 2, "give a span"),
        (("run", "--agent", "ada", "--skill", "none"), 1, "no skill"),
        (("watch", "none"), 1, "no experiment"),
        (("cancel", "none"), 1, "no experiment"),
        (("start", "none"), 1, "no opportunity"),
    ],
)
async def test_what_cannot_be_is_told_in_a_line(
    workspace: Workspace, arguments: tuple[str, ...], status: int, says: str
) -> None:
    ended = await command(workspace, *arguments)
    assert (ended.status, len(ended.err.splitlines())) == (status, 1), ended
    assert says in ended.err
