"""The connection to NATS, the stream, and whether both are fit to keep what the log acknowledges."""

import asyncio
import contextlib
import json
import logging
import ssl
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import nats.errors
from nats.aio.client import Client

from autodev_gateway.event_log.jetstream import credentials
from autodev_gateway.event_log.jetstream.options import NatsOptions
from autodev_gateway.event_log.jetstream.stream import Stream

log = logging.getLogger(__name__)

CONNECT_S = 60.0
RECONNECT_S = 0.25
MONITOR_S = 5.0
PENDING_BYTES = 64 * 1024 * 1024
LEAST_VERSION = (2, 12)
"""The first that stores a batch of messages all or none."""
HEADER_BYTES = 64 * 1024
STREAM_NOT_FOUND = 10059
AWAY = 503
WAIT_S = 0.5

UNSYNCED = (
    "NATS acknowledges messages before they are on disk unless its configuration says `sync_interval: always`, and a "
    "power cut then loses acknowledged events (nats-server issue 7564)"
)


class UnfitServer(RuntimeError):
    """The server or its stream would not keep what the log promises."""


class _NotYet(Exception):
    """A server does not answer, and may in a moment."""


class _TlsClient(credentials.PersistentClient):
    """Gives away nothing before TLS. The library asks the server, in plain text, whether it speaks TLS."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and not info.get("tls_required"):
            raise nats.errors.Error("the server does not ask for TLS, and is given nothing without")
        await super()._process_info(info, initial_connection)


@contextlib.asynccontextmanager
async def connected(options: NatsOptions) -> AsyncIterator[Stream]:
    """The log's stream, made where it is not there yet. Raises UnfitServer."""
    settings = _settings(options)
    connection = _TlsClient() if _needs_tls(options) else credentials.PersistentClient()
    try:
        try:
            async with asyncio.timeout(CONNECT_S):
                await connection.connect(**settings)
        except TimeoutError:
            raise UnfitServer(f"no NATS server could be reached within {CONNECT_S:g} s") from None
        _check_server(connection, options)
        await _patiently(partial(_check_syncs, options))
        await _patiently(partial(_make, connection, options))
        yield Stream(connection, options.stream)
    finally:
        await connection.leave()


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    """Do the work again while servers start: a cluster has no leader for a while. Raises UnfitServer."""
    deadline = time.monotonic() + CONNECT_S
    while True:
        try:
            return await work()
        except _NotYet as error:
            if time.monotonic() > deadline:
                raise UnfitServer(str(error)) from error
            log.warning("NATS is not ready: %s", error)
            await asyncio.sleep(WAIT_S)


def _needs_tls(options: NatsOptions) -> bool:
    return options.ca_file is not None or any(url.startswith("tls:") for url in options.urls)


def _settings(options: NatsOptions) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "servers": list(options.urls),
        "name": "autodev-gateway",
        # A notice is for the others.
        "no_echo": True,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": RECONNECT_S,
        "pending_size": PENDING_BYTES,
        "ping_interval": 10,
        "error_cb": _failed,
        "disconnected_cb": _disconnected,
        "reconnected_cb": _reconnected,
    }
    if options.ca_file is not None:
        settings["tls"] = ssl.create_default_context(cafile=str(options.ca_file))
    if options.credentials_file is not None:
        try:
            settings |= credentials.stated(options.credentials_file)
        except credentials.UnusableCredentials as error:
            raise UnfitServer(str(error)) from error
    return settings


async def _failed(error: Exception) -> None:
    log.warning("NATS: %s", type(error).__name__ if not str(error) else error)


async def _disconnected() -> None:
    log.warning("the connection to NATS is lost")


async def _reconnected() -> None:
    log.info("connected to NATS again")


def _check_server(connection: Client, options: NatsOptions) -> None:
    version = connection.connected_server_version
    if (version.major, version.minor) < LEAST_VERSION:
        raise UnfitServer(f"the event log needs nats-server {'.'.join(map(str, LEAST_VERSION))} or later: {version!r}")
    # An episode's task may be there twice.
    needed = 2 * options.max_event_bytes + HEADER_BYTES
    if connection.max_payload < needed:
        raise UnfitServer(
            f"events may have {options.max_event_bytes} bytes, for which NATS needs max_payload: {needed} or more; it "
            f"is {connection.max_payload}"
        )


async def _check_syncs(options: NatsOptions) -> None:
    """Refuse servers that acknowledge what is not on disk, as far as they can be asked."""
    if not options.monitor_urls:
        log.warning("whether NATS syncs every write is not known: set nats_monitor_urls. %s", UNSYNCED)
    for url in options.monitor_urls:
        jetstream = (await asyncio.to_thread(_monitored, url)).get("jetstream", {}).get("config")
        if not jetstream:
            raise UnfitServer(f"the NATS server monitored at {url} has no JetStream")
        if not jetstream.get("sync_always"):
            raise UnfitServer(f"the NATS server monitored at {url} does not sync every write. {UNSYNCED}")


def _monitored(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/varz", timeout=MONITOR_S) as answer:
            found: dict[str, Any] = json.load(answer)
    except (OSError, ValueError) as error:
        raise _NotYet(f"the NATS server's monitoring at {url} does not answer: {error}") from error
    return found


async def _make(connection: Client, options: NatsOptions) -> None:
    """Make the stream, or bring its replicas to what is stated. Raises UnfitServer where it is another kind."""
    wanted = {
        "name": options.stream,
        "subjects": [f"{options.stream}.*"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": options.replicas,
        "allow_atomic": True,
        # Reads are answered by the leader, who has all that was acknowledged.
        "allow_direct": False,
        # Retention purges; nothing deletes a single message.
        "deny_delete": True,
    }
    found = await _api(connection, f"STREAM.INFO.{options.stream}", {})
    if found.get("error", {}).get("err_code") == STREAM_NOT_FOUND:
        found = await _api(connection, f"STREAM.CREATE.{options.stream}", wanted)
    elif "error" not in found and found["config"]["num_replicas"] != options.replicas:
        changed = {**found["config"], "num_replicas": options.replicas}
        found = await _api(connection, f"STREAM.UPDATE.{options.stream}", changed)
    if "error" in found:
        raise UnfitServer(f"NATS does not keep the stream {options.stream}: {found['error']['description']}")
    # It might have been made by hand: what deletes or loses messages behind the log's back is refused.
    limits = {"max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1}
    for name, value in {**wanted, **limits}.items():
        if found["config"].get(name, False) != value:
            raise UnfitServer(f"the stream {options.stream} has {name} {found['config'].get(name)}; it must be {value}")


async def _api(connection: Client, what: str, stated: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = await connection.request(
            f"$JS.API.{what}", json.dumps(stated).encode() if stated else b"", timeout=MONITOR_S
        )
    except nats.errors.Error as error:
        raise _NotYet(f"JetStream does not answer ({type(error).__name__}); is it enabled?") from error
    said: dict[str, Any] = json.loads(answer.data)
    if said.get("error", {}).get("code") == AWAY:
        raise _NotYet(f"JetStream is away: {said['error']['description']}")
    return said
