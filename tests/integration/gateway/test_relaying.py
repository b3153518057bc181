"""A service's outbox, relayed to a real gateway."""

import asyncio
from collections.abc import Sequence

from sqlalchemy.orm import DeclarativeBase

from autodev.gateway.v1 import event_pb2
from autodev_runtime import outbox
from autodev_runtime.clients import peer_channel
from autodev_runtime.mesh import publisher
from autodev_runtime.mesh_tls import MeshTls
from autodev_sdk import make_event
from autodev_sdk.ending import ended
from tests.integration.gateway.parts import PATIENCE_S, Running
from tests.storage import Storage

LARGE = "e" * 64_000
EVENTS = 160
"""All together more than a message holds."""


class Base(DeclarativeBase):
    """Base of the test's table."""


class OutboxRow(outbox.OutboxRow, Base):
    """Events written and not yet published."""


async def test_more_than_a_message_holds_is_relayed_in_several(storage: Storage, gateway: Running) -> None:
    events = [make_event(event_pb2.GuidanceIssued(guidance=LARGE)) for _ in range(EVENTS)]
    async with (
        storage.holding(Base.metadata) as database,
        peer_channel(MeshTls("learning"), "gateway", gateway.internal_address) as channel,
    ):
        written = outbox.Outbox(database, OutboxRow)
        async with database.session("acme") as session:
            written.add(session, *events)
        taken: asyncio.Queue[int] = asyncio.Queue()
        append = publisher(channel, "learning")

        async def publish(events: Sequence[event_pb2.Event]) -> None:
            await append(events)
            taken.put_nowait(len(events))

        relaying = asyncio.create_task(written.relay(publish))
        left = EVENTS
        async with asyncio.timeout(PATIENCE_S):
            while left:
                left -= await taken.get()
        await ended(relaying)
    assert [event.id for event in await storage.events()] == [event.id for event in events]
