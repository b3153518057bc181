"""Has the fitness service score and compare versions of a skill, each a workflow variant there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev_runtime.clients import ask

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What a version's first run showed."""

    parses: bool
    succeeded: bool
    approved: bool = False


@dataclass(frozen=True, slots=True)
class Runs:
    """The measured runs of one side: seconds a run, and how many of the inputs it got right."""

    seconds: tuple[float, ...]
    correct: int
    total: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a variant did against its baseline: its time, as a ratio and the interval of that, and its fitness."""

    time_ratio: float
    time_ratio_low: float
    time_ratio_high: float
    fitness_delta: float
    wins: bool
    explanation: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A version's score, in [0, 1], and whether it has been scored at all."""

    id: str
    fitness: float
    evaluated: bool


class FitnessClient:
    """Acts as the current identity. Every method raises NotFound for a variant that is not there, and Unavailable."""

    def __init__(self, stub: "FitnessServiceAsyncStub") -> None:
        self._stub = stub

    async def create(
        self, request_id: str, agent_id: str, definition: Mapping[str, Any], parent_variant_id: str = ""
    ) -> Variant:
        """Make a variant. The same request id again gives the first."""
        request = pb.CreateVariantRequest(request_id=request_id, agent_id=agent_id, parent_variant_id=parent_variant_id)
        request.workflow_definition.update(dict(definition))
        return _variant((await ask(self._stub.CreateVariant, request)).variant)

    async def get(self, variant_id: str) -> Variant:
        """Get a variant."""
        return _variant((await ask(self._stub.GetVariant, pb.GetVariantRequest(variant_id=variant_id))).variant)

    async def evaluate(self, variant_id: str, run: FirstRun) -> Variant:
        """Score a variant by its first run. Again: the score is replaced."""
        signals = pb.ProxySignals(
            syntax_error=not run.parses, execution_success=run.succeeded, user_approved=run.approved
        )
        request = pb.EvaluateInitialProxyRequest(variant_id=variant_id, signals=signals)
        return _variant((await ask(self._stub.EvaluateInitialProxy, request)).variant)

    async def compare(
        self, mutation_id: str, variant_id: str, baseline_variant_id: str, runs: Runs, baseline: Runs
    ) -> Comparison:
        """Compare a mutation's variant with its parent's by their runs. Again: the first answer."""
        request = pb.CompareVariantsRequest(
            request_id=f"{mutation_id}:{baseline_variant_id}",
            variant_id=variant_id,
            baseline_variant_id=baseline_variant_id,
            variant_runs=_measurements(runs),
            baseline_runs=_measurements(baseline),
            mutation_id=mutation_id,
        )
        answer = await ask(self._stub.CompareVariants, request)
        return Comparison(
            answer.time_ratio,
            answer.time_ratio_low,
            answer.time_ratio_high,
            answer.fitness_delta,
            answer.wins,
            answer.explanation,
        )


def _measurements(runs: Runs) -> pb.RunMeasurements:
    seconds: Sequence[float] = runs.seconds
    return pb.RunMeasurements(run_seconds=seconds, correct=runs.correct, total=runs.total)


def _variant(message: pb.WorkflowVariant) -> Variant:
    return Variant(message.id, message.fitness_score, message.evaluation_status == pb.EVALUATION_STATUS_EVALUATED)
