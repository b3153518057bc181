"""Every RPC, fuzzed from its descriptor through the gateway: bad input is refused clearly and leaves nothing behind."""

import asyncio
import importlib
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.contract.messages import FILES, Wrong, methods, plausible, wrong_requests
from tests.mesh import Mesh
from tests.postgresql import SERVICES
from tests.storage import Storage, Storages

pytestmark = pytest.mark.asyncio(loop_scope="module")

for each in FILES:
    importlib.import_module(f"{each.removesuffix('.proto').replace('/', '.')}_pb2")

CALL_S = 20.0
STREAM_S = 0.3
ROUNDS = 12
ALLOWED = {
    "OK",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "OUT_OF_RANGE",
    "ALREADY_EXISTS",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def storage(storages: Storages, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Storage]:
    with storages.new(tmp_path_factory.mktemp("fuzz")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(storage: Storage) -> AsyncIterator[Mesh]:
    async with Mesh(storage.directory, settings=storage.settings) as started:
        yield started


async def answer(mesh: Mesh, method: MethodDescriptor, request: bytes) -> tuple[str, grpc.aio.AioRpcError | None]:
    """The status of a call with these bytes as (first) request; a stream that goes on is OK."""
    async with mesh.client() as client:
        name = f"/{method.containing_service.full_name}/{method.name}"
        try:
            if method.server_streaming:
                await _first_responses(client.channel, name, method, request)
            else:
                await _bytes_method(client.channel.unary_unary(name))(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            return error.code().name, error
        return "OK", None


def _bytes_method(method: Any) -> Any:
    """A method without serializers takes and gives bytes, which its stub's type does not say."""
    return method


async def _first_responses(channel: Any, name: str, method: MethodDescriptor, request: bytes) -> None:
    async def requests() -> AsyncIterator[bytes]:
        yield request
        await asyncio.sleep(STREAM_S)

    call = channel.stream_stream(name)(requests()) if method.client_streaming else channel.unary_stream(name)(request)
    try:
        async with asyncio.timeout(STREAM_S):
            async for _ in call:
                pass
    except TimeoutError:
        call.cancel()


async def stored_rows(storage: Storage) -> dict[str, int]:
    """How many rows each table of each service holds."""
    counts = {}
    for service in SERVICES:
        # The services join their own groups just after they start to serve.
        for table in set(await storage.tables(service)) - {"consumer_groups"}:
            ((count,),) = await storage.rows(service, f'SELECT count(*) FROM "{table}"')
            counts[f"{service}.{table}"] = count
    return counts


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name.removeprefix("autodev."))
async def test_a_request_that_breaks_a_rule_is_refused_by_field_and_leaves_nothing(
    mesh: Mesh, storage: Storage, method: MethodDescriptor
) -> None:
    before = await stored_rows(storage)
    for wrong in wrong_requests(method, random.Random(7)):
        code, error = await answer(mesh, method, wrong.request)
        assert code == "INVALID_ARGUMENT", f"{wrong.field} {wrong.flaw}: {code} {error}"
        assert names_the_field(error, wrong), f"{wrong.field} {wrong.flaw}: {error}"
    assert await stored_rows(storage) == before


def names_the_field(error: grpc.aio.AioRpcError | None, wrong: Wrong) -> bool:
    status = rpc_status.from_call(error)
    bad = error_details_pb2.BadRequest()
    unpacked = [detail for detail in status.details if detail.Unpack(bad)]
    return bool(unpacked) and all(each.field and each.description for each in bad.field_violations)


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name.removeprefix("autodev."))
async def test_a_plausible_request_never_meets_an_internal_error(mesh: Mesh, method: MethodDescriptor) -> None:
    rng = random.Random(11)
    for _ in range(ROUNDS):
        request = plausible(method.input_type, rng)
        code, error = await answer(mesh, method, request.SerializeToString())
        assert code in ALLOWED, f"{code} {error}\nfor {request}"
