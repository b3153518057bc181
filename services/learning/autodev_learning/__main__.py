"""The learning service: settings, database, peers, rules, servicers, event workers, server."""

import asyncio
from functools import partial

from autodev_learning.peers import SERVICE, Peers
from autodev_learning.rows import OutboxRow
from autodev_learning.settings import LearningSettings
from autodev_runtime.database import Database
from autodev_runtime.mesh import publisher
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_runtime.server import Endpoint, Served, serve
from autodev_runtime.telemetry import configure_logging
from autodev_sdk.events import EventWorker


async def main() -> None:
    settings = LearningSettings()
    configure_logging(SERVICE, settings.log_level, settings.log_format)
    async with Database(settings.database_url_for(SERVICE)) as database, Peers(settings) as peers:
        await upgrade(database, "autodev_learning")
        outbox = Outbox(database, OutboxRow)
        served: list[Served] = []
        workers: list[EventWorker] = []
        await serve(
            SERVICE,
            settings,
            [Endpoint(f"{settings.host}:{settings.port}", served)],
            ready=[database.ready, peers.ready],
            background=[
                partial(outbox.relay, publisher(peers.gateway, SERVICE)),
                *(worker.run for worker in workers),
            ],
        )


if __name__ == "__main__":
    asyncio.run(main())
