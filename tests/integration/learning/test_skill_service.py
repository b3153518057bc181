"""SkillService over real sockets: running, repeating, rolling back, listing."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from google.protobuf import json_format

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import skill_service_pb2 as pb
from autodev_sdk import AutoDevClient
from tests.loop import events_of, promoted_skill, status_of
from tests.mesh import OTHER_TENANT, Mesh, eventually
from tests.storage import Storages

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(storages: Storages, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    settings = {"AUTODEV_SANDBOX_MAX_TIMEOUT_S": "60"}
    with storages.new(tmp_path_factory.mktemp("skills")) as storage:
        async with Mesh(storage.directory, settings=settings | storage.settings) as started:
            yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: Mesh) -> AsyncIterator[AutoDevClient]:
    async with mesh.client() as connected:
        yield connected


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def skill(client: AutoDevClient) -> pb.Skill:
    """`even_sum`, version 1.0.0."""
    return await promoted_skill(client, "maker")


def running(skill: pb.Skill, call: str, **fields: object) -> pb.ExecuteSkillRequest:
    stated: dict[str, object] = {"request_id": str(uuid4()), "agent_id": "runner", "skill_id": skill.id, "call": call}
    return pb.ExecuteSkillRequest(**{**stated, **fields})  # type: ignore[arg-type]


async def test_inputs_are_keyword_arguments_of_the_first_entry_point(client: AutoDevClient, skill: pb.Skill) -> None:
    request = pb.ExecuteSkillRequest(request_id=str(uuid4()), agent_id="runner", skill_id=skill.name)
    json_format.ParseDict({"values": [2, 4, 5]}, request.inputs)
    run = await client.skills.ExecuteSkill(request)
    assert (run.success, run.result_literal, run.skill_version, run.sandbox_status) == (True, "6", "1.0.0", "OK")


async def test_a_skill_that_raises_is_no_error_of_the_call(client: AutoDevClient, skill: pb.Skill) -> None:
    run = await client.skills.ExecuteSkill(running(skill, "even_sum(None)"))
    assert not run.success
    assert run.error.startswith("TypeError: ")
    assert run.sandbox_status == "ERROR"


async def test_a_call_that_never_ends_is_a_timeout(client: AutoDevClient, skill: pb.Skill) -> None:
    request = running(skill, "even_sum(iter(int, 1))")
    request.timeout.FromMilliseconds(300)
    run = await client.skills.ExecuteSkill(request)
    assert (run.success, run.sandbox_status) == (False, "TIMEOUT")


async def test_the_same_request_again_returns_the_first_run(client: AutoDevClient, skill: pb.Skill) -> None:
    first = await client.skills.ExecuteSkill(running(skill, "even_sum([2])", request_id="once"))
    again = await client.skills.ExecuteSkill(running(skill, "even_sum([2, 2])", request_id="once"))
    assert first == again
    assert again.result_literal == "2"


async def test_a_run_is_in_the_log_once(client: AutoDevClient, skill: pb.Skill) -> None:
    request = running(skill, "even_sum([2, 8])", agent_id="logged")
    run = await client.skills.ExecuteSkill(request)
    await client.skills.ExecuteSkill(request)

    async def look() -> list[event_pb2.Event]:
        return [event for event in await events_of(client, "logged") if event.HasField("skill_executed")]

    (event,) = await eventually(look, "SkillExecuted in the log")
    executed = event.skill_executed
    assert (executed.execution_id, executed.skill_id, executed.success) == (run.execution_id, skill.id, True)
    assert (executed.call, executed.output, executed.skill_version) == ("even_sum([2, 8])", "10", "1.0.0")


@pytest.mark.parametrize("call", ["import os", "even_sum(", "", "x = 1"])
async def test_a_call_that_is_no_expression_is_refused(client: AutoDevClient, skill: pb.Skill, call: str) -> None:
    assert await status_of(client.skills.ExecuteSkill(running(skill, call))) == "INVALID_ARGUMENT"


async def test_a_run_without_call_and_inputs_is_refused(client: AutoDevClient, skill: pb.Skill) -> None:
    request = pb.ExecuteSkillRequest(request_id="r", agent_id="a", skill_id=skill.id)
    assert await status_of(client.skills.ExecuteSkill(request)) == "INVALID_ARGUMENT"


async def test_a_timeout_beyond_the_sandboxs_is_refused(client: AutoDevClient, skill: pb.Skill) -> None:
    request = running(skill, "even_sum([])")
    request.timeout.FromSeconds(299)
    assert await status_of(client.skills.ExecuteSkill(request)) == "INVALID_ARGUMENT"


async def test_what_is_not_there_is_not_found(client: AutoDevClient, skill: pb.Skill) -> None:
    nothing = pb.Skill(id="nothing")
    assert await status_of(client.skills.ExecuteSkill(running(nothing, "f()"))) == "NOT_FOUND"
    assert await status_of(client.skills.ExecuteSkill(running(skill, "f()", version="9.9.9"))) == "NOT_FOUND"
    assert await status_of(client.skills.GetSkill(pb.GetSkillRequest(skill_id="nothing"))) == "NOT_FOUND"
    versions = pb.ListSkillVersionsRequest(skill_id="nothing")
    assert await status_of(client.skills.ListSkillVersions(versions)) == "NOT_FOUND"
    rollback = pb.RollbackSkillRequest(request_id="r1", skill_id=skill.id, to_version="9.9.9")
    assert await status_of(client.skills.RollbackSkill(rollback)) == "NOT_FOUND"


async def test_a_first_version_cannot_be_rolled_back(client: AutoDevClient, skill: pb.Skill) -> None:
    rollback = pb.RollbackSkillRequest(request_id="r2", skill_id=skill.id)
    assert await status_of(client.skills.RollbackSkill(rollback)) == "FAILED_PRECONDITION"


async def test_another_tenant_has_no_such_skill(mesh: Mesh, skill: pb.Skill) -> None:
    async with mesh.client(OTHER_TENANT) as stranger:
        assert await status_of(stranger.skills.GetSkill(pb.GetSkillRequest(skill_id=skill.id))) == "NOT_FOUND"
        assert await status_of(stranger.skills.ExecuteSkill(running(skill, "even_sum([])"))) == "NOT_FOUND"
        assert list((await stranger.skills.ListSkills(pb.ListSkillsRequest())).skills) == []


async def test_the_same_code_for_another_agent_is_the_same_skill(client: AutoDevClient, skill: pb.Skill) -> None:
    again = await promoted_skill(client, "another-maker")
    assert again.id == skill.id
    versions = await client.skills.ListSkillVersions(pb.ListSkillVersionsRequest(skill_id=skill.name))
    assert [version.version for version in versions.versions] == ["1.0.0"]
    assert len((await client.skills.ListSkills(pb.ListSkillsRequest())).skills) == 1
