"""Events: making them, and working through them by `EventService.Consume`."""

import asyncio
import contextlib
import inspect
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_sdk.ending import ended
from autodev_sdk.pauses import pauses_s
from autodev_sdk.tracing import processing, trace_id_of
from autodev_sdk.visible import visible

if TYPE_CHECKING:
    from autodev.gateway.v1.event_service_pb2_grpc import EventServiceAsyncStub

log = logging.getLogger(__name__)

Handler = Callable[[event_pb2.Event], Awaitable[None]]
Metadata = Sequence[tuple[str, str]]

Outgoing = asyncio.Queue[event_service_pb2.ConsumeRequest | None]
"""What a worker has to say, until None: no more."""

MOST_ERROR_CHARACTERS = 4000
JOIN_S = 30.0
"""How long a worker waits for the gateway before it asks anew, by what its channel is made of then."""

UNHANDLED_RETRY_S = 300.0
"""How long an event waits for a worker that handles its kind, each time that it came to one that does not."""

_NEVER = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
)
"""What a worker is refused by that the next try would be refused by as well."""

_FIELD_OF = {
    field.message_type.full_name: field.name
    for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None and field.name not in ("task_failed", "task_succeeded")
}


def uuid7() -> str:
    """A UUIDv7 (RFC 9562): the time, then random bits, so that ids sort by age.

    The bits after the milliseconds hold the fraction of the millisecond (the RFC's method 3), because one process
    makes many ids in a millisecond.
    """
    milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
    fraction = rest_ns * 4096 // 1_000_000
    random_bits = int.from_bytes(os.urandom(8)) >> 2
    digits = f"{milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random_bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def first_uuid7(moment: datetime) -> str:
    """What every UUIDv7 of a moment, or of a later one, sorts after, and every earlier one before."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def make_event(
    payload: Message, *, agent_id: str = "", correlation_id: str = "", causation_id: str = ""
) -> event_pb2.Event:
    """An event around one payload, with a new id and the present time. A TaskEvent's kind follows its outcome."""
    event = event_pb2.Event(id=uuid7(), agent_id=agent_id, correlation_id=correlation_id, causation_id=causation_id)
    event.occurred_at.GetCurrentTime()
    if isinstance(payload, event_pb2.TaskEvent):
        success = payload.outcome == event_pb2.OUTCOME_SUCCESS
        (event.task_succeeded if success else event.task_failed).CopyFrom(payload)
    else:
        getattr(event, _FIELD_OF[payload.DESCRIPTOR.full_name]).CopyFrom(payload)
    return event


def event_type(event: event_pb2.Event) -> "event_pb2.EventType.ValueType":
    """The kind of an event: the number of its payload's field."""
    field = event.WhichOneof("payload")
    return event_pb2.Event.DESCRIPTOR.fields_by_name[field].number if field else 0  # type: ignore[return-value]


def payload_of(event: event_pb2.Event) -> Any:
    """The event's payload."""
    field = event.WhichOneof("payload")
    return getattr(event, field) if field else None


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker takes events."""

    max_in_flight: int = 16
    lease_s: float = 30.0
    at: "event_service_pb2.StartAt.ValueType" = event_service_pb2.START_AT_EARLIEST


DEFAULT_OPTIONS = WorkerOptions()


class EventWorker:
    """Works through a group's events: one handler call an event, acknowledged when it returns, rejected when it raises.

    Handlers may be called again for the same event (after a crash, or when a lease passed), so they must be
    idempotent. One handler's exception stops no other. The lease of a slow handler is extended while it runs.

    The worker that joined last decides which kinds the group takes. An event of a kind that this worker has no handler
    for is another's, so it is not acknowledged: it is rejected, to come again after UNHANDLED_RETRY_S. Each time is one
    of its five tries, since Consume has no other way to give it back.

    Raises TypeError for a handler that is no `async def`.
    """

    def __init__(
        self,
        stub: "EventServiceAsyncStub",
        group: str,
        handlers: dict["event_pb2.EventType.ValueType", Handler],
        options: WorkerOptions = DEFAULT_OPTIONS,
        metadata: Metadata = (),
    ) -> None:
        self._stub = stub
        for handler in handlers.values():
            _require_async(handler)
        self._group = group
        self._handlers = handlers
        self._options = options
        self._metadata = metadata
        self._joined = False

    async def run(self) -> None:
        """Work for ever, through reconnections. Raises AioRpcError where joining can never succeed."""
        waits_s = pauses_s()
        while True:
            self._joined = False
            try:
                await self._work_once()
            except grpc.aio.AioRpcError as error:
                if error.code() in _NEVER:
                    raise
                log.info("%s: the event stream ended (%s); joining again", self._group, error.code().name)
            except TimeoutError:
                log.info("%s: the gateway does not answer; asking again", self._group)
            if self._joined:
                waits_s = pauses_s()
            await asyncio.sleep(next(waits_s))

    async def _work_once(self) -> None:
        outgoing: Outgoing = asyncio.Queue()
        outgoing.put_nowait(self._start())
        running: dict[str, asyncio.Task[None]] = {}
        call = self._stub.Consume(_drain(outgoing), metadata=self._metadata, wait_for_ready=True)
        extender = asyncio.ensure_future(self._extend(running, outgoing))
        try:
            async with asyncio.timeout(JOIN_S):
                await call.initial_metadata()
            self._joined = not call.done()
            async for response in call:
                for delivery in response.deliveries:
                    task = asyncio.ensure_future(self._handle(delivery, outgoing))
                    running[delivery.delivery_id] = task
                    task.add_done_callback(partial(_forget, running, delivery.delivery_id))
        finally:
            call.cancel()
            await ended(extender, *running.values())
            # A call that the other end ended leaves the reader of its requests waiting for ever.
            outgoing.put_nowait(None)

    def _start(self) -> event_service_pb2.ConsumeRequest:
        request = event_service_pb2.ConsumeRequest()
        start = request.start
        start.group, start.max_in_flight, start.at = self._group, self._options.max_in_flight, self._options.at
        start.lease.FromMilliseconds(int(self._options.lease_s * 1000))
        start.filter.types.extend(self._handlers)
        return request

    async def _handle(self, delivery: event_service_pb2.Delivery, outgoing: "Outgoing") -> None:
        settlement = event_service_pb2.ConsumeRequest()
        try:
            with processing(delivery.event, self._group):
                await self._handler_of(delivery.event)(delivery.event)
            settlement.acknowledge.delivery_ids.append(delivery.delivery_id)
        except Exception as error:
            if isinstance(error, _Unhandled):
                settlement.reject.retry_after.FromMilliseconds(int(UNHANDLED_RETRY_S * 1000))
            self._tell_failure(delivery, error)
            settlement.reject.delivery_id = delivery.delivery_id
            settlement.reject.error = _told(error)
        outgoing.put_nowait(settlement)

    def _handler_of(self, event: event_pb2.Event) -> Handler:
        handler = self._handlers.get(event_type(event))
        if handler is None:
            kind = event.WhichOneof("payload") or "a later version"
            raise _Unhandled(f"a worker of the group has no handler for events of the kind {kind}")
        return handler

    def _tell_failure(self, delivery: event_service_pb2.Delivery, error: Exception) -> None:
        event, trace_id = delivery.event, trace_id_of(delivery.event)
        log.warning(
            "%s: event %s%s failed at try %d: %s",
            self._group,
            event.id,
            f" of trace {trace_id}" if trace_id else "",
            delivery.attempt,
            # It may quote what agents wrote.
            visible(_told(error)),
            # For formatters that have fields, as the services' own. What is current here is not the event's trace.
            extra={"trace_id": trace_id, "tenant": event.tenant_id},
        )

    async def _extend(self, running: dict[str, "asyncio.Task[None]"], outgoing: "Outgoing") -> None:
        while True:
            await asyncio.sleep(self._options.lease_s / 3)
            if running:
                request = event_service_pb2.ConsumeRequest()
                request.extend.delivery_ids.extend(running)
                outgoing.put_nowait(request)


class _Unhandled(LookupError):
    """An event of a kind that another worker of the group asked for."""


def _require_async(handler: Handler) -> None:
    written = inspect.unwrap(handler)
    if not inspect.iscoroutinefunction(written) and not inspect.iscoroutinefunction(type(written).__call__):
        name = getattr(handler, "__qualname__", repr(handler))
        raise TypeError(f"the event handler {name} is no coroutine function: define it by `async def`")


def _told(error: Exception) -> str:
    """What failed, in words that every reader takes; of a group, each of its errors."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(_told(each) for each in error.exceptions)[:MOST_ERROR_CHARACTERS]
    try:
        words = str(error)
    except Exception:
        words = "(its message cannot be made)"
    told = f"{type(error).__name__}: {words}".replace("\0", "")[:MOST_ERROR_CHARACTERS]
    return told.encode(errors="replace").decode()


def _forget(running: dict[str, "asyncio.Task[None]"], key: str, _: "asyncio.Task[None]") -> None:
    running.pop(key, None)


async def _drain(queue: "Outgoing") -> AsyncIterator[event_service_pb2.ConsumeRequest]:
    while (request := await queue.get()) is not None:
        yield request


_RESUMED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)


async def follow(
    stub: "EventServiceAsyncStub", request: event_service_pb2.SubscribeRequest, metadata: Metadata = ()
) -> AsyncGenerator[event_service_pb2.SubscribeResponse]:
    """The answers of a subscription, resumed after the last one wherever it breaks off: none is missed or repeated.

    It breaks off when a gateway stops, when the stream gets old, and when its answers are read too slowly. Raises
    AioRpcError for any other reason, and when the first answer does not come at all.
    """
    wanted = event_service_pb2.SubscribeRequest()
    wanted.CopyFrom(request)
    waits_s = pauses_s()
    begun = False
    while True:
        call = stub.Subscribe(wanted, metadata=metadata)
        try:
            async for answer in call:
                begun, waits_s = True, pauses_s()
                if answer.head_cursor:
                    wanted.after_cursor = answer.head_cursor
                yield answer
        except grpc.aio.AioRpcError as error:
            if not begun or error.code() not in _RESUMED:
                raise
            log.info("the subscription ended (%s); resuming", error.code().name)
        finally:
            call.cancel()
        await asyncio.sleep(next(waits_s))


class EventBus:
    """Event hooks for a program of the user's: decorate handlers, then `run` with a client's event stub.

    Example:
        bus = EventBus(group="pager")

        @bus.on_task_fail
        async def page(event: Event) -> None: ...

    All programs of one group have handlers for the same kinds: see EventWorker. One that is to have others is another
    group. Each way to register a handler raises TypeError for one that is no `async def`.
    """

    def __init__(self, group: str) -> None:
        self._group = group
        self._handlers: dict[event_pb2.EventType.ValueType, list[Handler]] = {}

    def on(self, *types: "event_pb2.EventType.ValueType") -> Callable[[Handler], Handler]:
        """Call the handler for events of these kinds."""

        def register(handler: Handler) -> Handler:
            _require_async(handler)
            for each in types:
                self._handlers.setdefault(each, []).append(handler)
            return handler

        return register

    def on_task_fail(self, handler: Handler) -> Handler:
        """Call the handler for failed tasks."""
        return self.on(event_pb2.EVENT_TYPE_TASK_FAILED)(handler)

    def on_task_success(self, handler: Handler) -> Handler:
        """Call the handler for tasks that succeeded."""
        return self.on(event_pb2.EVENT_TYPE_TASK_SUCCEEDED)(handler)

    def on_skill_execution(self, handler: Handler) -> Handler:
        """Call the handler for runs of skills."""
        return self.on(event_pb2.EVENT_TYPE_SKILL_EXECUTED)(handler)

    async def run(
        self,
        stub: "EventServiceAsyncStub",
        options: WorkerOptions = DEFAULT_OPTIONS,
        metadata: Metadata = (),
    ) -> None:
        """Consume for ever as this bus's group. Raises ValueError for a bus without handlers."""
        if not self._handlers:
            # A worker that names no kinds is given all of them.
            raise ValueError(f"the bus of the group {self._group!r} has no handlers")
        handlers = {each: _all_of(hooked) for each, hooked in self._handlers.items()}
        await EventWorker(stub, self._group, handlers, options, metadata).run()


def _all_of(handlers: Iterable[Handler]) -> Handler:
    async def call_each(event: event_pb2.Event) -> None:
        results = await asyncio.gather(*(_call(handler, event) for handler in handlers), return_exceptions=True)  # noqa: TID251 -- each handler has its turn
        errors = [_as_failure(result) for result in results if isinstance(result, BaseException)]
        if errors:
            # Every handler had its turn; the event comes again for those that failed.
            raise ExceptionGroup("event handlers failed", errors)

    return call_each


async def _call(handler: Handler, event: event_pb2.Event) -> None:
    """Call the handler, all of whose errors are this call's: also one before it is waited for."""
    await handler(event)


def _as_failure(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    # A handler that waits for what somebody cancelled ends as if it had been cancelled itself.
    failure = RuntimeError(f"a handler ended by {type(error).__name__}")
    failure.__cause__ = error
    return failure


@contextlib.asynccontextmanager
async def working(worker: EventWorker) -> AsyncIterator[None]:
    """Run a worker beside the block."""
    task = asyncio.ensure_future(worker.run())
    try:
        yield
    finally:
        await ended(task)
