"""EvolverService."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from autodev.learning.v1 import evolver_service_pb2 as pb
from autodev.learning.v1.evolver_service_pb2_grpc import EvolverServiceServicer
from autodev_learning.evolution.announcements import TRIGGERS
from autodev_learning.evolution.generation import Generation
from autodev_learning.evolution.judging import Judge
from autodev_learning.evolution.mutation_runs import MutationRuns
from autodev_learning.evolution.mutations import Mutation, Outcome, SandboxStatus
from autodev_learning.evolution.opportunities import Evolution, Opportunity
from autodev_learning.evolution.research import Research
from autodev_learning.peers.fitness import FitnessClient, Variant
from autodev_learning.servicers.experiments import experiment_to_proto, program_to_proto, wanted_from
from autodev_learning.servicers.messages import (
    OVERFIT,
    example_result_to_proto,
    generated_to_proto,
    key_of,
    moment_to_proto,
    provenance_to_proto,
)
from autodev_learning.workflows.spawning import Spawning
from autodev_runtime.errors import InvalidArgument
from autodev_runtime.identity import Role, require_role
from autodev_runtime.paging import fitting, page_of, page_size
from autodev_runtime.structs import struct_from

if TYPE_CHECKING:
    from autodev_learning.store.evolution import EvolutionStore
    from autodev_learning.store.mutations import MutationStore

STATUSES = {status: pb.SandboxStatus.Value(f"SANDBOX_STATUS_{status.name}") for status in SandboxStatus}
STATUSES_BACK = {number: status for status, number in STATUSES.items()}
OUTCOMES: dict[Outcome, pb.MutationOutcome.ValueType] = {
    outcome: pb.MutationOutcome.Value(f"MUTATION_OUTCOME_{outcome.name}")
    for outcome in Outcome
    if outcome is not Outcome.OPEN
}


class EvolverServicer(EvolverServiceServicer):
    """One step of the loop a call, or a whole experiment."""

    def __init__(
        self,
        evolution: Evolution,
        generation: Generation,
        runs: MutationRuns,
        judge: Judge,
        research: Research,
        fitness: FitnessClient,
        spawning: Spawning,
        opportunities: "EvolutionStore",
        mutations: "MutationStore",
        experiment_batch: int,
    ) -> None:
        self._evolution = evolution
        self._generation = generation
        self._runs = runs
        self._judge = judge
        self._research = research
        self._fitness = fitness
        self._spawning = spawning
        self._opportunities = opportunities
        self._mutations = mutations
        self._experiment_batch = experiment_batch

    async def ListOpportunities(
        self, request: pb.ListOpportunitiesRequest, context: Any
    ) -> pb.ListOpportunitiesResponse:
        size = page_size(request.page_size)
        found = await self._opportunities.page(size + 1, key_of(request.page_token))
        page, token = page_of(found, size, opportunity_to_proto, lambda last: [last.id])
        return pb.ListOpportunitiesResponse(opportunities=page, next_page_token=token)

    async def StartOptimization(
        self, request: pb.StartOptimizationRequest, context: Any
    ) -> pb.StartOptimizationResponse:
        started_by = require_role(Role.REVIEWER).subject
        opportunity = await self._evolution.start(request.opportunity_id, started_by)
        return pb.StartOptimizationResponse(opportunity=opportunity_to_proto(opportunity))

    async def GenerateToolMutation(
        self, request: pb.GenerateToolMutationRequest, context: Any
    ) -> pb.GenerateToolMutationResponse:
        mutation = await self._generation.on_request(request.request_id, request.skill_id, request.agent_id)
        return pb.GenerateToolMutationResponse(mutation=mutation_to_proto(mutation))

    async def SandboxExecuteMutation(
        self, request: pb.SandboxExecuteMutationRequest, context: Any
    ) -> pb.SandboxExecuteMutationResponse:
        mutation = await self._runs.execute(request.mutation_id, "")
        return pb.SandboxExecuteMutationResponse(mutation=mutation_to_proto(mutation))

    async def SpawnWorkflowVariant(
        self, request: pb.SpawnWorkflowVariantRequest, context: Any
    ) -> pb.SpawnWorkflowVariantResponse:
        match request.WhichOneof("source"):
            case "mutation_id":
                mutation = await self._mutations.get(request.mutation_id)
                parent_id = await self._judge.parent_variant_id(mutation)
                if request.parent_variant_id not in ("", parent_id):
                    raise InvalidArgument.field(
                        "parent_variant_id", f"is not the variant that the mutation was made from, {parent_id}"
                    )
                made = await self._fitness.get(await self._judge.spawn(mutation))
            case "workflow_definition":
                definition = struct_from(request.workflow_definition)
                made = await self._spawning.workflow(
                    request.request_id, request.agent_id, definition, request.parent_variant_id
                )
            case "workflow_mutation":
                if request.parent_variant_id:
                    raise InvalidArgument.field("parent_variant_id", "is workflow_mutation.variant_id here")
                asked = request.workflow_mutation
                made = await self._spawning.mutated(
                    request.request_id,
                    request.agent_id,
                    asked.variant_id,
                    asked.mate_variant_id,
                    asked.edit,
                    asked.seed,
                )
            case _:
                sources = "mutation_id, workflow_definition and workflow_mutation"
                raise InvalidArgument.field("source", f"one of {sources} is required")
        return spawned_to_proto(made)

    async def RunResearchExperiment(
        self, request: pb.RunResearchExperimentRequest, context: Any
    ) -> AsyncIterator[pb.RunResearchExperimentResponse]:
        experiment = await self._research.start(request.request_id, wanted_from(request, self._experiment_batch))
        async for seen in self._research.follow(experiment.id):
            yield pb.RunResearchExperimentResponse(experiment=experiment_to_proto(seen))

    async def WatchExperiment(
        self, request: pb.WatchExperimentRequest, context: Any
    ) -> AsyncIterator[pb.WatchExperimentResponse]:
        async for seen in self._research.follow(request.experiment_id):
            yield pb.WatchExperimentResponse(experiment=experiment_to_proto(seen))

    async def GetExperiment(self, request: pb.GetExperimentRequest, context: Any) -> pb.GetExperimentResponse:
        experiment = await self._research.get(request.experiment_id)
        made = await self._research.made(experiment.id)
        response = pb.GetExperimentResponse(
            experiment=experiment_to_proto(experiment),
            front=fitting([program_to_proto(each, experiment) for each in made.front]),
            operators=[
                pb.OperatorRecord(name=name, tried=tried, evaluated=ran)
                for name, (tried, ran) in sorted(made.operators.items())
            ],
        )
        if made.best is not None:
            response.best.CopyFrom(program_to_proto(made.best, experiment))
        return response

    async def ListExperiments(self, request: pb.ListExperimentsRequest, context: Any) -> pb.ListExperimentsResponse:
        size = page_size(request.page_size)
        found = await self._research.page(size + 1, key_of(request.page_token))
        page, token = page_of(found, size, experiment_to_proto, lambda last: [last.id])
        return pb.ListExperimentsResponse(experiments=page, next_page_token=token)

    async def CancelExperiment(self, request: pb.CancelExperimentRequest, context: Any) -> pb.CancelExperimentResponse:
        experiment = await self._research.cancel(request.experiment_id)
        return pb.CancelExperimentResponse(experiment=experiment_to_proto(experiment))

    async def GetMutation(self, request: pb.GetMutationRequest, context: Any) -> pb.GetMutationResponse:
        return pb.GetMutationResponse(mutation=mutation_to_proto(await self._mutations.get(request.mutation_id)))

    async def ListMutations(self, request: pb.ListMutationsRequest, context: Any) -> pb.ListMutationsResponse:
        size = page_size(request.page_size)
        status = STATUSES_BACK.get(request.sandbox_status)
        found = await self._mutations.page(request.skill_id, status, size + 1, key_of(request.page_token))
        page, token = page_of(found, size, mutation_to_proto, lambda last: [last.id])
        return pb.ListMutationsResponse(mutations=page, next_page_token=token)


def opportunity_to_proto(opportunity: Opportunity) -> pb.Opportunity:
    return pb.Opportunity(
        id=opportunity.id,
        skill_id=opportunity.skill_id,
        skill_name=opportunity.skill_name,
        agent_id=opportunity.agent_id,
        trigger=TRIGGERS[opportunity.trigger],
        execution_id=opportunity.execution_id,
        started_by=opportunity.started_by,
        mutation_id=opportunity.mutation_id,
        created_at=moment_to_proto(opportunity.created_at),
        skipped_reason=opportunity.skipped_reason,
    )


def mutation_to_proto(mutation: Mutation) -> pb.ToolMutation:
    return pb.ToolMutation(
        id=mutation.id,
        parent_tool_id=mutation.parent_tool_id,
        tool_name=mutation.skill_name,
        mutated_code=mutation.code,
        sandbox_status=STATUSES[mutation.status],
        execution_error=mutation.execution_error,
        created_at=moment_to_proto(mutation.created_at),
        provenance=provenance_to_proto(mutation.provenance),
        skill_id=mutation.skill_id,
        agent_id=mutation.agent_id,
        variant_id=mutation.variant_id or "",
        time_ratio=mutation.time_ratio,
        time_ratio_low=mutation.time_ratio_low,
        time_ratio_high=mutation.time_ratio_high,
        fitness_delta=mutation.fitness_delta,
        outcome=OUTCOMES.get(mutation.outcome, pb.MUTATION_OUTCOME_UNSPECIFIED),
        review_id=mutation.review_id or "",
        examples=[example_result_to_proto(each) for each in mutation.examples],
        outcome_reason=mutation.outcome_reason,
        generated=generated_to_proto(mutation.generated),
        overfit=OVERFIT[mutation.overfit],
    )


def spawned_to_proto(made: Variant) -> pb.SpawnWorkflowVariantResponse:
    """A variant as the one who has it made sees it."""
    message = pb.SpawnWorkflowVariantResponse(
        variant_id=made.id,
        parent_variant_id=made.parent_id,
        edit=made.origin.edit if made.origin is not None else "",
        detail=made.origin.detail if made.origin is not None else "",
    )
    message.workflow_definition.update(dict(made.definition))
    return message
