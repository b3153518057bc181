"""Has the fitness service score and compare versions of a skill, each a workflow variant there."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev_runtime.clients import ask
from autodev_runtime.errors import FailedPrecondition
from autodev_runtime.identity import acting_as, current_tenant, service_identity
from autodev_runtime.request_ids import REUSED
from autodev_runtime.structs import struct_from

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub


MOST_TOP = 100


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
class Origin:
    """How a workflow was made of another: the edit, in words what it did, the seed, and where it took steps from."""

    edit: str
    detail: str
    seed: int
    mate_variant_id: str


@dataclass(frozen=True, slots=True)
class Cause:
    """What the fitness service's events belong to, and the event that led to them: empty for a caller's wish."""

    correlation_id: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A version's or a workflow's score, in [0, 1], whether it has been scored at all, and what it is."""

    id: str
    fitness: float
    evaluated: bool
    parent_id: str = ""
    definition: Mapping[str, Any] = field(default_factory=dict)
    fitness_function: str = ""
    origin: Origin | None = None


class FitnessClient:
    """Acts as the current identity. Every method raises NotFound for a variant that is not there, and Unavailable."""

    def __init__(self, stub: "FitnessServiceAsyncStub") -> None:
        self._stub = stub

    async def create(
        self,
        request_id: str,
        agent_id: str,
        definition: Mapping[str, Any],
        parent_variant_id: str = "",
        fitness_function: str = "",
        origin: Origin | None = None,
    ) -> Variant:
        """Make a variant. The same request id again gives the first, whatever is asked of it now."""
        request = pb.CreateVariantRequest(
            request_id=request_id,
            agent_id=agent_id,
            parent_variant_id=parent_variant_id,
            fitness_function=fitness_function,
            origin=pb.VariantOrigin(**asdict(origin)) if origin is not None else None,
        )
        request.workflow_definition.update(dict(definition))
        try:
            return _variant((await _ask_as_learning(self._stub.CreateVariant, request)).variant)
        except FailedPrecondition as error:
            if error.reason != REUSED or (first := await self.made_by(request_id)) is None:
                raise
            return first

    async def get(self, variant_id: str) -> Variant:
        """Get a variant."""
        return _variant((await ask(self._stub.GetVariant, pb.GetVariantRequest(variant_id=variant_id))).variant)

    async def made_by(self, request_id: str) -> Variant | None:
        """The variant that a request made."""
        request = pb.ListVariantsRequest(request_id=request_id)
        found = (await _ask_as_learning(self._stub.ListVariants, request)).variants
        return _variant(found[0]) if found else None

    async def relatives(self, variant_id: str) -> list[Variant]:
        """The variant's ancestors, itself first, and the tenant's fittest variants."""
        line = await ask(self._stub.GetLineage, pb.GetLineageRequest(variant_id=variant_id))
        best = await ask(self._stub.ListTopVariants, pb.ListTopVariantsRequest(limit=MOST_TOP))
        return [_variant(each) for each in (*line.variants, *best.variants)]

    async def evaluate(self, variant_id: str, run: FirstRun, cause: Cause) -> Variant:
        """Score a variant by its first run. Again: the score is replaced."""
        signals = pb.ProxySignals(
            syntax_error=not run.parses, execution_success=run.succeeded, user_approved=run.approved
        )
        request = pb.EvaluateInitialProxyRequest(
            variant_id=variant_id, signals=signals, correlation_id=cause.correlation_id, causation_id=cause.event_id
        )
        return _variant((await ask(self._stub.EvaluateInitialProxy, request)).variant)

    async def compare(
        self, mutation_id: str, variant_id: str, baseline_variant_id: str, runs: tuple[Runs, Runs], cause: Cause
    ) -> Comparison:
        """Compare a mutation's variant with its parent's by their `runs`, in this order. Again: the first answer."""
        request = pb.CompareVariantsRequest(
            request_id=f"{mutation_id}:{baseline_variant_id}",
            variant_id=variant_id,
            baseline_variant_id=baseline_variant_id,
            variant_runs=_measurements(runs[0]),
            baseline_runs=_measurements(runs[1]),
            mutation_id=mutation_id,
            correlation_id=cause.correlation_id,
            causation_id=cause.event_id,
        )
        answer = await _ask_as_learning(self._stub.CompareVariants, request)
        return Comparison(
            answer.time_ratio,
            answer.time_ratio_low,
            answer.time_ratio_high,
            answer.fitness_delta,
            answer.wins,
            answer.explanation,
        )


async def _ask_as_learning(call: Any, request: Any) -> Any:
    """A caller's own requests are kept apart from these, whose ids it can guess."""
    with acting_as(service_identity("learning", current_tenant())):
        return await ask(call, request)


def _measurements(runs: Runs) -> pb.RunMeasurements:
    seconds: Sequence[float] = runs.seconds
    return pb.RunMeasurements(run_seconds=seconds, correct=runs.correct, total=runs.total)


def _variant(message: pb.WorkflowVariant) -> Variant:
    origin = message.origin
    return Variant(
        message.id,
        message.fitness_score,
        message.evaluation_status == pb.EVALUATION_STATUS_EVALUATED,
        message.parent_variant_id,
        struct_from(message.workflow_definition),
        message.fitness_function,
        Origin(origin.edit, origin.detail, origin.seed, origin.mate_variant_id) if message.HasField("origin") else None,
    )
