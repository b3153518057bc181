"""The service over a socket, with real backends behind it, and what tests ask of it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceStub, add_SandboxServiceServicer_to_server
from autodev_runtime.identity import service_identity
from autodev_runtime.server import Endpoint, Served, running
from autodev_sandbox.__main__ import dispatcher_for
from autodev_sandbox.dispatcher import Dispatcher
from autodev_sandbox.servicer import SandboxServicer
from autodev_sandbox.settings import SandboxSettings
from tests.serving import acting

if TYPE_CHECKING:
    from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceAsyncStub

METADATA = service_identity("tests", "tenant").metadata()


class Service:
    """A running service: its parts, and stubs that call it as a tenant."""

    def __init__(self, dispatcher: Dispatcher, channel: grpc.aio.Channel) -> None:
        self.dispatcher = dispatcher
        self.channel = channel
        self.stub = self.acting_as("tenant")

    def acting_as(self, tenant: str) -> "SandboxServiceAsyncStub":
        return SandboxServiceStub(acting(self.channel, tenant))

    @property
    def running(self) -> int:
        return self.dispatcher.turns.running

    @property
    def waiting(self) -> int:
        return self.dispatcher.turns.waiting


@contextlib.asynccontextmanager
async def serving(settings: SandboxSettings, directory: Path) -> AsyncIterator[Service]:
    """The service of these settings, on a socket in the directory."""
    dispatcher = dispatcher_for(settings)
    servicer = SandboxServicer(dispatcher, settings.ceiling)
    address = f"unix:{directory}/socket"
    options = [("grpc.max_receive_message_length", settings.max_message_bytes)]
    service = Served("autodev.sandbox.v1.SandboxService", lambda it: add_SandboxServiceServicer_to_server(servicer, it))
    endpoint = Endpoint(address, [service])
    try:
        async with (
            running("sandbox", settings, [endpoint], background=[dispatcher.levels.watch]),
            grpc.aio.insecure_channel(address, options) as channel,
        ):
            yield Service(dispatcher, channel)
    finally:
        await dispatcher.close()


def struct(**fields: object) -> Struct:
    return json_format.ParseDict(fields, Struct())


def within(seconds: float) -> pb.ExecutionLimits:
    """Limits of that time."""
    return pb.ExecutionLimits(timeout=Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9)))
