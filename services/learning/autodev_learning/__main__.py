"""The learning service: settings, database, peers, rules, servicers, event workers, server."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from autodev.learning.v1.advisor_service_pb2_grpc import add_AdvisorServiceServicer_to_server
from autodev.learning.v1.evolver_service_pb2_grpc import add_EvolverServiceServicer_to_server
from autodev.learning.v1.memento_service_pb2_grpc import add_MementoServiceServicer_to_server
from autodev.learning.v1.reflection_service_pb2_grpc import add_ReflectionServiceServicer_to_server
from autodev.learning.v1.review_service_pb2_grpc import add_ReviewServiceServicer_to_server
from autodev.learning.v1.skill_service_pb2_grpc import add_SkillServiceServicer_to_server
from autodev_learning.advising import ModelAdvisor
from autodev_learning.evolution.canary import Canaries, MutationPromoter, Trials
from autodev_learning.evolution.canary_rule import TrialRule
from autodev_learning.evolution.consumers import evolution_workers
from autodev_learning.evolution.generation import Generation
from autodev_learning.evolution.judging import Judge
from autodev_learning.evolution.laboratory import Laboratory, LaboratoryLimits
from autodev_learning.evolution.mutation_runs import MutationRuns
from autodev_learning.evolution.opportunities import Evolution, TriggerLimits
from autodev_learning.evolution.proving import MutationProver
from autodev_learning.evolution.research import Research, ResearchLimits
from autodev_learning.evolution.rewriting import RewriteLimits, Rewriter
from autodev_learning.evolution.steps import Steps
from autodev_learning.evolution.timing import RunBounds, Timer
from autodev_learning.forgetting import PERIOD_S, forget_old
from autodev_learning.memento.consumers import memento_workers
from autodev_learning.memento.memento import MaterialLimits, Memento
from autodev_learning.memento.proposing import ProposalLimits, Workshop
from autodev_learning.memento.reflection import PatternRule, Reflection
from autodev_learning.memento.validation import Validation
from autodev_learning.peers.capabilities import Capabilities
from autodev_learning.peers.channels import SERVICE, Peers
from autodev_learning.peers.fitness import FitnessClient
from autodev_learning.peers.sandbox import Sandbox
from autodev_learning.proof.prover import ProofLimits, Prover
from autodev_learning.proposers import Budget
from autodev_learning.proposers.llm import llm_makers
from autodev_learning.proposers.llm.spending import Purse
from autodev_learning.proposers.remote import engine_makers
from autodev_learning.rows import OutboxRow
from autodev_learning.servicers.advisor import AdvisorServicer
from autodev_learning.servicers.evolver import EvolverServicer
from autodev_learning.servicers.memento import MementoServicer
from autodev_learning.servicers.reflection import ReflectionServicer
from autodev_learning.servicers.reviews import ReviewServicer
from autodev_learning.servicers.skills import SkillServicer
from autodev_learning.settings import LearningSettings
from autodev_learning.skills.packages.archive import ArchiveBounds
from autodev_learning.skills.packages.exchange import Exchange, signer_from, trusted_from
from autodev_learning.skills.promotion import CandidatePromoter, Promoter, Promotion
from autodev_learning.skills.registry import Skills
from autodev_learning.skills.reviews import Reviews, SubjectKind
from autodev_learning.skills.runs import SkillRunner
from autodev_learning.store.advisor import AdvisorStore
from autodev_learning.store.candidates import CandidateStore
from autodev_learning.store.episodes import EpisodeStore
from autodev_learning.store.evolution import EvolutionStore
from autodev_learning.store.experiments import ExperimentStore
from autodev_learning.store.mutations import MutationStore
from autodev_learning.store.past import Past
from autodev_learning.store.reindexing import Reindexing
from autodev_learning.store.reviews import ReviewStore
from autodev_learning.store.runs import RunStore
from autodev_learning.store.skills import SkillStore
from autodev_learning.store.spending import SpendingStore
from autodev_learning.store.suites import SuiteStore
from autodev_learning.store.trials import TrialStore
from autodev_learning.workflows.spawning import Spawning
from autodev_runtime.columns import now
from autodev_runtime.database import Database
from autodev_runtime.extensions.remote import Extension, extensions_of
from autodev_runtime.mesh import publisher
from autodev_runtime.mesh_tls import mesh_tls
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_runtime.periodic import periodically
from autodev_runtime.server import Endpoint, Served, serve
from autodev_runtime.starting import run

PACKAGE = "autodev.learning.v1"


class Stores:
    """The service's tables, each read and written by one of these."""

    def __init__(self, database: Database, outbox: Outbox, settings: LearningSettings) -> None:
        self.episodes = EpisodeStore(database, outbox)
        self.reindexing = Reindexing(database)
        self.past = Past(database)
        self.candidates = CandidateStore(database, outbox)
        self.skills = SkillStore(database, outbox)
        self.suites = SuiteStore(database)
        self.reviews = ReviewStore(database, outbox)
        self.runs = RunStore(database, outbox)
        self.recorded = EvolutionStore(database, outbox, settings.recorded_inputs)
        self.mutations = MutationStore(database, outbox)
        self.trials = TrialStore(database)
        self.experiments = ExperimentStore(database, outbox, settings.max_experiments_per_tenant)
        self.advised = AdvisorStore(database)
        self.spending = SpendingStore(database, settings.llm_limit)


@dataclass(frozen=True)
class Shared:
    """What both loops work with."""

    settings: LearningSettings
    stores: Stores
    peers: Peers
    sandbox: Sandbox
    capabilities: Capabilities
    workshop: Workshop
    proof: ProofLimits
    prover: MutationProver
    trials: Trials


@dataclass(frozen=True)
class Part:
    """What a part of the service answers, and what it does by itself."""

    served: Sequence[Served]
    background: Sequence[Callable[[], Awaitable[None]]] = ()
    on_drain: Callable[[], None] | None = None


async def main() -> None:
    settings = LearningSettings.of_environment()
    settings.begin_logging(SERVICE)
    async with (
        Database(settings.database_url_for(SERVICE), settings.database_options(SERVICE)) as database,
        mesh_tls(SERVICE, settings) as tls,
        Peers(settings, tls) as peers,
        extensions_of(settings) as extensions,
    ):
        await upgrade(database, "autodev_learning")
        outbox = Outbox(database, OutboxRow)
        shared = _shared(settings, Stores(database, outbox, settings), peers, extensions)
        evolution = _evolution(shared)
        parts = [_memento(shared), _skills(shared), evolution, _advisor(shared)]
        served = [each for part in parts for each in part.served]
        await serve(
            SERVICE,
            settings,
            [Endpoint(settings.address, served, door=tls.door(), on_drain=evolution.on_drain)],
            ready=[database.ready, peers.ready],
            background=[
                partial(outbox.relay, publisher(peers.gateway, SERVICE)),
                *(work for part in parts for work in part.background),
            ],
        )


def _shared(settings: LearningSettings, stores: Stores, peers: Peers, extensions: Mapping[str, Extension]) -> Shared:
    sandbox = Sandbox(peers.sandbox)
    capabilities = Capabilities(peers.capability, hold=timedelta(seconds=settings.patience_s + 600))
    budget = Budget(settings.proposal_seconds, settings.proposal_programs)
    makers = llm_makers(settings.llm_choices(), stores.spending) | engine_makers(extensions, settings.proposal_seconds)
    proposals = ProposalLimits(settings.max_proposals, budget, settings.trial_seconds)
    proof = ProofLimits(settings.generated_inputs, settings.generated_seconds, settings.validation_seconds)
    trial = TrialRule(
        settings.canary_good_runs, settings.canary_most_runs, settings.canary_error, settings.canary_margin
    )
    return Shared(
        settings,
        stores,
        peers,
        sandbox,
        capabilities,
        Workshop(sandbox.execute, proposals, makers),
        proof,
        MutationProver(stores.skills, stores.suites, Prover(sandbox.execute, proof)),
        Trials(stores.trials, trial),
    )


def _memento(shared: Shared) -> Part:
    """Failures to patterns, to candidates, to reviews, to skills."""
    settings, stores = shared.settings, shared.stores
    material = MaterialLimits(settings.max_failing_programs, settings.max_cases)
    memento = Memento(
        stores.episodes, stores.candidates, shared.capabilities, shared.workshop, material, settings.patience_s
    )
    validation = Validation(
        stores.candidates, stores.episodes, shared.sandbox, settings.validation_seconds, shared.proof
    )
    promoter = CandidatePromoter(stores.skills)
    promoters: dict[SubjectKind, Promoter] = {
        SubjectKind.CANDIDATE: promoter,
        SubjectKind.MUTATION: MutationPromoter(
            stores.mutations, shared.prover, shared.capabilities, settings.canary_share
        ),
    }
    rule = PatternRule(settings.pattern_threshold, settings.pattern_window)
    workers = memento_workers(
        shared.peers.gateway,
        Reflection(stores.episodes, shared.capabilities, rule),
        memento,
        validation,
        Promotion(promoters),
        proposals_at_a_time=settings.max_proposals,
        patience_s=settings.patience_s,
    )
    reflection_servicer = ReflectionServicer(stores.episodes)
    proposers = shared.workshop.proposers()
    memento_servicer = MementoServicer(memento, validation, promoter, stores.candidates, proposers)
    return Part(
        [
            Served(
                f"{PACKAGE}.ReflectionService", partial(add_ReflectionServiceServicer_to_server, reflection_servicer)
            ),
            Served(f"{PACKAGE}.MementoService", partial(add_MementoServiceServicer_to_server, memento_servicer)),
        ],
        [
            stores.reindexing.run,
            partial(_forgetting, stores.past, settings.keep_days),
            *(worker.run for worker in workers),
        ],
    )


async def _forgetting(past: Past, keep_days: int | None) -> None:
    if keep_days is not None:
        await periodically(
            lambda: forget_old(past, keep_days, now()), PERIOD_S, "old episodes and runs are there still"
        )


def _skills(shared: Shared) -> Part:
    """What was promoted is run, reviewed, and goes in and out as packages."""
    settings, stores = shared.settings, shared.stores
    runner = SkillRunner(stores.skills, stores.runs, shared.sandbox, settings.canary_share)
    exchange = Exchange(
        stores.skills,
        stores.candidates,
        signer_from(settings.skill_signing_key_file),
        trusted_from(settings.skill_trusted_keys_file),
        ArchiveBounds(),
    )
    skill_servicer = SkillServicer(Skills(stores.skills), runner, stores.suites, shared.trials, exchange)
    review_servicer = ReviewServicer(Reviews(stores.reviews))
    return Part(
        [
            Served(f"{PACKAGE}.SkillService", partial(add_SkillServiceServicer_to_server, skill_servicer)),
            Served(f"{PACKAGE}.ReviewService", partial(add_ReviewServiceServicer_to_server, review_servicer)),
        ]
    )


def _evolution(shared: Shared) -> Part:
    """Runs to opportunities, to mutations, to comparisons, to the next version; and research experiments."""
    settings, stores, capabilities = shared.settings, shared.stores, shared.capabilities
    mutations, skills, recorded = stores.mutations, stores.skills, stores.recorded
    call_seconds = settings.mutation_call_seconds
    fitness, timer = FitnessClient(shared.peers.fitness), Timer(shared.sandbox.execute)

    canaries = Canaries(mutations, skills, stores.suites, shared.trials, shared.prover, capabilities)
    triggers = TriggerLimits(settings.slow_run_seconds, settings.dear_run_tokens)
    evolution = Evolution(recorded, capabilities, canaries, triggers)
    rewriting = RewriteLimits(settings.mutation_candidates, settings.mutation_seconds, call_seconds)
    rewriter = Rewriter(timer, shared.workshop, rewriting)
    generation = Generation(mutations, recorded, skills, capabilities, rewriter)
    bounds = RunBounds(settings.comparison_rounds, budget_s=settings.comparison_seconds, seconds_per_call=call_seconds)
    runs = MutationRuns(mutations, recorded, skills, timer, bounds, shared.prover)
    judge = Judge(mutations, skills, capabilities, fitness, runs, settings.canary_share)
    research = _research(shared, generation, runs, judge)

    spawning = Spawning(fitness, capabilities)
    evolver_servicer = EvolverServicer(
        evolution, generation, runs, judge, research, fitness, spawning, recorded, mutations, settings.experiment_batch
    )
    workers = evolution_workers(
        shared.peers.gateway, evolution, generation, runs, judge, research, patience_s=settings.patience_s
    )
    return Part(
        [Served(f"{PACKAGE}.EvolverService", partial(add_EvolverServiceServicer_to_server, evolver_servicer))],
        [research.run, *(worker.run for worker in workers)],
        research.drain,
    )


def _research(shared: Shared, generation: Generation, runs: MutationRuns, judge: Judge) -> Research:
    settings, stores, sandbox = shared.settings, shared.stores, shared.sandbox
    laboratory = Laboratory(
        sandbox.execute,
        sandbox.execute_each,
        shared.workshop,
        stores.recorded,
        stores.skills,
        shared.capabilities,
        LaboratoryLimits(settings.experiment_sandboxes, settings.trial_seconds, settings.mutation_call_seconds),
    )
    return Research(
        stores.experiments,
        stores.mutations,
        stores.skills,
        stores.advised,
        shared.capabilities,
        Steps(stores.experiments, stores.skills, laboratory, generation, runs, judge),
        judge,
        ResearchLimits(settings.max_experiments, settings.experiment_programs, settings.experiment_code_bytes),
    )


def _advisor(shared: Shared) -> Part:
    settings, stores = shared.settings, shared.stores
    choice, model = settings.llm_choice(), None
    if choice is not None:
        purse, workspace = Purse.of(stores.spending), shared.capabilities.workspace
        model = ModelAdvisor(choice, purse, workspace, settings.llm_max_guidance)
    advisor_servicer = AdvisorServicer(stores.advised, Skills(stores.skills), model)
    return Part([Served(f"{PACKAGE}.AdvisorService", partial(add_AdvisorServiceServicer_to_server, advisor_servicer))])


if __name__ == "__main__":
    run(main)
