"""How clients of the mesh connect: balancing over every address of a name, and retries of calls that found nobody."""

import json
from typing import Any

import grpc

from autodev_sdk.addresses import LAST_PORT, names_a_port, stays_here

# UNAVAILABLE mostly says that the call did not reach a rule; where the connection was lost under it, it may have. Then
# a creating call's request_id has it done once, and what sets a state sets the same again. CANCELLED, where the caller
# did not cancel, is what gRPC tells calls that a server was sent and had not begun when it was told to stop.
_REPEATED = {
    "name": [{}],
    "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    },
}
# Code may have run when its call ends so, and may be what took the service down: whether it runs again, its caller
# says.
_RUN_ONCE = {
    "name": [
        {"service": "autodev.sandbox.v1.SandboxService", "method": method}
        for method in ("Execute", "ExecuteStream", "ExecuteBatch")
    ]
}


def _service_config(*methods: dict[str, Any]) -> str:
    return json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": methods})


_OF_SERVICES = _service_config(_REPEATED)
"""Services execute what leaves nothing behind, and count on its being done."""
_OF_CLIENTS = _service_config(_REPEATED, _RUN_ONCE)

RESOLUTION_OPTIONS: list[tuple[str, Any]] = [("grpc.dns_min_time_between_resolutions_ms", 2_000)]
"""A name is looked up again when a connection ends, at most this often: so a new replica is found soon."""

DIRECT: tuple[str, Any] = ("grpc.enable_http_proxy", 0)
"""Of a channel that goes through no proxy, whatever `http_proxy` says. gRPC would go through one to this very machine,
and what is plain text would be read there."""

KEEPALIVE_S = 30.0
"""After so long without a word, a client asks the other end whether it is there, ..."""
KEEPALIVE_ANSWER_S = 5.0
"""... and after so long without an answer takes it for gone: its calls end with UNAVAILABLE."""


def channel_options(
    max_message_bytes: int = 8 * 1024 * 1024, keepalive_s: float = KEEPALIVE_S, service_config: str = _OF_SERVICES
) -> list[tuple[str, Any]]:
    """The options of every channel: service config, message bounds, reconnection within a second, keepalive."""
    return [
        ("grpc.service_config", service_config),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        *keepalive_options(keepalive_s),
        *RESOLUTION_OPTIONS,
    ]


def keepalive_options(keepalive_s: float) -> list[tuple[str, Any]]:
    """Of either end of a connection: notice within a bounded time that the other end, or the way there, is gone."""
    return [
        ("grpc.keepalive_time_ms", int(keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(KEEPALIVE_ANSWER_S * 1000)),
        # A call may be quiet for minutes, while a sandbox works: gRPC would stop asking after the second time.
        ("grpc.http2.max_pings_without_data", 0),
    ]


class AddressUnclear(ValueError):
    """An address that is not of the form that gateways are reached by."""


class PlainTextRefused(ValueError):
    """A credential would travel in plain text over a network."""


def open_channel(
    address: str, root_certificates: bytes | None = None, *, plain_text_anywhere: bool = False
) -> grpc.aio.Channel:
    """A channel to a gateway: TLS where certificates are given, else plain text.

    Calls that end as UNAVAILABLE, or that a gateway which stops has not begun (CANCELLED), are made again, four times
    in all; those that run code in the sandbox are not.
    Plain text goes through no proxy; TLS goes through the one that `https_proxy` or `http_proxy` names, which reads
    nothing of it. Raises AddressUnclear where the address has no port, or a scheme that gRPC does not know;
    PlainTextRefused for plain text to another machine, unless `plain_text_anywhere` says that something else (a service
    mesh, a tunnel) protects the way.
    """
    if not names_a_port(address):
        raise AddressUnclear(
            f"{address!r} is no gateway's address: give host:port, without a scheme, and no port above {LAST_PORT}"
        )
    options = channel_options(service_config=_OF_CLIENTS)
    if root_certificates is None:
        if not plain_text_anywhere and not stays_here(address):
            raise PlainTextRefused(f"{address} is not on this machine, and nothing would hide the key from who listens")
        return grpc.aio.insecure_channel(address, options=[*options, DIRECT])
    credentials = grpc.ssl_channel_credentials(root_certificates or None)
    return grpc.aio.secure_channel(address, credentials, options=options)
