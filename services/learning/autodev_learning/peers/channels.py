"""The services that learning asks: their channels, and whether they can be reached."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from autodev_learning.settings import LearningSettings
from autodev_runtime.clients import channels_ready, peer_channel

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub
    from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceAsyncStub

SERVICE = "learning"


class Peers:
    """Connections to the gateway, capability, fitness and sandbox services. Use as an asynchronous context manager."""

    def __init__(self, settings: LearningSettings) -> None:
        addresses = (
            settings.gateway_address,
            settings.capability_address,
            settings.fitness_address,
            settings.sandbox_address,
        )
        self._channels = [peer_channel(address, settings.max_message_bytes) for address in addresses]
        self.gateway, capability, fitness, sandbox = self._channels
        self.capability: CapabilityServiceAsyncStub = CapabilityServiceStub(capability)
        self.fitness: FitnessServiceAsyncStub = FitnessServiceStub(fitness)
        self.sandbox: SandboxServiceAsyncStub = SandboxServiceStub(sandbox)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels:
            await channel.close()

    async def ready(self) -> bool:
        """Whether every peer can be reached."""
        return await channels_ready(self._channels)
