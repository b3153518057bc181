"""The sandbox service: settings, backends, dispatcher, server."""

import asyncio

from autodev.sandbox.v1.sandbox_service_pb2_grpc import add_SandboxServiceServicer_to_server
from autodev_runtime.mesh_tls import mesh_tls
from autodev_runtime.server import Endpoint, Served, serve
from autodev_runtime.telemetry import configure_logging
from autodev_sandbox import metrics
from autodev_sandbox.backends import Backend
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.backends.namespace import NamespaceBackend
from autodev_sandbox.backends.process import ProcessBackend
from autodev_sandbox.dispatcher import Dispatcher
from autodev_sandbox.execution import IsolationLevel
from autodev_sandbox.levels import Levels
from autodev_sandbox.servicer import SandboxServicer
from autodev_sandbox.settings import SandboxSettings
from autodev_sandbox.turns import Turns


def backends_for(settings: SandboxSettings) -> list[Backend]:
    """The backends of the levels that the operator offers."""
    offered: list[Backend] = [
        *(
            ContainerBackend(
                settings.cache_dir,
                level,
                packages=settings.packages,
                image=settings.image,
                floor=settings.container_pool_floor,
                ceiling=settings.container_ceiling,
            )
            for level in (IsolationLevel.CONTAINER_GVISOR, IsolationLevel.CONTAINER)
        ),
        NamespaceBackend(
            settings.cache_dir,
            packages=settings.packages,
            floor=settings.namespace_pool_floor,
            ceiling=settings.namespace_ceiling,
        ),
    ]
    if settings.allow_process:
        offered.append(ProcessBackend())
    return [backend for backend in offered if backend.level in settings.levels]


def dispatcher_for(settings: SandboxSettings) -> Dispatcher:
    levels = Levels(backends_for(settings), settings.effective_minimum)
    turns = Turns(settings.slots, settings.spare_slots, settings.max_waiting)
    return Dispatcher(levels, turns, settings.max_batch_s)


async def main() -> None:
    settings = SandboxSettings()
    configure_logging("sandbox", settings.log_level, settings.log_format)
    dispatcher = dispatcher_for(settings)
    levels = dispatcher.levels
    metrics.show(dispatcher.turns, levels.backends)
    servicer = SandboxServicer(dispatcher, settings.ceiling)
    service = Served(
        "autodev.sandbox.v1.SandboxService",
        lambda server: add_SandboxServiceServicer_to_server(servicer, server),
    )
    try:
        async with mesh_tls("sandbox", settings) as tls:
            endpoint = Endpoint(settings.address, [service], door=tls.door())
            await serve("sandbox", settings, [endpoint], ready=[levels.ready], background=[levels.watch])
    finally:
        await dispatcher.close()


if __name__ == "__main__":
    asyncio.run(main())
