"""The services that learning asks: their channels, and whether they can be reached."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from autodev_learning.settings import LearningSettings
from autodev_runtime.clients import channels_ready, peer_channel
from autodev_runtime.mesh_tls import MeshTls

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub
    from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceAsyncStub

SERVICE = "learning"


class Peers:
    """Connections to the gateway, capability, fitness and sandbox services. Use as an asynchronous context manager."""

    def __init__(self, settings: LearningSettings, tls: MeshTls) -> None:
        addresses = {
            "gateway": settings.gateway_address,
            "capability": settings.capability_address,
            "fitness": settings.fitness_address,
            "sandbox": settings.sandbox_address,
        }
        self._channels = [
            peer_channel(tls, peer, address, settings.max_message_bytes) for peer, address in addresses.items()
        ]
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
