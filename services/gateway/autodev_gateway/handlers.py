"""Event handlers of the user's own that are gRPC services: each a consumer group of the gateway's own."""

import asyncio
import logging
import time
from typing import Any

import grpc

from autodev.extension.v1 import event_handler_service_pb2 as pb
from autodev.extension.v1.event_handler_service_pb2_grpc import EventHandlerServiceStub
from autodev.gateway.v1 import event_pb2
from autodev_gateway import wire
from autodev_gateway.event_log import Filter
from autodev_gateway.groups.groups import Groups, JoinOptions
from autodev_gateway.groups.runner import LEASE_S, MAX_IN_FLIGHT, MESSAGE_BYTES, Delivery, GroupRunner, Worker
from autodev_gateway.groups.store import GroupKey
from autodev_runtime.errors import AutoDevError, FailedPrecondition
from autodev_runtime.extensions.remote import Extension
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.tracing import trace_from, tracing_as
from autodev_sdk.ending import ended
from autodev_sdk.events import event_type

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 5.0
RETRY_S = 1.0
MOST_ERROR_CHARACTERS = 4000


class RemoteHandlers:
    """Gives one extension its events. `patience_s`: how long an event waits for one that is away before that counts as
    one of its tries."""

    def __init__(self, groups: Groups, extension: Extension, patience_s: float) -> None:
        stub = EventHandlerServiceStub(extension.channel)
        self._groups = groups
        self._extension = extension
        self._patience_s = patience_s
        self._key = GroupKey(ALL_TENANTS, f"extension.{extension.name}")
        self._rpcs: dict[int, tuple[Any, Any]] = {
            event_pb2.EVENT_TYPE_TASK_FAILED: (stub.OnTaskFail, pb.OnTaskFailRequest),
            event_pb2.EVENT_TYPE_TASK_SUCCEEDED: (stub.OnTaskSuccess, pb.OnTaskSuccessRequest),
            event_pb2.EVENT_TYPE_SKILL_EXECUTED: (stub.OnSkillExecution, pb.OnSkillExecutionRequest),
        }

    async def run(self) -> None:
        """Work for ever; at another gateway's turn, wait for one's own."""
        while True:
            try:
                await self._work()
            except AutoDevError as error:
                log.debug("%s: %s", self._key.name, error.message)
            except Exception:
                # Publishing must not suffer from a handler, whatever it was.
                log.exception("%s: its events could not be given to it", self._key.name)
            await asyncio.sleep(RETRY_S)

    async def _work(self) -> None:
        wanted = JoinOptions(Filter(frozenset(self._rpcs), frozenset(), frozenset()), from_now=True)
        group = await self._groups.join(self._key, wanted)
        tasks: set[asyncio.Task[None]] = set()
        with group.worker(MAX_IN_FLIGHT, LEASE_S) as worker:
            try:
                while True:
                    worker.wake.clear()
                    group.check()
                    for delivery in group.take(worker, MESSAGE_BYTES):
                        task = asyncio.create_task(self._settle(group, worker, delivery))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                    await _woken(worker)
            finally:
                await ended(*tasks)

    async def _settle(self, group: GroupRunner, worker: Worker, delivery: Delivery) -> None:
        event = event_pb2.Event.FromString(wire.unsized(delivery.record.sized))
        asking = asyncio.create_task(self._handled(event))
        try:
            while not asking.done():
                await asyncio.wait([asking], timeout=LEASE_S / 3)
                group.extend(worker, [delivery.lease.delivery_id])
            asking.result()
            group.acknowledge(worker, [delivery.lease.delivery_id])
        except Exception as error:
            told = error.message if isinstance(error, AutoDevError) else f"{type(error).__name__}: {error}"
            group.reject(worker, delivery.lease.delivery_id, told[:MOST_ERROR_CHARACTERS], None)
        finally:
            await ended(asking)

    async def _handled(self, event: event_pb2.Event) -> None:
        """Give the event to the extension. Raises AutoDevError when it is not handled."""
        rpc, request = self._rpcs[event_type(event)]
        give_up_s = time.monotonic() + self._patience_s
        with tracing_as(trace_from(event.traceparent)):
            while True:
                try:
                    await self._extension.ask(rpc, request(event=event))
                    return
                except FailedPrecondition as error:
                    if error.metadata.get("code") != grpc.StatusCode.UNIMPLEMENTED.name:
                        raise
                    # It does not want events of this kind.
                    return
                except AutoDevError:
                    if time.monotonic() > give_up_s:
                        raise
                await asyncio.sleep(RETRY_S)


async def _woken(worker: Worker) -> None:
    try:
        async with asyncio.timeout(LOOK_AGAIN_S):
            await worker.wake.wait()
    except TimeoutError:
        return
