"""The engine that the settings choose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autodev_gateway.event_log.engine import Engine, WrongLog
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.settings import EventLogEngine, GatewaySettings
from autodev_runtime.database import Database


@asynccontextmanager
async def engine_for(settings: GatewaySettings, database: Database) -> AsyncIterator[Engine]:
    """The event log's engine, open within the block. What it needs is imported only where it is chosen.

    Raises WrongLog, or what the engine finds unfit.
    """
    if settings.event_log is EventLogEngine.JETSTREAM:
        from autodev_gateway.event_log.jetstream.engine import opened

        async with opened(settings.nats_options, database) as engine:
            yield engine
    else:
        store = EventStore(database)
        newest = await store.newest()
        if newest is not None and not newest.stored:
            raise WrongLog("the database has rows of events that NATS keeps: set event_log to jetstream")
        yield store
