"""Asks extensions over gRPC: with a deadline, bounds, checked answers, and a circuit that opens when one fails."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from autodev_runtime.errors import AutoDevError, FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from autodev_runtime.extensions import metrics
from autodev_runtime.extensions.addresses import TLS
from autodev_runtime.extensions.circuit import Admission, Circuit
from autodev_runtime.extensions.settings import ExtensionSettings
from autodev_runtime.mesh_tls import client_credentials, renewed
from autodev_runtime.renewed_channel import RenewedChannel
from autodev_runtime.rules import check_message
from autodev_runtime.settings import CertificateFiles
from autodev_runtime.tracing import TRACEPARENT_KEY, current_trace
from autodev_sdk.channel import DIRECT, channel_options

if TYPE_CHECKING:
    from autodev_runtime.certificates import Material

log = logging.getLogger(__name__)

HEALTH_S = 2.0
AWAY = "EXTENSION_AWAY"
FAILED = "EXTENSION_FAILED"
BUSY = "EXTENSION_BUSY"

_NOTHING_HAPPENED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_DELIBERATE = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""What an extension says on purpose: it is there, and works."""


@dataclass(frozen=True, slots=True)
class AskingOptions:
    """What asking may take."""

    timeout_s: float = 5.0
    max_in_flight: int = 32
    failures: int = 5
    rest_s: float = 10.0


class Extension:
    """One extension by name. `ask` raises Unavailable (EXTENSION_AWAY: it is not there, or rests),
    ResourceExhausted (EXTENSION_BUSY) and FailedPrecondition (EXTENSION_FAILED), and nothing else."""

    def __init__(self, name: str, channel: grpc.aio.Channel, options: AskingOptions) -> None:
        self.name = name
        self.channel = channel
        self._options = options
        self._circuit = Circuit(options.failures, options.rest_s)
        self._slots = asyncio.Semaphore(options.max_in_flight)
        self._health = health_pb2_grpc.HealthStub(channel)
        metrics.AVAILABLE.labels(name).set(1)

    async def ask(self, call: Any, request: Message, more_s: float = 0.0) -> Any:
        """Call an RPC of the extension and give its checked answer. `more_s`: what the work itself may take."""
        if self._slots.locked():
            raise ResourceExhausted(f"the extension {self.name!r} has too much to do", reason=BUSY)
        async with self._slots:
            await self._admit()
            started_s = time.monotonic()
            outcome = "abandoned"
            try:
                answer = await self._answer(call, request, self._options.timeout_s + more_s)
                outcome = "ok"
                self._works()
                return answer
            except _Refused as refused:
                outcome = "refused"
                self._works()
                raise refused.error from None
            except AutoDevError as error:
                outcome = "failed"
                self._fails(error)
                raise
            finally:
                if outcome == "abandoned":
                    self._circuit.abandoned()
                metrics.CALLS.labels(self.name, outcome).inc()
                metrics.SECONDS.labels(self.name).observe(time.monotonic() - started_s)

    async def healthy(self) -> bool:
        """Whether it says that it serves; one without the health service is taken at its answers."""
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_S)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNIMPLEMENTED
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def _admit(self) -> None:
        match self._circuit.admit(time.monotonic()):
            case Admission.ASK:
                return
            case Admission.TRIAL:
                try:
                    healthy = await self.healthy()
                except BaseException:
                    self._circuit.abandoned()
                    raise
                if healthy:
                    return
                self._circuit.failed(time.monotonic())
        raise Unavailable(f"the extension {self.name!r} failed several times and is not asked now", reason=AWAY)

    async def _answer(self, call: Any, request: Message, timeout_s: float) -> Any:
        trace = current_trace()
        metadata = ((TRACEPARENT_KEY, trace.traceparent),) if trace is not None else ()
        try:
            answer = await call(request, metadata=metadata, timeout=timeout_s)
            check_message(answer)
        except InvalidArgument as error:
            raise self._failure(f"gave an answer that breaks the contract: {error.message}") from None
        except grpc.aio.AioRpcError as error:
            code, said = error.code(), (error.details() or "")[:500]
            if code in _NOTHING_HAPPENED:
                raise Unavailable(f"the extension {self.name!r} is away: {code.name}: {said}", reason=AWAY) from None
            if code in _DELIBERATE:
                raise _Refused(self._failure(f"answered {code.name}: {said}", code)) from None
            raise self._failure(f"answered {code.name}: {said}", code) from None
        return answer

    def _failure(self, how: str, code: grpc.StatusCode | None = None) -> FailedPrecondition:
        metadata = {"extension": self.name, **({"code": code.name} if code is not None else {})}
        return FailedPrecondition(f"the extension {self.name!r} {how}", reason=FAILED, metadata=metadata)

    def _works(self) -> None:
        if self._circuit.is_open:
            log.info("the extension %r works again", self.name)
        self._circuit.succeeded()
        metrics.AVAILABLE.labels(self.name).set(1)

    def _fails(self, error: AutoDevError) -> None:
        was_open = self._circuit.is_open
        self._circuit.failed(time.monotonic())
        # Not what it said: that may be of the code or the episode that it was asked about.
        log.warning("the extension %r failed: %s", self.name, error.metadata.get("code", error.reason))
        if self._circuit.is_open and not was_open:
            log.error("the extension %r is not asked for %g s", self.name, self._options.rest_s)
            metrics.AVAILABLE.labels(self.name).set(0)


class _Refused(Exception):
    """An answer that is an error on purpose."""

    def __init__(self, error: FailedPrecondition) -> None:
        super().__init__(error.message)
        self.error = error


@contextlib.asynccontextmanager
async def extensions_of(settings: ExtensionSettings) -> AsyncIterator[dict[str, Extension]]:
    """The extensions that the settings name, connected within the block. Raises CertificateError, OSError."""
    options = AskingOptions(
        settings.extension_timeout_s,
        settings.extension_max_in_flight,
        settings.extension_failures,
        settings.extension_rest_s,
    )
    async with contextlib.AsyncExitStack() as stack:
        connect = await _connector(settings, stack)
        found = {}
        for name, address in settings.extensions.items():
            channel = connect(address)
            stack.push_async_callback(channel.close)
            found[name] = Extension(name, channel, options)
            log.info("extension %s at %s", name, address)
        yield found


async def _connector(settings: ExtensionSettings, stack: contextlib.AsyncExitStack) -> Any:
    # No retries of gRPC's own: each question has one deadline, and the circuit counts what really happened.
    stated = channel_options(settings.extension_max_message_bytes)
    options = [*(each for each in stated if each[0] != "grpc.enable_retries"), ("grpc.enable_retries", 0)]
    secure = await _secure_connector(settings, stack, options)

    def connect(address: str) -> Any:
        if not address.startswith(TLS):
            return grpc.aio.insecure_channel(address, options=[*options, DIRECT])
        return secure(address.removeprefix(TLS))

    return connect


async def _secure_connector(settings: ExtensionSettings, stack: contextlib.AsyncExitStack, options: Any) -> Any:
    certificate, key, authority = (
        settings.extension_cert_file,
        settings.extension_key_file,
        settings.extension_ca_file,
    )
    if certificate is None or key is None:
        roots = authority.read_bytes() if authority is not None else None
        credentials = grpc.ssl_channel_credentials(roots)
        return lambda target: grpc.aio.secure_channel(target, credentials, options=options)
    certificates = await stack.enter_async_context(renewed("extension", CertificateFiles(certificate, key, authority)))

    def connect(target: str) -> Any:
        def open_with(material: "Material") -> grpc.aio.Channel:
            return grpc.aio.secure_channel(target, client_credentials(material), options=options)

        return RenewedChannel(certificates, open_with)

    return connect
