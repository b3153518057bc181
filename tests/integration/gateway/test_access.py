"""Roles and scopes at the clients' door, for every RPC of the contracts, by keys that operators made."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor

from autodev.gateway.v1 import key_service_pb2 as pb
from autodev.options.v1 import access_pb2
from autodev_runtime.access import Effect, access_to
from autodev_sdk import AutoDevClient
from docs.build_access import methods
from tests.integration.gateway.parts import Running, started
from tests.serving import refusal_of
from tests.storage import Storage

ROLES = access_pb2.Role.values()[1:]
CALL_S = 60.0
UNSENT = "Internal error from Core"
"""What gRPC's client makes of a stream that is refused while its first message is being sent."""


@pytest_asyncio.fixture
async def gateway(storage: Storage) -> AsyncIterator[Running]:
    # None of the services behind it is there, and what is refused is refused all the same.
    async with started(storage, default_timeout_s=1.0) as running:
        yield running


async def holder(gateway: Running, name: str, **grant: Any) -> AutoDevClient:
    async with gateway.client() as operator:
        request = pb.CreateKeyRequest(request_id=name, subject=name, **grant)
        # The gateway's own time for a call is short, for the services that are not there.
        return AutoDevClient(gateway.public_address, (await operator.keys.CreateKey(request, timeout=CALL_S)).text)


async def reasons(client: AutoDevClient, asked: list[MethodDescriptor]) -> dict[str, str]:
    """Why each is refused."""
    found = await asyncio.gather(*(reason_of(client, method) for method in asked))
    return dict(zip(map(name_of, asked), found, strict=True))


def name_of(method: MethodDescriptor) -> str:
    return str(method.full_name)


async def reason_of(client: AutoDevClient, method: Any) -> str:
    """Why an empty request is refused before it is read; empty where it is not."""
    name = f"/{method.containing_service.full_name}/{method.name}"
    channel: Any = client.channel
    try:
        if method.client_streaming:
            await channel.stream_stream(name)(iter([b"\xff"]), timeout=CALL_S).read()
        elif method.server_streaming:
            await channel.unary_stream(name)(b"\xff", timeout=CALL_S).read()
        else:
            await channel.unary_unary(name)(b"\xff", timeout=CALL_S)
    except grpc.aio.AioRpcError as error:
        told = refusal_of(error)
        if told.message == UNSENT:
            return await reason_of(client, method)
        assert told.code in ("PERMISSION_DENIED", "INVALID_ARGUMENT", "UNAVAILABLE"), told
        return told.reason if told.code == "PERMISSION_DENIED" else ""
    raise AssertionError(f"{name} takes bytes that are no request")


async def test_an_rpc_that_needs_a_role_is_closed_to_all_other_roles(gateway: Running) -> None:
    needing = [method for method in methods() if access_to(method).role is not None]
    assert len(needing) > 10
    async with await holder(gateway, "nobody") as nobody:
        expected = {name_of(each): "ROLE_REQUIRED" if each in needing else "" for each in methods()}
        assert await reasons(nobody, list(methods())) == expected
    for number in ROLES:
        role = access_pb2.Role.Name(number).removeprefix("ROLE_").lower()
        async with await holder(gateway, role, roles=[number]) as client:
            expected = {name_of(each): "" if access_to(each).role == role else "ROLE_REQUIRED" for each in needing}
            assert await reasons(client, needing) == expected


async def test_a_key_that_may_only_read_opens_what_reads(gateway: Running) -> None:
    async with await holder(gateway, "reader", roles=ROLES, read_only=True) as reader:
        expected = {name_of(each): "" if access_to(each).effect is Effect.READ else "READ_ONLY" for each in methods()}
        assert await reasons(reader, list(methods())) == expected
