"""One bootstrap for every service: health by readiness, reflection, the call pipeline, drain on SIGTERM."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health as grpc_health
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from autodev_runtime import telemetry
from autodev_runtime.clients import MESH_KEEPALIVE_S
from autodev_runtime.identity import identity_from_metadata
from autodev_runtime.mesh_tls import Door
from autodev_runtime.pipeline import Authenticate, CallPipeline
from autodev_runtime.recording import Recorder
from autodev_runtime.settings import ServiceSettings, host_port
from autodev_runtime.spans import export_spans
from autodev_runtime.starting import CannotStart
from autodev_sdk.addresses import stays_here
from autodev_sdk.channel import keepalive_options
from autodev_sdk.ending import ended, results_of

log = logging.getLogger(__name__)

SHORTEST_PING_MS = 2000
"""A client that asks more often whether the server is there is sent away."""
READINESS_PERIOD_S = 2.0
PENDING_CALLS = 50_000
READINESS_TIMEOUT_S = 5.0

Ready = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Served:
    """One gRPC service of a server: its full name and what adds its servicer."""

    name: str
    add: Callable[[grpc.aio.Server], None]


@dataclass
class Endpoint:
    """One address of a server, and who may call there."""

    address: str
    services: Sequence[Served]
    authenticate: Authenticate = identity_from_metadata
    generic_handlers: Sequence[grpc.GenericRpcHandler] = ()
    forwarded: Mapping[str, Ready] = field(default_factory=dict)
    """The services that the generic handlers forward, which reflection shows; each with what says if it is ready."""
    credentials: grpc.ServerCredentials | None = None
    """For callers who prove who they are by what `authenticate` takes."""
    door: Door | None = None
    """For the mesh's own services, who prove it by certificates; None: on loopback, where they are believed."""
    recorder: Recorder | None = None
    """Where decisions are recorded; None: nowhere, since nobody decides here."""
    on_drain: Callable[[], None] | None = None
    """Called when the server stops taking calls: to end streams that would go on for ever."""
    server: grpc.aio.Server | None = field(default=None, init=False)
    port: int = field(default=0, init=False)
    """The port that the server got, once it is made: the address's, or a free one where that is 0."""
    health: grpc_health.aio.HealthServicer = field(default_factory=grpc_health.aio.HealthServicer, init=False)


def make_server(name: str, settings: ServiceSettings, endpoint: Endpoint) -> grpc.aio.Server:
    """A server with everything on it, bound to the endpoint's address and not started."""
    _require_safe(endpoint)
    callers = endpoint.door.callers if endpoint.door is not None else None
    server = grpc.aio.server(
        interceptors=[CallPipeline(name, settings.call_bounds, endpoint.authenticate, callers, endpoint.recorder)],
        options=[
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.so_reuseport", 0),
            # Past a thousand calls that Python has not seen yet, gRPC cancels them by itself, and says no more. The
            # pipeline says RESOURCE_EXHAUSTED, and when to come again.
            ("grpc.server.max_pending_requests", PENDING_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", PENDING_CALLS),
            ("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000)),
            ("grpc.max_connection_age_grace_ms", int(settings.max_connection_grace_s * 1000)),
            *keepalive_options(MESH_KEEPALIVE_S),
            # gRPC's own limit, a ping in five minutes, would end the connection of a client that asks as ours do.
            ("grpc.http2.min_ping_interval_without_data_ms", SHORTEST_PING_MS),
            ("grpc.keepalive_permit_without_calls", 1),
        ],
    )
    for served in endpoint.services:
        served.add(server)
    if endpoint.generic_handlers:
        server.add_generic_rpc_handlers(tuple(endpoint.generic_handlers))
    health_pb2_grpc.add_HealthServicer_to_server(endpoint.health, server)
    names = [served.name for served in endpoint.services]
    reflection.enable_server_reflection(
        [*names, *endpoint.forwarded, grpc_health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    endpoint.port = _bind(server, endpoint)
    endpoint.server = server
    return server


def _bind(server: grpc.aio.Server, endpoint: Endpoint) -> int:
    """The port. Raises CannotStart."""
    credentials = endpoint.door.credentials if endpoint.door is not None else endpoint.credentials
    try:
        if credentials is not None:
            return server.add_secure_port(endpoint.address, credentials)
        return server.add_insecure_port(endpoint.address)
    except RuntimeError:
        # gRPC does not say why; it is one of these.
        raise CannotStart(
            f"cannot listen on {endpoint.address}: another program does, it takes more rights, or the address is not "
            "this machine's"
        ) from None


def _require_safe(endpoint: Endpoint) -> None:
    """Whatever the settings let pass: nobody is believed whom any machine can reach and no certificate vouches for."""
    believes = endpoint.authenticate is identity_from_metadata
    if believes and endpoint.door is None and not stays_here(endpoint.address):
        raise ValueError(f"{endpoint.address} is reachable from other machines, and any caller would be believed")


async def serve(
    name: str,
    settings: ServiceSettings,
    endpoints: Sequence[Endpoint],
    *,
    ready: Sequence[Ready] = (),
    background: Sequence[Callable[[], Awaitable[None]]] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    `ready` are asked every two seconds; health says SERVING while all answer true. `background` tasks run beside the
    servers and are cancelled after the drain; one that ends by an exception ends the service with it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    async with running(name, settings, endpoints, ready=ready, background=background) as failed:
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        await asyncio.wait([stopping, failed], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        log.info("draining")
    if failed.done() and not failed.cancelled():
        failed.result()


@contextlib.asynccontextmanager
async def running(
    name: str,
    settings: ServiceSettings,
    endpoints: Sequence[Endpoint],
    *,
    ready: Sequence[Ready] = (),
    background: Sequence[Callable[[], Awaitable[None]]] = (),
) -> AsyncIterator["asyncio.Future[None]"]:
    """The servers, started within the block. Yields a future that a failing background task ends."""
    stop_spans = export_spans(name, settings.otlp_endpoint, settings.trace_ratio)
    servers = [make_server(name, settings, endpoint) for endpoint in endpoints]
    healthy = _Readiness(endpoints, ready)
    stop_http = None
    if settings.metrics_port:
        try:
            probes = {"/healthz": healthy.serves, "/livez": healthy.lives}
            stop_http = telemetry.serve_http(settings.metrics_host, settings.metrics_port, probes)
        except OSError as error:
            where = host_port(settings.metrics_host, settings.metrics_port)
            raise CannotStart(f"cannot listen on {where} for metrics: {error.strerror}") from error
    for server in servers:
        await server.start()
    tasks = [asyncio.ensure_future(task()) for task in (*background, healthy.watch, healthy.beat)]
    failed = asyncio.ensure_future(_first_failure(tasks))
    log.info("listening on %s", ", ".join(endpoint.address for endpoint in endpoints))
    try:
        yield failed
    finally:
        healthy.draining = True
        for endpoint in endpoints:
            await endpoint.health.enter_graceful_shutdown()
            if endpoint.on_drain is not None:
                endpoint.on_drain()
        await asyncio.gather(*(server.stop(settings.drain_s) for server in servers))  # noqa: TID251 -- all must close
        await ended(*tasks, failed)
        if stop_http is not None:
            await asyncio.to_thread(stop_http)
        await asyncio.to_thread(stop_spans)


async def _first_failure(tasks: Sequence["asyncio.Future[None]"]) -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


class _Readiness:
    def __init__(self, endpoints: Sequence[Endpoint], ready: Sequence[Ready]) -> None:
        self._endpoints = endpoints
        self._ready = ready
        self.serving = False
        self.draining = False
        self._looked_s = self._turned_s = time.monotonic()

    def serves(self) -> bool:
        """Whether calls should come here. Answered by a thread, so also where the event loop is stuck."""
        return self.serving and not self.draining and _is_recent(self._looked_s)

    def lives(self) -> bool:
        """Whether the event loop turns, whatever the parts answer. Answered by a thread, too."""
        return _is_recent(self._turned_s)

    async def beat(self) -> None:
        """Note that the event loop turns, while the watch may wait for a part that does not answer."""
        while True:
            self._turned_s = time.monotonic()
            await asyncio.sleep(READINESS_PERIOD_S)

    async def watch(self) -> None:
        """Keep every service's health equal to what the parts answer."""
        while True:
            answers = await self._answers(self._ready)
            forwarded = await self._set(all(answers))
            hurry = 1 if self.serving and forwarded else 4 if self.serving else 20
            await asyncio.sleep(READINESS_PERIOD_S / hurry)

    async def _answers(self, parts: Iterable[Ready]) -> list[bool]:
        answers = await results_of(*(self._ask(part) for part in parts))
        self._looked_s = time.monotonic()
        return answers

    async def _ask(self, part: Ready) -> bool:
        try:
            async with asyncio.timeout(READINESS_TIMEOUT_S):
                return await part()
        except Exception as error:
            log.warning("not ready: %s", error)
            return False

    async def _set(self, serving: bool) -> bool:
        """Set the health of all. Returns whether what is forwarded is ready too."""
        self.serving = serving
        forwarded = True
        for endpoint in self._endpoints:
            # The server as a whole comes last: who hears that it serves may ask for any of its services.
            for name in (*(served.name for served in endpoint.services), ""):
                await endpoint.health.set(name, _state(serving))
            answers = await self._answers(endpoint.forwarded.values())
            for name, answer in zip(endpoint.forwarded, answers, strict=True):
                await endpoint.health.set(name, _state(answer))
            forwarded = forwarded and all(answers)
        return forwarded


def _is_recent(moment_s: float) -> bool:
    """Whether there is nothing odd about a look that was last taken then: one takes as long as a part may."""
    return time.monotonic() - moment_s < 3 * READINESS_PERIOD_S + READINESS_TIMEOUT_S


def _state(serving: bool) -> "health_pb2.HealthCheckResponse.ServingStatus":
    states = health_pb2.HealthCheckResponse.ServingStatus
    return states.SERVING if serving else states.NOT_SERVING
