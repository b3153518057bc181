"""The fitness service's parts on a real database, with a clock that the test moves."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from google.protobuf.struct_pb2 import Struct
from sqlalchemy import select

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev.fitness.v1.fitness_service_pb2_grpc import add_FitnessServiceServicer_to_server
from autodev.gateway.v1.event_pb2 import Event
from autodev_fitness.comparison import ComparisonRules
from autodev_fitness.fitness import Fitness, FitnessRules
from autodev_fitness.functions import FitnessFunctions, stated_versions
from autodev_fitness.listener import Listener
from autodev_fitness.recalculation import Recalculation
from autodev_fitness.rows import OutboxRow
from autodev_fitness.servicer import FitnessServicer
from autodev_fitness.store import FitnessStore
from autodev_fitness.weights import Weights, WeightsInUse
from autodev_fitness.weights_store import WeightsStore
from autodev_runtime.database import Database
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_runtime.server import Served
from autodev_sdk.extensions import FitnessFunction
from tests.clock import Clock
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub

MOST_SIGNALS = 20
BATCH_ROWS = 3
DEFAULT_WEIGHTS = Weights()
OWN_FUNCTION = FitnessFunction("acme.cost", "a function of the user's own", lambda signals: 0.9, "7")
BROKEN_FUNCTION = FitnessFunction("acme.broken", "raises", lambda signals: 1 / 0)


@dataclass
class Parts:
    """One replica of the service."""

    database: Database
    fitness: Fitness
    listener: Listener
    recalculation: Recalculation

    @property
    def served(self) -> Served:
        """The service, for a server."""
        servicer = FitnessServicer(self.fitness)
        return Served(
            "autodev.fitness.v1.FitnessService",
            lambda server: add_FitnessServiceServicer_to_server(servicer, server),
        )

    async def events(self) -> list[Event]:
        """What waits in the outbox, oldest first."""
        async with self.database.across_tenants() as session:
            rows = await session.scalars(select(OutboxRow.event).order_by(OutboxRow.position))
            return [Event.FromString(row) for row in rows]


@contextlib.asynccontextmanager
async def made(
    storage: Storage,
    clock: Clock,
    weights: Weights = DEFAULT_WEIGHTS,
    own: Sequence[FitnessFunction] = (OWN_FUNCTION, BROKEN_FUNCTION),
) -> AsyncIterator[Parts]:
    """The parts on the service's database, started with these weights and functions."""
    weights = replace(weights, functions=stated_versions(own))
    async with storage.open("fitness") as database:
        await upgrade(database, "autodev_fitness")
        store = WeightsStore(database)
        in_use = WeightsInUse(weights, store, clock)
        await in_use.start()
        functions = FitnessFunctions(weights.proxy, weights.measured, own)
        rules = FitnessRules(functions, in_use, ComparisonRules(), MOST_SIGNALS)
        fitness = Fitness(FitnessStore(database, Outbox(database, OutboxRow)), rules, clock)
        yield Parts(database, fitness, Listener(fitness), Recalculation(fitness, in_use, store, BATCH_ROWS))


def workflow(**fields: Any) -> Struct:
    """A workflow definition."""
    struct = Struct()
    struct.update(fields or {"steps": [{"tool": "search"}, 2, None, True]})
    return struct


async def create(
    stub: "FitnessServiceAsyncStub", request_id: str = "r", parent: str = "", function: str = "", agent_id: str = "ada"
) -> pb.WorkflowVariant:
    """A new variant."""
    request = pb.CreateVariantRequest(
        request_id=request_id,
        parent_variant_id=parent,
        agent_id=agent_id,
        workflow_definition=workflow(),
        fitness_function=function,
    )
    return (await stub.CreateVariant(request)).variant


async def evaluate(
    stub: "FitnessServiceAsyncStub", variant_id: str, signals: pb.ProxySignals | None = None
) -> pb.WorkflowVariant:
    """Score a first run: one that succeeded unless said otherwise."""
    shown = signals if signals is not None else pb.ProxySignals(execution_success=True)
    request = pb.EvaluateInitialProxyRequest(variant_id=variant_id, signals=shown)
    return (await stub.EvaluateInitialProxy(request)).variant


async def signal(
    stub: "FitnessServiceAsyncStub", variant_id: str, *signals: pb.ExternalSignal
) -> pb.EvaluateDelayedWebhookResponse:
    """Deliver signals."""
    return await stub.EvaluateDelayedWebhook(pb.EvaluateDelayedWebhookRequest(variant_id=variant_id, signals=signals))
