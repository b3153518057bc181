"""Which services stand behind the gateway."""

import contextlib
from collections.abc import AsyncIterator

from autodev.capability.v1 import capability_service_pb2
from autodev.fitness.v1 import fitness_service_pb2
from autodev.learning.v1 import (
    advisor_service_pb2,
    evolver_service_pb2,
    memento_service_pb2,
    reflection_service_pb2,
    review_service_pb2,
    skill_service_pb2,
)
from autodev.sandbox.v1 import sandbox_service_pb2
from autodev_gateway.forwarding import Backend, backend_options, services_in
from autodev_gateway.settings import GatewaySettings
from autodev_runtime.mesh_tls import MeshTls

CAPABILITY = (capability_service_pb2.DESCRIPTOR,)
LEARNING = (
    advisor_service_pb2.DESCRIPTOR,
    evolver_service_pb2.DESCRIPTOR,
    memento_service_pb2.DESCRIPTOR,
    reflection_service_pb2.DESCRIPTOR,
    review_service_pb2.DESCRIPTOR,
    skill_service_pb2.DESCRIPTOR,
)
FITNESS = (fitness_service_pb2.DESCRIPTOR,)
SANDBOX = (sandbox_service_pb2.DESCRIPTOR,)
FORWARDED = (*CAPABILITY, *LEARNING, *FITNESS, *SANDBOX)


@contextlib.asynccontextmanager
async def backends(settings: GatewaySettings, tls: MeshTls) -> AsyncIterator[dict[str, Backend]]:
    """The backend of each forwarded gRPC service, by its full name."""
    async with contextlib.AsyncExitStack() as stack:
        found: dict[str, Backend] = {}
        for name, address, files in (
            ("capability", settings.capability_address, CAPABILITY),
            ("learning", settings.learning_address, LEARNING),
            ("fitness", settings.fitness_address, FITNESS),
            ("sandbox", settings.sandbox_address, SANDBOX),
        ):
            channel = tls.channel(name, address, backend_options(settings.max_message_bytes))
            await stack.enter_async_context(channel)
            backend = Backend(channel, services_in(*files))
            found |= dict.fromkeys(backend.services, backend)
        yield found
