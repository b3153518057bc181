"""The sandbox as a client of the gateway has it: by the SDK, with a key, through the gateway's forwarding."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest_asyncio
from google.protobuf.struct_pb2 import Struct

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_sdk import AutoDevClient
from tests.collector import collecting
from tests.mesh import DEVELOPER, OTHER_TENANT, TENANT, Mesh, eventually, key
from tests.serving import refusal

SLEEPS = "import time\nprint('begun', flush=True)\ntime.sleep(2)\nprint('done')"
EXAMPLE = Path(__file__).parents[2] / "examples" / "sandbox_client.py"
FOREVER = "print('begun', flush=True)\nwhile True: pass"


@pytest_asyncio.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    settings = {"AUTODEV_SANDBOX_LEVELS": "namespace", "AUTODEV_SANDBOX_DRAIN_S": "10"}
    async with Mesh(tmp_path, services=("gateway", "sandbox"), settings=settings) as started:
        yield started


async def next_of(call: Any) -> pb.ExecuteStreamResponse:
    """The next message of a stream."""
    message = await call.read()
    assert isinstance(message, pb.ExecuteStreamResponse)
    return message


async def begun(client: AutoDevClient, code: str) -> tuple[Any, str]:
    """A streamed execution that has printed something, and its name."""
    call = client.sandbox.ExecuteStream(pb.ExecuteStreamRequest(execution=pb.ExecuteRequest(code=code)))
    name = (await next_of(call)).started.execution_id
    assert (await next_of(call)).stdout == b"begun\n"
    return call, name


async def running(client: AutoDevClient) -> int:
    return (await client.sandbox.GetSandboxStatus(pb.GetSandboxStatusRequest())).running


async def test_output_streams_through_the_gateway_as_it_comes(mesh: Mesh) -> None:
    async with mesh.client() as client:
        call, _ = await begun(client, SLEEPS)
        started_s = time.monotonic()
        assert (await next_of(call)).stdout == b"done\n"
        assert time.monotonic() - started_s > 1
        assert (await next_of(call)).finished.status == pb.EXECUTION_STATUS_OK


async def test_a_batch_streams_through_the_gateway(mesh: Mesh) -> None:
    inputs = [Struct() for _ in range(3)]
    for number, each in enumerate(inputs):
        each["n"] = number
    request = pb.ExecuteBatchRequest(code="def f(n): return n + 1", entry_point="f", inputs=inputs)
    async with mesh.client() as client:
        results = [result async for answer in client.sandbox.ExecuteBatch(request) for result in answer.results]
    assert [each.outcome.result.number_value for each in results] == [1, 2, 3]


async def test_a_client_that_disconnects_ends_its_code_behind_the_gateway(mesh: Mesh) -> None:
    async with mesh.client() as watcher:
        async with mesh.client() as client:
            await begun(client, FOREVER)
            assert await running(watcher) == 1
        await eventually(lambda: _nothing_runs(watcher), "the code has ended")


async def _nothing_runs(client: AutoDevClient) -> bool:
    return await running(client) == 0


async def test_an_execution_is_cancelled_by_its_tenant_alone(mesh: Mesh) -> None:
    async with mesh.client() as client, mesh.client(OTHER_TENANT) as stranger:
        call, name = await begun(client, FOREVER)
        request = pb.CancelRequest(execution_id=name)
        assert (await refusal(stranger.sandbox.Cancel(request))).code == "NOT_FOUND"
        await client.sandbox.Cancel(request)
        assert (await next_of(call)).finished.status == pb.EXECUTION_STATUS_KILLED


async def test_without_a_key_nothing_runs(mesh: Mesh) -> None:
    async with AutoDevClient(mesh.address("gateway"), "no such key") as stranger:
        request = pb.ExecuteStreamRequest(execution=pb.ExecuteRequest(code="1"))
        assert (await refusal(stranger.sandbox.ExecuteStream(request).read())).code == "UNAUTHENTICATED"


async def test_a_wrong_stream_is_told_by_field_through_the_gateway(mesh: Mesh) -> None:
    request = pb.ExecuteStreamRequest(execution=pb.ExecuteRequest(code="1", input_files=[pb.File(path="..")]))
    async with mesh.client() as client:
        refused = await refusal(client.sandbox.ExecuteStream(request).read())
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["execution.input_files[0].path"])


async def test_a_sandbox_that_is_told_to_stop_lets_executions_end_and_takes_no_more(mesh: Mesh) -> None:
    async with mesh.client() as client:
        call, _ = await begun(client, SLEEPS)
        stopping = asyncio.ensure_future(mesh.stop("sandbox"))
        again = pb.ExecuteRequest(code="1")
        await eventually(lambda: _refused(client, again), "new executions are refused")
        assert (await next_of(call)).stdout == b"done\n"
        assert (await next_of(call)).finished.status == pb.EXECUTION_STATUS_OK
        assert await stopping == 0


async def test_the_span_of_an_execution_is_in_the_trace_of_the_gateways_caller(tmp_path: Path) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    async with collecting() as collector:
        settings = {"AUTODEV_SANDBOX_LEVELS": "namespace", "AUTODEV_OTLP_ENDPOINT": collector.address}
        async with Mesh(tmp_path, services=("gateway", "sandbox"), settings=settings) as mesh, mesh.client() as client:
            traced = (("traceparent", f"00-{trace_id}-b7ad6b7169203331-01"),)
            await client.sandbox.Execute(pb.ExecuteRequest(code="1"), metadata=traced)
            # What has not been sent by then is sent before it ends.
            assert await mesh.stop("sandbox") == 0
        assert collector.spans["sandbox.execute"].trace_id.hex() == trace_id


async def test_the_example_runs(mesh: Mesh, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(key(TENANT, DEVELOPER))
    command = [sys.executable, str(EXAMPLE), "--address", mesh.address("gateway"), "--key-file", str(key_file)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0
    assert "so far 40\nso far 42\nEXECUTION_STATUS_OK, files {'total.txt': '42'}" in said
    assert "input 2: 610 in " in said


async def test_the_example_says_in_one_line_why_it_is_refused(mesh: Mesh, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    for says in (f"{key_file}: No such file or directory", "UNAUTHENTICATED: the API key is not known"):
        command = [sys.executable, str(EXAMPLE), "--address", mesh.address("gateway"), "--key-file", str(key_file)]
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        told = (await process.communicate())[1].decode()
        assert (process.returncode, told) == (1, f"{says}\n")
        key_file.write_text("no key")


async def _refused(client: AutoDevClient, request: pb.ExecuteRequest) -> bool:
    try:
        await client.sandbox.Execute(request, timeout=1)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False
