"""Runs the capability service: `python -m autodev_capability`."""

from datetime import timedelta

from autodev.capability.v1.capability_service_pb2_grpc import add_CapabilityServiceServicer_to_server
from autodev_capability.checks import Checks
from autodev_capability.custom import CustomGates, installed_gates, remote_gates
from autodev_capability.forgetting import PERIOD_S, forget_old
from autodev_capability.listener import GROUP, Listener
from autodev_capability.reservations import Reservations
from autodev_capability.servicer import CapabilityServicer
from autodev_capability.settings import CapabilitySettings
from autodev_capability.snapshots import Snapshots
from autodev_capability.standing import Standing
from autodev_capability.store import CapabilityStore
from autodev_capability.store.past_days import PastDays
from autodev_capability.store.rows import OutboxRow
from autodev_capability.workspaces import Workspaces
from autodev_runtime.clients import channels_ready, peer_channel
from autodev_runtime.columns import now
from autodev_runtime.database import Database
from autodev_runtime.extensions.remote import extensions_of
from autodev_runtime.mesh import publisher, worker
from autodev_runtime.mesh_tls import mesh_tls
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_runtime.periodic import periodically
from autodev_runtime.server import Endpoint, Served, serve
from autodev_runtime.starting import run

NAME = "capability"


async def main() -> None:
    settings = CapabilitySettings.of_environment()
    settings.begin_logging(NAME)
    async with (
        Database(settings.database_url_for(NAME), settings.database_options(NAME)) as database,
        mesh_tls(NAME, settings) as tls,
        peer_channel(tls, "gateway", settings.gateway_address, settings.max_message_bytes) as gateway,
        extensions_of(settings) as extensions,
    ):
        await upgrade(database, "autodev_capability")
        outbox = Outbox(database, OutboxRow)
        snapshots = Snapshots(timedelta(seconds=settings.snapshot_s), now)
        custom = CustomGates(
            [*installed_gates(), *remote_gates(extensions, settings.extension_levels)], settings.extension_timeout_s
        )
        store = CapabilityStore(database, outbox, snapshots.drop, custom.gates())
        standing = Standing(store, settings.graduation, now)
        servicer = CapabilityServicer(
            Checks(store, snapshots, now, custom), Reservations(store, now), standing, Workspaces(store)
        )
        past_days = PastDays(database)
        events = worker(gateway, NAME, GROUP, Listener(standing, settings.keep_days, now).handlers)
        await serve(
            NAME,
            settings,
            [
                Endpoint(
                    settings.address,
                    [
                        Served(
                            "autodev.capability.v1.CapabilityService",
                            lambda server: add_CapabilityServiceServicer_to_server(servicer, server),
                        )
                    ],
                    door=tls.door(),
                )
            ],
            ready=[database.ready, lambda: channels_ready([gateway])],
            background=[
                lambda: outbox.relay(publisher(gateway, NAME)),
                events.run,
                lambda: periodically(
                    lambda: forget_old(past_days, settings.keep_days, now()), PERIOD_S, "what is old is there still"
                ),
            ],
        )


if __name__ == "__main__":
    run(main)
