"""Logs that a person can read and a machine can parse, and Prometheus metrics with units in their names."""

import contextlib
import json
import logging
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app

from autodev_runtime import identity, tracing
from autodev_sdk.visible import visible

PATIENCE_S = 10.0
"""With a connection for metrics or health that says nothing."""

CALLS = Counter("autodev_rpc_calls_total", "RPCs served", ["service", "method", "code"])
CALL_SECONDS = Histogram(
    "autodev_rpc_seconds",
    "Time to serve an RPC",
    ["service", "method"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
REPLICAS = Gauge(
    "autodev_service_replicas", "1 for a replica that serves; their sum is how many there are", ["service"]
)


class CallMetrics:
    """The metrics of one method, looked up once."""

    def __init__(self, service: str, method: str) -> None:
        self._calls = CALLS
        self._labels = (service, method)
        self._seconds = CALL_SECONDS.labels(service, method)
        self._counters: dict[str, Counter] = {}

    def observe(self, code: str, seconds: float) -> None:
        """Count one call that ended with `code` after `seconds`."""
        counter = self._counters.get(code)
        if counter is None:
            counter = self._counters[code] = self._calls.labels(*self._labels, code)
        counter.inc()
        self._seconds.observe(seconds)


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class _Formatter(logging.Formatter):
    def __init__(self, service: str, log_format: LogFormat) -> None:
        super().__init__()
        self._service = service
        self._format = log_format

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        caller, trace = identity._current.get(), tracing.current_trace()
        # A record that says so itself is about something else than what runs: a worker's is about its event.
        if tenant := getattr(record, "tenant", "") or (caller.tenant if caller is not None else ""):
            fields["tenant"] = tenant
        if trace_id := getattr(record, "trace_id", "") or (trace.trace_id if trace is not None else ""):
            fields["trace_id"] = trace_id
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if self._format is LogFormat.JSON:
            return json.dumps(fields)
        head = f"{fields.pop('time')} {fields.pop('level'):7} {fields.pop('service')}: {fields.pop('message')}"
        fields.pop("logger")
        exception = fields.pop("exception", "")
        tail = " ".join(f"{key}={value}" for key, value in fields.items())
        line = "  ".join(filter(None, (head, tail)))
        return "\n  ".join(map(visible, (line, *exception.splitlines())))


def log_formatter(service: str, log_format: LogFormat) -> logging.Formatter:
    """How a service's records become lines."""
    return _Formatter(service, log_format)


def configure_logging(service: str, level: LogLevel, log_format: LogFormat) -> None:
    """Send every log line to stderr in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(log_formatter(service, log_format))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # It announces each of its plug-ins at INFO.
    logging.getLogger("alembic").setLevel(logging.WARNING)


class _Server(ThreadingMixIn, WSGIServer):
    """Serves each connection in a thread of its own: one that says nothing must hold up neither probes nor the end."""

    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    def setup(self) -> None:
        """Wait for the request, but not for ever."""
        self.request.settimeout(PATIENCE_S)
        super().setup()

    def handle(self) -> None:
        """Answer the request, if one comes."""
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a scrape every few seconds is no news."""


def serve_http(host: str, port: int, probes: Mapping[str, Callable[[], bool]]) -> Callable[[], None]:
    """Serve `/metrics`, and each probe at its path, from a thread. Returns what stops it."""
    metrics = make_wsgi_app()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        if (probe := probes.get(path)) is not None:
            status = "200 OK" if probe() else "503 Service Unavailable"
            start_response(status, [("Content-Type", "text/plain")])
            return [status.split(" ", 1)[1].encode() + b"\n"]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [f"try {', '.join(('/metrics', *probes))}\n".encode()]

    address = host.removeprefix("[").removesuffix("]")
    family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
    server_class = _Server6 if family == socket.AF_INET6 else _Server
    server = make_server(address, port, app, server_class=server_class, handler_class=_QuietHandler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop
