"""The service over a socket, with real backends behind it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from google.protobuf import json_format

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_sandbox.__main__ import backends_for
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.execution import MIB, IsolationLevel
from autodev_sandbox.settings import SandboxSettings
from tests.integration.sandbox.conftest import eventually, ready
from tests.integration.sandbox.service import Service, serving, struct, within
from tests.serving import Refusal, refusal_of
from tests.serving import refusal as refusal_of_call


@pytest_asyncio.fixture(loop_scope="session")
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    await (await ready("namespace")).close()
    settings = SandboxSettings(
        levels=frozenset({IsolationLevel.NAMESPACE}), max_timeout_s=60.0, slots=2, spare_slots=1, max_waiting=1
    )
    async with serving(settings, tmp_path) as service:
        yield service


async def execute(service: Service, request: pb.ExecuteRequest) -> pb.ExecuteResponse:
    return await service.stub.Execute(request)


async def refusal(service: Service, request: pb.ExecuteRequest) -> Refusal:
    return await refusal_of_call(service.stub.Execute(request))


async def test_whole_numbers_arrive_as_integers_and_values_come_back(service: Service) -> None:
    code = "def f(n, x, name): return {'range': list(range(n)), 'x': x, 'name': name, 'none': None}"
    request = pb.ExecuteRequest(code=code, entry_point="f", inputs=struct(n=3, x=0.5, name="ü"))
    response = await execute(service, request)
    assert response.status == pb.EXECUTION_STATUS_OK
    assert json_format.MessageToDict(response.result) == {"range": [0, 1, 2], "x": 0.5, "name": "ü", "none": None}
    assert response.isolation == pb.ISOLATION_LEVEL_NAMESPACE
    assert 0 < response.duration_seconds < response.total_seconds
    assert response.peak_memory_bytes > 0


async def test_what_the_code_does_wrong_is_in_the_answer(service: Service) -> None:
    response = await execute(service, pb.ExecuteRequest(code="print('x')\n1 / 0"))
    assert response.status == pb.EXECUTION_STATUS_ERROR
    assert (response.error.type, response.stdout, response.exit_code) == ("ZeroDivisionError", "x\n", 1)
    assert not response.HasField("result")


async def test_limits_are_kept(service: Service) -> None:
    response = await execute(service, pb.ExecuteRequest(code="while True: pass", limits=within(0.3)))
    assert response.status == pb.EXECUTION_STATUS_TIMEOUT
    assert response.duration_seconds < 1


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        (within(200), "limits.timeout"),
        (pb.ExecutionLimits(memory_bytes=2**32), "limits.memory_bytes"),
        (pb.ExecutionLimits(memory_bytes=1000), "limits.memory_bytes"),
        (pb.ExecutionLimits(cpus=60), "limits.cpus"),
        (pb.ExecutionLimits(output_bytes=2**23), "limits.output_bytes"),
        (pb.ExecutionLimits(processes=1000), "limits.processes"),
    ],
)
async def test_more_than_the_operators_ceiling_is_refused(
    service: Service, limits: pb.ExecutionLimits, field: str
) -> None:
    refused = await refusal(service, pb.ExecuteRequest(code="1", limits=limits))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", [field])


async def test_a_stronger_level_than_there_is_is_refused(service: Service) -> None:
    refused = await refusal(service, pb.ExecuteRequest(code="1", min_isolation=pb.ISOLATION_LEVEL_CONTAINER))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "ISOLATION_UNAVAILABLE")


async def test_a_full_queue_refuses_and_says_when_to_come_again(service: Service) -> None:
    request = pb.ExecuteRequest(code="import time; time.sleep(0.5)")
    answers = await asyncio.gather(*(execute(service, request) for _ in range(6)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(refused) == 3
    told = refusal_of(refused[0])
    assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
    assert 0 < (told.retry_after_s or 0) <= 30


async def test_one_tenants_flood_neither_turns_another_away_nor_makes_it_wait(service: Service) -> None:
    slow = pb.ExecuteRequest(code="import time; time.sleep(20)", limits=within(30))
    flood = [asyncio.ensure_future(service.acting_as("flood").Execute(slow)) for _ in range(5)]
    await eventually(lambda: service.running == 2 and service.waiting == 1, "the queue is full")
    async with asyncio.timeout(10):
        answer = await service.acting_as("modest").Execute(pb.ExecuteRequest(code="print('x')"))
    assert answer.stdout == "x\n"
    for call in flood:
        call.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    await eventually(lambda: (service.running, service.waiting) == (0, 0), "who went away has left")


async def test_time_in_the_queue_counts_against_the_deadline(service: Service) -> None:
    slow = pb.ExecuteRequest(code="import time; time.sleep(20)", limits=within(30))
    running = [asyncio.ensure_future(execute(service, slow)) for _ in range(2)]
    await eventually(lambda: service.running == 2, "the slots are taken")
    refused = await refusal_of_call(service.stub.Execute(pb.ExecuteRequest(code="1"), timeout=0.2))
    assert refused.code == "DEADLINE_EXCEEDED"
    await eventually(lambda: service.waiting == 0, "who gave up has left")
    for call in running:
        call.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_files_go_in_and_come_back(service: Service) -> None:
    code = "data = open('data/in.txt').read(); open('out.txt', 'w').write(data.upper())"
    request = pb.ExecuteRequest(
        code=code,
        input_files=[pb.File(path="data/in.txt", content=b"hello"), pb.File(path="empty")],
        output_files=["out.txt", "missing.txt", "empty"],
    )
    response = await execute(service, request)
    assert response.status == pb.EXECUTION_STATUS_OK
    assert {file.path: file.content for file in response.output_files} == {"out.txt": b"HELLO", "empty": b""}


@pytest.mark.parametrize(
    ("paths", "field"),
    [
        (["/etc/passwd"], "input_files[0].path"),
        (["a", "../b"], "input_files[1].path"),
        (["a/./b"], "input_files[0].path"),
        (["."], "input_files[0].path"),
        (["a", "b", "a"], "input_files[2].path"),
        (["a/b/c", "a/b"], "input_files[1].path"),
        (["a//b"], "input_files[0].path"),
    ],
)
async def test_a_path_that_is_no_file_of_its_own_in_tmp_is_refused(
    service: Service, paths: list[str], field: str
) -> None:
    refused = await refusal(service, pb.ExecuteRequest(code="1", input_files=[pb.File(path=path) for path in paths]))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", [field])
    refused = await refusal(service, pb.ExecuteRequest(code="1", output_files=paths))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", [field.replace("input", "output")[:15]])


async def test_files_are_bounded_together_both_ways(service: Service) -> None:
    halves = [pb.File(path=name, content=bytes(2 * MIB + 1)) for name in "ab"]
    refused = await refusal(service, pb.ExecuteRequest(code="1", input_files=halves))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["input_files"])
    code = "for name in 'ab': open(name, 'wb').write(bytes(2 * 2**20 + 1))"
    response = await execute(service, pb.ExecuteRequest(code=code, output_files=["a", "b"]))
    assert response.status == pb.EXECUTION_STATUS_OUTPUT_LIMIT


async def test_files_that_do_not_fit_into_a_message_with_the_rest_are_left_out(service: Service) -> None:
    code = (
        "import os\ndef f():\n  open('a', 'wb').write(bytes(4 * 2**20))\n"
        "  for _ in range(2**20 // 4096): os.write(1, b'\\xff' * 4096)\n  return [1] * 349_000"
    )
    response = await execute(service, pb.ExecuteRequest(code=code, entry_point="f", output_files=["a"]))
    assert response.status == pb.EXECUTION_STATUS_OUTPUT_LIMIT
    assert (len(response.output_files), len(response.stdout)) == (0, 2**20)


async def test_the_largest_answer_fits_into_a_message(service: Service) -> None:
    # Of all JSON texts of a length, short numbers make the largest Value; bytes that are no text grow by three.
    code = "import os\ndef f():\n  for _ in range(2**20 // 4096): os.write(1, b'\\xff' * 4096)\n  return [1] * 349_000"
    response = await execute(service, pb.ExecuteRequest(code=code, entry_point="f"))
    assert response.status == pb.EXECUTION_STATUS_OK
    assert response.ByteSize() < SandboxSettings().max_message_bytes
    assert len(response.result.list_value.values) == 349_000


async def test_the_status_tells_what_is_there_and_why_not(service: Service) -> None:
    await execute(service, pb.ExecuteRequest(code="1"))
    status = await service.stub.GetSandboxStatus(pb.GetSandboxStatusRequest())
    assert status.default_isolation == pb.ISOLATION_LEVEL_NAMESPACE
    assert [level.level for level in status.levels] == [4, 3, 2, 1]
    assert [level.available for level in status.levels] == [False, False, True, False]
    assert all(level.detail for level in status.levels)
    namespace = status.levels[2]
    assert all(facility.name and facility.detail for facility in namespace.facilities)
    assert namespace.pool.ceiling >= namespace.pool.floor


async def test_an_engine_that_stops_is_answered_by_the_next_level_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await ready("namespace")).close()
    await (await ready("container")).close()
    engine = await asyncio.start_unix_server(pass_on, tmp_path / "engine")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine")
    settings = SandboxSettings(levels=frozenset({IsolationLevel.NAMESPACE, IsolationLevel.CONTAINER}))
    async with serving(settings, tmp_path) as service:
        # Who asks for the level waits until it is ready, on a busy machine longer than who takes any.
        await execute(service, pb.ExecuteRequest(code="1", min_isolation=pb.ISOLATION_LEVEL_CONTAINER))
        assert (await execute(service, pb.ExecuteRequest(code="1"))).isolation == pb.ISOLATION_LEVEL_CONTAINER
        engine.close()
        os.unlink(tmp_path / "engine")
        # Containers that wait already are still used, by connections that last.
        for _ in range(settings.container_ceiling + 1):
            if (await execute(service, pb.ExecuteRequest(code="1"))).isolation == pb.ISOLATION_LEVEL_NAMESPACE:
                break
        else:
            pytest.fail("the engine is gone, and containers are used for ever")
        refused = await refusal(service, pb.ExecuteRequest(code="1", min_isolation=pb.ISOLATION_LEVEL_CONTAINER))
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "ISOLATION_UNAVAILABLE")


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass one connection on to the real engine, both ways."""
    engine_reader, engine_writer = await asyncio.open_unix_connection("/var/run/docker.sock")
    with contextlib.suppress(ConnectionError):
        await asyncio.gather(pump(reader, engine_writer), pump(engine_reader, writer))


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()


async def test_the_container_backend_has_one_level_each() -> None:
    levels = {backend.level for backend in backends_for(SandboxSettings()) if isinstance(backend, ContainerBackend)}
    assert levels == {IsolationLevel.CONTAINER, IsolationLevel.CONTAINER_GVISOR}
