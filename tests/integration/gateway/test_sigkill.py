"""A gateway killed while it appends: what it acknowledged is there when it starts again, once, and in order."""

import asyncio
import itertools

import grpc
import pytest

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_sdk import AutoDevClient, EventWorker
from autodev_sdk.events import Handler, working
from tests.integration.gateway.parts import failed, publish, read, until
from tests.mesh import Mesh, eventually
from tests.storage import EVERY_LOG, Storage

pytestmark = EVERY_LOG

PUBLISHERS = 8
ACKNOWLEDGED_BEFORE_KILL = 400
EVENTS_A_CALL = 5


class Publishers:
    """Publish without end, and note what was acknowledged; repeat a call that was not."""

    def __init__(self, client: AutoDevClient) -> None:
        self._client = client
        self._numbers = itertools.count()
        self.acknowledged: dict[str, str] = {}
        self.stopped = False

    async def run(self) -> None:
        await asyncio.gather(*(self._publish() for _ in range(PUBLISHERS)))

    async def _publish(self) -> None:
        while not self.stopped:
            events = [failed(next(self._numbers)) for _ in range(EVENTS_A_CALL)]
            cursors = await eventually(lambda events=events: self._acknowledged(events), "an acknowledgement")  # type: ignore[misc]
            self.acknowledged |= {event.id: cursor for event, cursor in zip(events, cursors, strict=True)}

    async def _acknowledged(self, events: list[event_pb2.Event]) -> list[str]:
        try:
            return await publish(self._client, events)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return []
            raise


@pytest.mark.parametrize("kills", [3])
async def test_every_acknowledged_event_survives_sigkill_once_and_in_order(storage: Storage, kills: int) -> None:
    async with (
        Mesh(storage.directory, settings=storage.settings, services=("gateway",)) as mesh,
        mesh.client() as client,
    ):
        publishers = Publishers(client)
        running = asyncio.create_task(publishers.run())
        for _ in range(kills):
            goal = len(publishers.acknowledged) + ACKNOWLEDGED_BEFORE_KILL
            await until(lambda goal=goal: len(publishers.acknowledged) >= goal, "events are acknowledged")  # type: ignore[misc]
            mesh.kill("gateway")
            await mesh.start("gateway")
        publishers.stopped = True
        await running
        stored = await read(client, len(publishers.acknowledged), at=pb.START_AT_EARLIEST, max_batch_events=1024)
    assert {event.id: event.cursor for event in stored} == publishers.acknowledged
    cursors = [event.cursor for event in stored]
    assert cursors == sorted(set(cursors))


async def test_a_group_misses_nothing_when_the_gateway_is_killed(storage: Storage) -> None:
    async with (
        Mesh(storage.directory, settings=storage.settings, services=("gateway",)) as mesh,
        mesh.client() as client,
    ):
        handled: set[str] = set()

        async def handle(event: event_pb2.Event) -> None:
            handled.add(event.id)

        handlers: dict[event_pb2.EventType.ValueType, Handler] = {event_pb2.EVENT_TYPE_TASK_FAILED: handle}
        publishers = Publishers(client)
        async with working(EventWorker(client.events, "group", handlers)):
            running = asyncio.create_task(publishers.run())
            for goal in (200, 400):
                await until(lambda goal=goal: len(handled) >= goal, "events are handled")  # type: ignore[misc]
                mesh.kill("gateway")
                await mesh.start("gateway")
            publishers.stopped = True
            await running
            await until(lambda: handled >= publishers.acknowledged.keys(), "all that was acknowledged is handled")
        letters = await client.events.ListDeadLetters(pb.ListDeadLettersRequest(group="group"))
        assert not letters.dead_letters
