"""The learning service: settings, database, peers, rules, servicers, event workers, server."""

import asyncio
from datetime import timedelta
from functools import partial

from autodev.learning.v1.advisor_service_pb2_grpc import add_AdvisorServiceServicer_to_server
from autodev.learning.v1.evolver_service_pb2_grpc import add_EvolverServiceServicer_to_server
from autodev.learning.v1.memento_service_pb2_grpc import add_MementoServiceServicer_to_server
from autodev.learning.v1.reflection_service_pb2_grpc import add_ReflectionServiceServicer_to_server
from autodev.learning.v1.review_service_pb2_grpc import add_ReviewServiceServicer_to_server
from autodev.learning.v1.skill_service_pb2_grpc import add_SkillServiceServicer_to_server
from autodev_learning.advising import Advisor
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
from autodev_learning.store.reviews import ReviewStore
from autodev_learning.store.runs import RunStore
from autodev_learning.store.skills import SkillStore
from autodev_learning.store.spending import SpendingStore
from autodev_learning.store.suites import SuiteStore
from autodev_learning.store.trials import TrialStore
from autodev_learning.workflows.spawning import Spawning
from autodev_runtime.database import Database
from autodev_runtime.extensions.remote import extensions_of
from autodev_runtime.mesh import publisher
from autodev_runtime.mesh_tls import mesh_tls
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_runtime.server import Endpoint, Served, serve
from autodev_runtime.telemetry import configure_logging

PACKAGE = "autodev.learning.v1"


async def main() -> None:
    settings = LearningSettings.of_environment()
    configure_logging(SERVICE, settings.log_level, settings.log_format)
    async with (
        Database(settings.database_url_for(SERVICE), settings.database_options(SERVICE)) as database,
        mesh_tls(SERVICE, settings) as tls,
        Peers(settings, tls) as peers,
        extensions_of(settings) as extensions,
    ):
        await upgrade(database, "autodev_learning")
        outbox = Outbox(database, OutboxRow)
        sandbox = Sandbox(peers.sandbox)
        capabilities = Capabilities(peers.capability, hold=timedelta(seconds=settings.patience_s + 600))

        # Memento: failures to patterns, to candidates, to reviews, to skills.
        episodes, candidates = EpisodeStore(database, outbox), CandidateStore(database, outbox)
        skills, suites = SkillStore(database, outbox), SuiteStore(database)
        reviews = Reviews(ReviewStore(database, outbox))
        runner = SkillRunner(skills, RunStore(database, outbox), sandbox, settings.canary_share)
        spending = SpendingStore(database, settings.llm_limit)
        workshop = Workshop(
            sandbox.execute,
            ProposalLimits(
                settings.max_proposals,
                Budget(settings.proposal_seconds, settings.proposal_programs),
                settings.trial_seconds,
            ),
            llm_makers(settings.llm_choice(), spending) | engine_makers(extensions, settings.proposal_seconds),
        )
        material = MaterialLimits(settings.max_failing_programs, settings.max_cases)
        memento = Memento(episodes, candidates, capabilities, workshop, material, settings.patience_s)
        proof = ProofLimits(settings.generated_inputs, settings.generated_seconds, settings.validation_seconds)
        validation = Validation(candidates, episodes, sandbox, settings.validation_seconds, proof)
        promoter = CandidatePromoter(skills)
        mutations = MutationStore(database, outbox)
        prover = MutationProver(skills, suites, Prover(sandbox.execute, proof))
        promoters: dict[SubjectKind, Promoter] = {
            SubjectKind.CANDIDATE: promoter,
            SubjectKind.MUTATION: MutationPromoter(mutations, prover),
        }
        workers = memento_workers(
            peers.gateway,
            Reflection(episodes, capabilities, PatternRule(settings.pattern_threshold, settings.pattern_window)),
            memento,
            validation,
            Promotion(promoters),
            proposals_at_a_time=settings.max_proposals,
            patience_s=settings.patience_s,
        )

        # Evolution: runs to opportunities, to mutations, to comparisons, to the next version.
        recorded, advised = EvolutionStore(database, outbox, settings.recorded_inputs), AdvisorStore(database)
        fitness, timer = FitnessClient(peers.fitness), Timer(sandbox.execute)
        rule = TrialRule(
            settings.canary_good_runs, settings.canary_most_runs, settings.canary_error, settings.canary_margin
        )
        trials = Trials(TrialStore(database), rule)
        canaries = Canaries(mutations, skills, suites, trials, prover, capabilities)
        triggers = TriggerLimits(settings.slow_run_seconds, settings.dear_run_tokens)
        evolution = Evolution(recorded, capabilities, canaries, triggers)
        rewriting = RewriteLimits(
            settings.mutation_candidates, settings.mutation_seconds, settings.mutation_call_seconds
        )
        generation = Generation(mutations, recorded, skills, capabilities, Rewriter(timer, workshop, rewriting))
        bounds = RunBounds(
            settings.comparison_rounds,
            budget_s=settings.comparison_seconds,
            seconds_per_call=settings.mutation_call_seconds,
        )
        runs = MutationRuns(mutations, recorded, skills, timer, bounds, prover)
        judge = Judge(mutations, skills, capabilities, fitness, runs, settings.canary_share)
        experiments = ExperimentStore(database, outbox)
        laboratory = Laboratory(
            sandbox.execute,
            sandbox.execute_each,
            workshop,
            recorded,
            skills,
            capabilities,
            LaboratoryLimits(settings.experiment_sandboxes, settings.trial_seconds, settings.mutation_call_seconds),
        )
        research = Research(
            experiments,
            mutations,
            skills,
            advised,
            capabilities,
            Steps(experiments, skills, laboratory, generation, runs, judge),
            judge,
            ResearchLimits(settings.max_experiments, settings.experiment_programs),
        )
        workers += evolution_workers(
            peers.gateway,
            evolution,
            generation,
            runs,
            judge,
            research,
            patience_s=settings.patience_s,
        )

        exchange = Exchange(
            skills,
            candidates,
            signer_from(settings.skill_signing_key_file),
            trusted_from(settings.skill_trusted_keys_file),
            ArchiveBounds(),
        )
        reflection_servicer = ReflectionServicer(episodes)
        memento_servicer = MementoServicer(memento, validation, promoter, candidates)
        skill_servicer = SkillServicer(Skills(skills), runner, suites, trials, exchange)
        review_servicer = ReviewServicer(reviews)
        evolver_servicer = EvolverServicer(
            evolution,
            generation,
            runs,
            judge,
            research,
            fitness,
            Spawning(fitness, capabilities),
            recorded,
            mutations,
            settings.experiment_batch,
        )
        advisor_servicer = AdvisorServicer(advised, Skills(skills), Advisor(settings.llm_choice(), Purse.of(spending)))
        served = [
            Served(
                f"{PACKAGE}.ReflectionService", partial(add_ReflectionServiceServicer_to_server, reflection_servicer)
            ),
            Served(f"{PACKAGE}.MementoService", partial(add_MementoServiceServicer_to_server, memento_servicer)),
            Served(f"{PACKAGE}.SkillService", partial(add_SkillServiceServicer_to_server, skill_servicer)),
            Served(f"{PACKAGE}.ReviewService", partial(add_ReviewServiceServicer_to_server, review_servicer)),
            Served(f"{PACKAGE}.EvolverService", partial(add_EvolverServiceServicer_to_server, evolver_servicer)),
            Served(f"{PACKAGE}.AdvisorService", partial(add_AdvisorServiceServicer_to_server, advisor_servicer)),
        ]

        await serve(
            SERVICE,
            settings,
            [Endpoint(settings.address, served, door=tls.door())],
            ready=[database.ready, peers.ready],
            background=[
                partial(outbox.relay, publisher(peers.gateway, SERVICE)),
                research.run,
                *(worker.run for worker in workers),
            ],
        )


if __name__ == "__main__":
    asyncio.run(main())
