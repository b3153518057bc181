"""Runs the gateway: `python -m autodev_gateway`."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import grpc

from autodev.fitness.v1 import fitness_service_pb2
from autodev.gateway.v1 import audit_service_pb2, episode_service_pb2, key_service_pb2, webhook_service_pb2
from autodev.gateway.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from autodev.gateway.v1.episode_service_pb2_grpc import add_EpisodeServiceServicer_to_server
from autodev.gateway.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server
from autodev.gateway.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server
from autodev_gateway.audit.acts import ActRecorder
from autodev_gateway.audit.log import AuditLog
from autodev_gateway.audit.recorder import AuditRecorder
from autodev_gateway.audit.servicer import AuditServicer
from autodev_gateway.backends import FORWARDED, backends
from autodev_gateway.episode_servicer import EpisodeServicer
from autodev_gateway.episode_store import EpisodeStore
from autodev_gateway.event_log import EventLog, sweeping
from autodev_gateway.event_log.engines import engine_for
from autodev_gateway.event_log.subscription import Broadcast
from autodev_gateway.event_servicer import NAME as EVENT_SERVICE
from autodev_gateway.event_servicer import EventBounds, EventParts, EventServicer
from autodev_gateway.forwarding import Backend, Forwarder
from autodev_gateway.groups.groups import Groups
from autodev_gateway.groups.store import GroupStore
from autodev_gateway.handlers import RemoteHandlers
from autodev_gateway.identity.bearer import Bearers
from autodev_gateway.identity.configured import ConfiguredKeys, development_keys, keys_from_file
from autodev_gateway.identity.issued import FollowOptions, IssuedKeys
from autodev_gateway.identity.issuing import KeyIssuer
from autodev_gateway.identity.key_servicer import KeyServicer
from autodev_gateway.identity.key_store import KeyStore
from autodev_gateway.settings import GatewaySettings, Mode
from autodev_gateway.streams import OpenStreams
from autodev_gateway.webhooks.dead_store import DeadWebhooks
from autodev_gateway.webhooks.parts import Webhooks
from autodev_gateway.webhooks.servicer import WebhookServicer
from autodev_runtime.database import Database
from autodev_runtime.extensions.remote import extensions_of
from autodev_runtime.mesh_tls import mesh_tls, renewed, server_credentials
from autodev_runtime.migrations import upgrade
from autodev_runtime.server import Endpoint, Ready, Served, serve
from autodev_runtime.starting import run

if TYPE_CHECKING:
    from autodev_gateway.identity.tokens import Tokens

NAME = "gateway"
FITNESS_SERVICE = fitness_service_pb2.DESCRIPTOR.services_by_name["FitnessService"].full_name
EPISODE_SERVICE = episode_service_pb2.DESCRIPTOR.services_by_name["EpisodeService"].full_name
AUDIT_SERVICE = audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"].full_name
KEY_SERVICE = key_service_pb2.DESCRIPTOR.services_by_name["KeyService"].full_name
WEBHOOK_SERVICE = webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"].full_name


Background = Sequence[Callable[[], Awaitable[None]]]


@dataclass(frozen=True)
class Gateway:
    """What there is to serve: the clients' door and the services' door, and what runs beside them."""

    public: Endpoint
    internal: Endpoint
    log: EventLog
    ready: Sequence[Ready]
    background: Background
    webhooks: Webhooks | None


@dataclass(frozen=True)
class Identities:
    """Who may come in by the clients' door, and the service of keys."""

    bearers: Bearers
    served: Sequence[Served]
    background: Background


@dataclass(frozen=True)
class Events:
    """The event log, with the services that read and write it."""

    log: EventLog
    groups: Groups
    served: Sequence[Served]
    ready: Ready
    on_drain: Callable[[], None]
    background: Background


@contextlib.asynccontextmanager
async def gateway(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """The parts, put together within the block."""
    async with (
        Database(settings.database_url_for(NAME), settings.database_options(NAME)) as database,
        mesh_tls(NAME, settings) as tls,
        public_tls(settings) as credentials,
        backends(settings, tls) as behind,
        extensions_of(settings) as extensions,
    ):
        await upgrade(database, "autodev_gateway")
        audit = AuditLog(database)
        recorder = AuditRecorder(audit)
        identities = await _identities(settings, database)
        webhooks = webhooks_on(settings, database, behind)
        async with _events(settings, database, ActRecorder(audit)) as events:
            public = Endpoint(
                settings.address,
                [*events.served, *identities.served, *_looked_after(database, audit)],
                authenticate=identities.bearers.authenticate,
                generic_handlers=[Forwarder(behind, FORWARDED)],
                forwarded={name: partial(backend.serves, name) for name, backend in behind.items()},
                credentials=credentials,
                recorder=recorder,
                on_drain=events.on_drain,
            )
            internal = Endpoint(settings.internal_address, events.served, door=tls.door())
            background = [*events.background, *identities.background, recorder.run]
            background += [
                RemoteHandlers(events.groups, each, settings.handler_patience_s).run for each in extensions.values()
            ]
            if webhooks is not None:
                background.append(webhooks.run)
            yield Gateway(public, internal, events.log, [database.ready, events.ready], background, webhooks)


async def _identities(settings: GatewaySettings, database: Database) -> Identities:
    """Keys of the settings and of operators, and an identity provider's tokens. Raises KeyFileError."""
    store = KeyStore(database)
    issued = IssuedKeys(store, FollowOptions(settings.key_poll_s, settings.key_stale_s))
    await issued.load()
    tokens = tokens_accepted(settings)
    servicer = KeyServicer(KeyIssuer(store, settings.max_keys_per_tenant), issued)
    return Identities(
        Bearers(configured_keys(settings), issued, tokens),
        [Served(KEY_SERVICE, partial(add_KeyServiceServicer_to_server, servicer))],
        [issued.follow, issued.note_uses, *([] if tokens is None else [tokens.jwks.follow])],
    )


@contextlib.asynccontextmanager
async def _events(settings: GatewaySettings, database: Database, acts: ActRecorder) -> AsyncIterator[Events]:
    """The log and all that follows it, within the block."""
    async with engine_for(settings, database) as engine:
        log = await EventLog.open(engine, settings.log_options, database.patience)
        groups = Groups(GroupStore(database), log)
        broadcast = Broadcast(log)
        streams = OpenStreams(settings.max_connection_age_s, settings.max_connection_grace_s / 2)
        bounds = EventBounds(settings.max_event_bytes, settings.subscriber_stall_s)
        events = EventServicer(EventParts(log, broadcast, groups, streams, acts), bounds)
        episodes = EpisodeServicer(EpisodeStore(database), log)
        with broadcast.running():
            yield Events(
                log,
                groups,
                [
                    Served(EVENT_SERVICE, events.add_to),
                    Served(EPISODE_SERVICE, partial(add_EpisodeServiceServicer_to_server, episodes)),
                ],
                engine.ready,
                partial(_drain, streams, groups),
                [log.run, groups.run, partial(sweeping, log)],
            )


def _looked_after(database: Database, audit: AuditLog) -> Sequence[Served]:
    """What operators look at: what was decided, and webhooks that were given up."""
    webhooks = WebhookServicer(DeadWebhooks(database))
    return [
        Served(AUDIT_SERVICE, partial(add_AuditServiceServicer_to_server, AuditServicer(audit))),
        Served(WEBHOOK_SERVICE, partial(add_WebhookServiceServicer_to_server, webhooks)),
    ]


def _drain(streams: OpenStreams, groups: Groups) -> None:
    streams.drain()
    groups.drain()


async def main() -> None:
    settings = GatewaySettings.of_environment()
    settings.begin_logging(NAME)
    async with gateway(settings) as parts:
        doors = [parts.public, parts.internal]
        await serve(NAME, settings, doors, ready=parts.ready, background=parts.background)


def configured_keys(settings: GatewaySettings) -> ConfiguredKeys:
    """The keys that the settings name. Raises KeyFileError."""
    if settings.api_keys_file is not None:
        return ConfiguredKeys(keys_from_file(settings.api_keys_file))
    if settings.mode is Mode.DEVELOPMENT:
        return ConfiguredKeys(development_keys(settings.data_dir / "keys", settings.development_tenants))
    return ConfiguredKeys(())


def tokens_accepted(settings: GatewaySettings) -> "Tokens | None":
    """Who verifies the identity provider's tokens; None where none are accepted."""
    if not settings.takes_tokens:
        return None
    # Imported when asked for: it takes longer than the rest of the gateway.
    from autodev_gateway.identity.jwks import JwksOptions
    from autodev_gateway.identity.jwks_sources import file_source, url_source
    from autodev_gateway.identity.tokens import TokenRules, Tokens

    rules = TokenRules(
        settings.jwt_issuer,
        settings.jwt_audience,
        frozenset(algorithm.value for algorithm in settings.jwt_algorithms),
        settings.jwt_tenant_claim,
        settings.jwt_subject_claim,
        settings.jwt_roles_claim,
        settings.jwt_leeway_s,
    )
    file = settings.jwt_jwks_file
    source = file_source(file) if file is not None else url_source(settings.jwt_jwks_url, settings.jwt_ca_file)
    options = JwksOptions(settings.jwt_refresh_s, settings.jwt_stale_s, settings.jwt_look_again_s)
    return Tokens(rules, source, options)


@contextlib.asynccontextmanager
async def public_tls(settings: GatewaySettings) -> AsyncIterator[grpc.ServerCredentials | None]:
    """The public address's certificate, renewed within the block; None for plain text. Raises CertificateError."""
    if settings.public_files is None:
        yield None
        return
    async with renewed("public", settings.public_files) as certificates:
        yield server_credentials(certificates)


def webhooks_on(settings: GatewaySettings, database: Database, behind: Mapping[str, Backend]) -> Webhooks | None:
    """The webhooks' part; None where the settings have none come in. Raises SecretsFileError."""
    if not settings.webhook_port:
        return None
    return Webhooks(settings, database, behind[FITNESS_SERVICE].channel, settings.public_files)


if __name__ == "__main__":
    run(main)
