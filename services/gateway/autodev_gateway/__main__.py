"""Runs the gateway: `python -m autodev_gateway`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import grpc

from autodev.gateway.v1 import episode_service_pb2
from autodev.gateway.v1.episode_service_pb2_grpc import add_EpisodeServiceServicer_to_server
from autodev_gateway.backends import FORWARDED, backends
from autodev_gateway.episode_servicer import EpisodeServicer
from autodev_gateway.episode_store import EpisodeStore
from autodev_gateway.event_log import EventLog, sweeping
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.event_log.subscription import Broadcast
from autodev_gateway.event_servicer import NAME as EVENT_SERVICE
from autodev_gateway.event_servicer import EventBounds, EventParts, EventServicer
from autodev_gateway.forwarding import Forwarder
from autodev_gateway.groups.groups import Groups
from autodev_gateway.groups.store import GroupStore
from autodev_gateway.key_store import KeyStore
from autodev_gateway.keys import KeyRing, development_keys, keys_from_file
from autodev_gateway.settings import GatewaySettings
from autodev_gateway.streams import OpenStreams
from autodev_runtime.database import Database
from autodev_runtime.mesh_tls import mesh_tls, renewed, server_credentials
from autodev_runtime.migrations import upgrade
from autodev_runtime.server import Endpoint, Ready, Served, serve
from autodev_runtime.telemetry import configure_logging

NAME = "gateway"
EPISODE_SERVICE = episode_service_pb2.DESCRIPTOR.services_by_name["EpisodeService"].full_name


@dataclass(frozen=True)
class Gateway:
    """What there is to serve: the clients' door and the services' door, and what runs beside them."""

    public: Endpoint
    internal: Endpoint
    log: EventLog
    ready: Sequence[Ready]
    background: Sequence[Callable[[], Awaitable[None]]]


@contextlib.asynccontextmanager
async def gateway(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """The parts, put together within the block."""
    async with (
        Database(settings.database_url_for(NAME), settings.database_options(NAME)) as database,
        mesh_tls(NAME, settings) as tls,
        public_tls(settings) as credentials,
        backends(settings, tls) as behind,
    ):
        await upgrade(database, "autodev_gateway")
        ring = await key_ring(settings, KeyStore(database))

        log = await EventLog.open(EventStore(database), settings.log_options)
        groups = Groups(GroupStore(database), log)
        broadcast = Broadcast(log)
        streams = OpenStreams()
        bounds = EventBounds(settings.max_event_bytes, settings.subscriber_stall_s)
        events = EventServicer(EventParts(log, broadcast, groups, streams), bounds)
        episodes = EpisodeServicer(EpisodeStore(database), log)

        own = [
            Served(EVENT_SERVICE, events.add_to),
            Served(EPISODE_SERVICE, partial(add_EpisodeServiceServicer_to_server, episodes)),
        ]
        public = Endpoint(
            settings.address,
            own,
            authenticate=ring.authenticate,
            generic_handlers=[Forwarder(behind, FORWARDED)],
            forwarded={name: partial(backend.serves, name) for name, backend in behind.items()},
            credentials=credentials,
            on_drain=streams.drain,
        )
        internal = Endpoint(settings.internal_address, own, door=tls.door())
        with broadcast.running():
            yield Gateway(public, internal, log, [database.ready], [log.run, groups.run, partial(sweeping, log)])


async def main() -> None:
    settings = GatewaySettings()
    configure_logging(NAME, settings.log_level, settings.log_format)
    async with gateway(settings) as parts:
        doors = [parts.public, parts.internal]
        await serve(NAME, settings, doors, ready=parts.ready, background=parts.background)


async def key_ring(settings: GatewaySettings, store: KeyStore) -> KeyRing:
    """The keys that the settings name. Raises KeyFileError."""
    if settings.api_keys_file is not None:
        keys = keys_from_file(settings.api_keys_file)
    else:
        keys = development_keys(settings.data_dir / "keys", settings.development_tenants)
    await store.replace(keys)
    return KeyRing(await store.all())


@contextlib.asynccontextmanager
async def public_tls(settings: GatewaySettings) -> AsyncIterator[grpc.ServerCredentials | None]:
    """The public address's certificate, renewed within the block; None for plain text. Raises CertificateError."""
    if settings.public_files is None:
        yield None
        return
    async with renewed("public", settings.public_files) as certificates:
        yield server_credentials(certificates)


if __name__ == "__main__":
    asyncio.run(main())
