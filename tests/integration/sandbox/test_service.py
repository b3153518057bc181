"""The service over a socket, with real backends behind it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceStub, add_SandboxServiceServicer_to_server
from autodev_runtime.identity import service_identity
from autodev_runtime.server import Endpoint, Served, running
from autodev_sandbox.__main__ import backends_for
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.dispatcher import Dispatcher
from autodev_sandbox.execution import IsolationLevel
from autodev_sandbox.servicer import SandboxServicer
from autodev_sandbox.settings import SandboxSettings
from tests.integration.sandbox.conftest import ready

if TYPE_CHECKING:
    from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceAsyncStub

METADATA = service_identity("tests", "tenant").metadata()


@contextlib.asynccontextmanager
async def serving(
    dispatcher: Dispatcher, settings: SandboxSettings, socket: Path
) -> AsyncIterator["SandboxServiceAsyncStub"]:
    servicer = SandboxServicer(dispatcher, settings.ceiling)
    address = f"unix:{socket}"
    options = [("grpc.max_receive_message_length", settings.max_message_bytes)]
    service = Served("autodev.sandbox.v1.SandboxService", lambda it: add_SandboxServiceServicer_to_server(servicer, it))
    async with (
        running("sandbox", settings, [Endpoint(address, [service])], background=[dispatcher.watch]),
        grpc.aio.insecure_channel(address, options) as channel,
    ):
        yield SandboxServiceStub(channel)
    await dispatcher.close()


def dispatcher_for(settings: SandboxSettings) -> Dispatcher:
    return Dispatcher(backends_for(settings), minimum=settings.effective_minimum, slots=2, max_waiting=1)


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator["SandboxServiceAsyncStub"]:
    await ready("namespace")
    settings = SandboxSettings(levels=frozenset({IsolationLevel.NAMESPACE}), max_timeout_s=60.0)
    async with serving(dispatcher_for(settings), settings, tmp_path / "socket") as stub:
        yield stub


def struct(**fields: object) -> Struct:
    return json_format.ParseDict(fields, Struct())


async def execute(stub: "SandboxServiceAsyncStub", request: pb.ExecuteRequest) -> pb.ExecuteResponse:
    return await stub.Execute(request, metadata=METADATA)


async def refusal(stub: "SandboxServiceAsyncStub", request: pb.ExecuteRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await execute(stub, request)
    return refused.value


async def test_whole_numbers_arrive_as_integers_and_values_come_back(stub: "SandboxServiceAsyncStub") -> None:
    code = "def f(n, x, name): return {'range': list(range(n)), 'x': x, 'name': name, 'none': None}"
    request = pb.ExecuteRequest(code=code, entry_point="f", inputs=struct(n=3, x=0.5, name="ü"))
    response = await execute(stub, request)
    assert response.status == pb.EXECUTION_STATUS_OK
    assert json_format.MessageToDict(response.result) == {"range": [0, 1, 2], "x": 0.5, "name": "ü", "none": None}
    assert response.isolation == pb.ISOLATION_LEVEL_NAMESPACE
    assert 0 < response.duration_seconds < response.total_seconds
    assert response.peak_memory_bytes > 0


async def test_what_the_code_does_wrong_is_in_the_answer(stub: "SandboxServiceAsyncStub") -> None:
    response = await execute(stub, pb.ExecuteRequest(code="print('x')\n1 / 0"))
    assert response.status == pb.EXECUTION_STATUS_ERROR
    assert (response.error.type, response.stdout, response.exit_code) == ("ZeroDivisionError", "x\n", 1)
    assert not response.HasField("result")


async def test_limits_are_kept(stub: "SandboxServiceAsyncStub") -> None:
    limits = pb.ExecutionLimits(timeout=Duration(nanos=300_000_000))
    response = await execute(stub, pb.ExecuteRequest(code="while True: pass", limits=limits))
    assert response.status == pb.EXECUTION_STATUS_TIMEOUT
    assert response.duration_seconds < 1


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        (pb.ExecutionLimits(timeout=Duration(seconds=200)), "limits.timeout"),
        (pb.ExecutionLimits(memory_bytes=2**32), "limits.memory_bytes"),
        (pb.ExecutionLimits(memory_bytes=1000), "limits.memory_bytes"),
        (pb.ExecutionLimits(cpus=60), "limits.cpus"),
        (pb.ExecutionLimits(output_bytes=2**23), "limits.output_bytes"),
        (pb.ExecutionLimits(processes=1000), "limits.processes"),
    ],
)
async def test_more_than_the_operators_ceiling_is_refused(
    stub: "SandboxServiceAsyncStub", limits: pb.ExecutionLimits, field: str
) -> None:
    refused = await refusal(stub, pb.ExecuteRequest(code="1", limits=limits))
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in (refused.details() or "")


async def test_a_stronger_level_than_there_is_is_refused(stub: "SandboxServiceAsyncStub") -> None:
    refused = await refusal(stub, pb.ExecuteRequest(code="1", min_isolation=pb.ISOLATION_LEVEL_CONTAINER))
    assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_full_queue_refuses(stub: "SandboxServiceAsyncStub") -> None:
    request = pb.ExecuteRequest(code="import time; time.sleep(0.5)")
    answers = await asyncio.gather(*(execute(stub, request) for _ in range(6)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(refused) == 3
    assert {answer.code() for answer in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}


async def test_the_largest_answer_fits_into_a_message(stub: "SandboxServiceAsyncStub") -> None:
    # Of all JSON texts of a length, short numbers make the largest Value; bytes that are no text grow by three.
    code = "import os\ndef f():\n  for _ in range(2**20 // 4096): os.write(1, b'\\xff' * 4096)\n  return [1] * 349_000"
    response = await execute(stub, pb.ExecuteRequest(code=code, entry_point="f"))
    assert response.status == pb.EXECUTION_STATUS_OK
    assert response.ByteSize() < SandboxSettings().max_message_bytes
    assert len(response.result.list_value.values) == 349_000


async def test_the_status_tells_what_is_there_and_why_not(stub: "SandboxServiceAsyncStub") -> None:
    await execute(stub, pb.ExecuteRequest(code="1"))
    status = await stub.GetSandboxStatus(pb.GetSandboxStatusRequest(), metadata=METADATA)
    assert status.default_isolation == pb.ISOLATION_LEVEL_NAMESPACE
    assert [level.level for level in status.levels] == [4, 3, 2, 1]
    assert [level.available for level in status.levels] == [False, False, True, False]
    assert all(level.detail for level in status.levels)


async def test_an_engine_that_stops_is_answered_by_the_next_level_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready("namespace")
    await ready("container")
    engine = await asyncio.start_unix_server(pass_on, tmp_path / "engine")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine")
    settings = SandboxSettings(levels=frozenset({IsolationLevel.NAMESPACE, IsolationLevel.CONTAINER}))
    async with serving(dispatcher_for(settings), settings, tmp_path / "socket") as stub:
        assert (await execute(stub, pb.ExecuteRequest(code="1"))).isolation == pb.ISOLATION_LEVEL_CONTAINER
        engine.close()
        os.unlink(tmp_path / "engine")
        assert (await execute(stub, pb.ExecuteRequest(code="1"))).isolation == pb.ISOLATION_LEVEL_NAMESPACE
        refused = await refusal(stub, pb.ExecuteRequest(code="1", min_isolation=pb.ISOLATION_LEVEL_CONTAINER))
        assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION


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


def test_the_container_backend_has_one_level_each() -> None:
    levels = {backend.level for backend in backends_for(SandboxSettings()) if isinstance(backend, ContainerBackend)}
    assert levels == {IsolationLevel.CONTAINER, IsolationLevel.CONTAINER_GVISOR}
