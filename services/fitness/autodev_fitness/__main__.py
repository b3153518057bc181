"""Runs the fitness service: `python -m autodev_fitness`."""

from autodev.fitness.v1.fitness_service_pb2_grpc import add_FitnessServiceServicer_to_server
from autodev_fitness.fitness import Fitness, FitnessRules
from autodev_fitness.functions import FitnessFunctions, installed_functions, remote_functions, stated_versions
from autodev_fitness.listener import GROUP, Listener
from autodev_fitness.recalculation import Recalculation
from autodev_fitness.rows import OutboxRow
from autodev_fitness.servicer import FitnessServicer
from autodev_fitness.settings import FitnessSettings
from autodev_fitness.store import FitnessStore
from autodev_fitness.weights import Weights, WeightsInUse
from autodev_fitness.weights_store import WeightsStore
from autodev_runtime.clients import channels_ready, peer_channel
from autodev_runtime.columns import now
from autodev_runtime.database import Database
from autodev_runtime.extensions.remote import extensions_of
from autodev_runtime.mesh import publisher, worker
from autodev_runtime.mesh_tls import mesh_tls
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_runtime.server import Endpoint, Served, serve
from autodev_runtime.starting import run

NAME = "fitness"
SLACK_S = 1.0


async def main() -> None:
    settings = FitnessSettings.of_environment()
    settings.begin_logging(NAME)
    async with (
        Database(settings.database_url_for(NAME), settings.database_options(NAME)) as database,
        mesh_tls(NAME, settings) as tls,
        peer_channel(tls, "gateway", settings.gateway_address, settings.max_message_bytes) as gateway,
        extensions_of(settings) as extensions,
    ):
        await upgrade(database, "autodev_fitness")
        outbox = Outbox(database, OutboxRow)
        weights_store = WeightsStore(database)
        own, broken = installed_functions(taken=extensions)
        own += remote_functions(extensions, settings.extension_versions)
        stated = Weights(
            settings.proxy_weights, settings.measured_weights, settings.signal_weights, stated_versions(own)
        )
        weights = WeightsInUse(stated, weights_store, now)
        await weights.start()
        rules = FitnessRules(
            FitnessFunctions(
                settings.proxy_weights,
                settings.measured_weights,
                own,
                broken,
                # A gRPC service's own timeout ends it first, and counts as its failure.
                settings.extension_timeout_s + SLACK_S,
            ),
            weights,
            settings.comparison,
            settings.most_signals,
        )
        fitness = Fitness(FitnessStore(database, outbox), rules, now)
        recalculation = Recalculation(fitness, weights, weights_store, settings.recalculation_batch_rows)
        servicer = FitnessServicer(fitness)
        events = worker(gateway, NAME, GROUP, Listener(fitness).handlers)
        await serve(
            NAME,
            settings,
            [
                Endpoint(
                    settings.address,
                    [
                        Served(
                            "autodev.fitness.v1.FitnessService",
                            lambda server: add_FitnessServiceServicer_to_server(servicer, server),
                        )
                    ],
                    door=tls.door(),
                )
            ],
            ready=[database.ready, lambda: channels_ready([gateway])],
            background=[lambda: outbox.relay(publisher(gateway, NAME)), events.run, recalculation.run],
        )


if __name__ == "__main__":
    run(main)
