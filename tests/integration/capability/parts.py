"""The capability service's parts on a real database, with a clock that the test moves."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import add_CapabilityServiceServicer_to_server
from autodev.gateway.v1.event_pb2 import Event
from autodev_capability.checks import NO_CUSTOM_GATES, Checks
from autodev_capability.custom import CustomGates
from autodev_capability.listener import Listener
from autodev_capability.maturity import GraduationRules
from autodev_capability.reservations import Reservations
from autodev_capability.servicer import CapabilityServicer
from autodev_capability.snapshots import Snapshots
from autodev_capability.standing import Standing
from autodev_capability.store import CapabilityStore
from autodev_capability.store.rows import OutboxRow
from autodev_capability.workspaces import Workspaces
from autodev_runtime.database import Database
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_runtime.server import Served
from tests.clock import Clock
from tests.storage import Storage


@dataclass
class Parts:
    """One replica of the service."""

    database: Database
    clock: Clock
    checks: Checks
    reservations: Reservations
    standing: Standing
    workspaces: Workspaces
    listener: Listener

    @property
    def served(self) -> Served:
        """The service, for a server."""
        servicer = CapabilityServicer(self.checks, self.reservations, self.standing, self.workspaces)
        return Served(
            "autodev.capability.v1.CapabilityService",
            lambda server: add_CapabilityServiceServicer_to_server(servicer, server),
        )

    async def events(self) -> list[Event]:
        """What waits in the outbox, oldest first."""
        async with self.database.across_tenants() as session:
            rows = await session.scalars(select(OutboxRow.event).order_by(OutboxRow.position))
            return [Event.FromString(row) for row in rows]


KEEP_DAYS = 30


@contextlib.asynccontextmanager
async def replica(
    storage: Storage, clock: Clock, custom: CustomGates = NO_CUSTOM_GATES, **database_options: Any
) -> AsyncIterator[Parts]:
    """A replica on the service's database."""
    async with storage.open("capability", **database_options) as database:
        await upgrade(database, "autodev_capability")
        snapshots = Snapshots(timedelta(seconds=1), clock)
        store = CapabilityStore(database, Outbox(database, OutboxRow), snapshots.drop, custom.gates())
        standing = Standing(store, GraduationRules(), clock)
        yield Parts(
            database,
            clock,
            Checks(store, snapshots, clock, custom),
            Reservations(store, clock),
            standing,
            Workspaces(store),
            Listener(standing, KEEP_DAYS, clock),
        )


def settings_on(mutations: int = 10, candidates: int = 5) -> pb.WorkspaceSettings:
    """Settings with everything on."""
    return pb.WorkspaceSettings(
        enabled=True,
        memento_skills=True,
        alpha_evolver=True,
        background_evolution=True,
        max_mutations_per_day=mutations,
        max_skill_candidates_per_day=candidates,
    )
