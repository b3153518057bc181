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
MOST_SAID = 500
AWAY = "EXTENSION_AWAY"
BUSY = "EXTENSION_BUSY"
BROKE_OFF = "EXTENSION_BROKE_OFF"
FAILED = "EXTENSION_FAILED"
QUESTION_TOO_LARGE = "EXTENSION_QUESTION_TOO_LARGE"
ANSWER_TOO_LARGE = "EXTENSION_ANSWER_TOO_LARGE"
NOT_ASKED = frozenset({AWAY, BUSY})
"""Of these reasons alone it is sure that the extension has done nothing."""

# gRPC says the same when a connection breaks under a call that is being worked on.
_PERHAPS_LATER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
# gRPC's own words, at either end; there is no other sign. Other words would be a failure like any.
_TOO_LARGE = "essage larger than max"
_ANSWER_TOO_LARGE = f"CLIENT: Received m{_TOO_LARGE}"
_NO_CONNECTION = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)
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
    """One extension by name. `ask` raises nothing but

    - Unavailable: EXTENSION_AWAY, it cannot be reached, or rests, and was not asked; EXTENSION_BROKE_OFF, it may be
      there later, and may have done what it was asked; EXTENSION_QUESTION_TOO_LARGE for a message;
    - ResourceExhausted: EXTENSION_BUSY, it was not asked;
    - FailedPrecondition: EXTENSION_FAILED, with the status as `code`; EXTENSION_ANSWER_TOO_LARGE.

    What it says itself is in the errors for who asked, and never in the log.
    """

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
            except _Failed as failed:
                outcome = "failed"
                self._fails(failed.logged)
                raise failed.error from None
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

    async def _reach(self) -> None:
        """Be connected. A call that fails afterwards may have been begun; which did not, gRPC does not tell."""
        try:
            async with asyncio.timeout(self._options.timeout_s):
                while (state := self.channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                    if state in _NO_CONNECTION:
                        raise self._away("cannot be reached", await self._obstacle())
                    await self.channel.wait_for_state_change(state)
        except TimeoutError:
            told = f"cannot be reached within {self._options.timeout_s:g} s (DEADLINE_EXCEEDED)"
            raise self._away(told) from None

    async def _obstacle(self) -> str:
        """What gRPC says of the connection that there is not."""
        try:
            await self._health.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_S)
        except grpc.aio.AioRpcError as error:
            return (error.details() or "")[:MOST_SAID]
        return "by now it is there again"

    def _away(self, how: str, why: str = "") -> "_Failed":
        return _Failed(Unavailable(f"the extension {self.name!r} {how}", reason=AWAY), f"{how}: {why}" if why else how)

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
        began_s = time.monotonic()
        await self._reach()
        try:
            left_s = max(0.0, timeout_s - (time.monotonic() - began_s))
            answer = await call(request, metadata=metadata, timeout=left_s)
            check_message(answer)
        except InvalidArgument as error:
            how = f"gave an answer that breaks the contract: {error.message}"
            raise _Failed(self._failure(how), how) from None
        except grpc.aio.AioRpcError as error:
            raise self._raised(error.code(), (error.details() or "")[:MOST_SAID]) from None
        return answer

    def _raised(self, code: grpc.StatusCode, said: str) -> "_Failed":
        """What a call's status means."""
        answered = f"answered {code.name}"
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in said:
            return _Refused(self._too_large(said), answered)
        if code in _PERHAPS_LATER:
            away = f"is away: {code.name}"
            return _Failed(Unavailable(f"the extension {self.name!r} {away}: {said}", reason=BROKE_OFF), away)
        kind = _Refused if code in _DELIBERATE else _Failed
        return kind(self._failure(f"{answered}: {said}", code.name), answered)

    def _too_large(self, said: str) -> AutoDevError:
        if _ANSWER_TOO_LARGE in said:
            return self._failure(f"gave too large an answer: {said}", reason=ANSWER_TOO_LARGE)
        return Unavailable(f"the extension {self.name!r} cannot be asked: {said}", reason=QUESTION_TOO_LARGE)

    def _failure(self, how: str, code: str = "", reason: str = FAILED) -> FailedPrecondition:
        metadata = {"extension": self.name, **({"code": code} if code else {})}
        return FailedPrecondition(f"the extension {self.name!r} {how}", reason=reason, metadata=metadata)

    def _works(self) -> None:
        if self._circuit.is_open:
            log.info("the extension %r works again", self.name)
        self._circuit.succeeded()
        metrics.AVAILABLE.labels(self.name).set(1)

    def _fails(self, how: str) -> None:
        was_open = self._circuit.is_open
        self._circuit.failed(time.monotonic())
        log.warning("the extension %r %s", self.name, how)
        if self._circuit.is_open and not was_open:
            log.error("the extension %r is not asked for %g s", self.name, self._options.rest_s)
            metrics.AVAILABLE.labels(self.name).set(0)


class _Failed(Exception):
    """No answer. `logged`: what it was, without what the extension says, which may quote what it was asked."""

    def __init__(self, error: AutoDevError, logged: str) -> None:
        super().__init__(logged)
        self.error = error
        self.logged = logged


class _Refused(_Failed):
    """An answer that is an error on purpose: it is there, and works."""


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
