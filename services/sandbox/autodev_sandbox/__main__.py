"""The sandbox service: settings, backends, dispatcher, server."""

import logging
import sys
from collections.abc import Mapping
from types import MappingProxyType

from autodev.sandbox.v1.sandbox_service_pb2_grpc import add_SandboxServiceServicer_to_server
from autodev_runtime.extensions.remote import Extension, extensions_of
from autodev_runtime.mesh_tls import mesh_tls
from autodev_runtime.server import Endpoint, Served, serve
from autodev_runtime.starting import run
from autodev_runtime.turns import Turns
from autodev_sandbox import metrics
from autodev_sandbox.backends import Backend
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.backends.custom import CustomBackend
from autodev_sandbox.backends.namespace import NamespaceBackend
from autodev_sandbox.backends.process import ProcessBackend
from autodev_sandbox.backends.remote import RemoteSandbox
from autodev_sandbox.dispatcher import Dispatcher
from autodev_sandbox.execution import IsolationLevel
from autodev_sandbox.levels import Levels
from autodev_sandbox.servicer import SandboxServicer
from autodev_sandbox.settings import SandboxSettings
from autodev_sdk.extensions import Group, SandboxProtocol, installed

log = logging.getLogger(__name__)

NO_SANDBOXES: Mapping[str, SandboxProtocol] = MappingProxyType({})


def backends_for(settings: SandboxSettings, sandboxes: Mapping[str, SandboxProtocol] = NO_SANDBOXES) -> list[Backend]:
    """The backends of the levels that the operator offers. `sandboxes`: the user's own, by name."""
    most_at_once = dict.fromkeys(settings.extensions, settings.extension_max_in_flight)
    own = {
        level: CustomBackend(
            name, level, sandboxes[name], settings.extension_failures, most_at_once.get(name, sys.maxsize)
        )
        for name, level in settings.extension_levels.items()
        if name in sandboxes
    }
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
    built_in: list[Backend] = [backend for backend in offered if backend.level not in own]
    return [backend for backend in (*own.values(), *built_in) if backend.level in settings.levels]


def custom_sandboxes(settings: SandboxSettings, extensions: Mapping[str, Extension]) -> dict[str, SandboxProtocol]:
    """The user's own sandboxes whose level the operator declares, by name."""
    found = installed(Group.SANDBOXES, SandboxProtocol)  # type: ignore[type-abstract]
    for name in sorted(set(found.working) - set(settings.extension_levels)):
        log.warning(
            "the sandbox %r is installed and not used: AUTODEV_SANDBOX_EXTENSION_LEVELS declares no level", name
        )
    remote: dict[str, SandboxProtocol] = {name: RemoteSandbox(each) for name, each in extensions.items()}
    known = {**found.working, **remote}
    for name in sorted(set(settings.extension_levels) - set(known)):
        log.error("no sandbox %r is installed, and none has its address in AUTODEV_SANDBOX_EXTENSIONS", name)
    return known


def dispatcher_for(settings: SandboxSettings, sandboxes: Mapping[str, SandboxProtocol] = NO_SANDBOXES) -> Dispatcher:
    levels = Levels(backends_for(settings, sandboxes), settings.effective_minimum)
    turns = Turns(settings.slots, settings.spare_slots, settings.max_waiting)
    return Dispatcher(levels, turns, settings.max_batch_s)


async def main() -> None:
    settings = SandboxSettings.of_environment()
    settings.begin_logging("sandbox")
    async with extensions_of(settings) as extensions:
        dispatcher = dispatcher_for(settings, custom_sandboxes(settings, extensions))
        levels = dispatcher.levels
        metrics.show(dispatcher.turns, levels)
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
    run(main)
