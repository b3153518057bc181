"""A service of the mesh over a real socket, callers with an identity, and the details of a refusal."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from autodev_runtime.identity import Identity, Role
from autodev_runtime.server import Endpoint, Served, running
from autodev_runtime.settings import ServiceSettings
from autodev_sdk.client import _KeyedChannel


@contextlib.asynccontextmanager
async def serving(
    services: Sequence[Served], settings: ServiceSettings | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    """The services behind the runtime's bootstrap, on a free port. Yields a channel to them."""
    endpoint = Endpoint("127.0.0.1:0", services)
    async with (
        running("test", settings or ServiceSettings(port=0, drain_s=0), [endpoint]),
        grpc.aio.insecure_channel(f"127.0.0.1:{endpoint.port}") as channel,
    ):
        yield channel


def acting(channel: grpc.aio.Channel, tenant: str, *roles: Role, subject: str = "someone") -> grpc.aio.Channel:
    """The channel, each call on which states an identity."""
    return cast(grpc.aio.Channel, _KeyedChannel(channel, Identity(tenant, subject, frozenset(roles)).metadata()))


@dataclass(frozen=True)
class Refusal:
    """A status that is not OK, with its google.rpc details."""

    code: str
    message: str
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)
    retry_after_s: float | None = None


async def refusal(call: Awaitable[Any]) -> Refusal:
    """The refusal that a call must end in."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal_of(caught.value)


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """What an error says."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)
    found = (
        {each.DESCRIPTOR.name: any(detail.Unpack(each) for detail in status.details) for each in (info, bad, retry)}
        if status
        else {}
    )
    return Refusal(
        error.code().name,
        error.details() or "",
        info.reason,
        dict(info.metadata),
        [violation.field for violation in bad.field_violations],
        retry.retry_delay.ToTimedelta().total_seconds() if found.get("RetryInfo") else None,
    )
