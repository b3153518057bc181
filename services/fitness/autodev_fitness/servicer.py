"""FitnessService: protobuf to domain and back."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceServicer
from autodev_fitness.comparison import Runs
from autodev_fitness.explained import comparison_to_proto, explanation_to_proto, signal_to_proto
from autodev_fitness.fitness import Approval, Fitness
from autodev_fitness.scoring import ExternalSignal, ProxySignals, SignalKind
from autodev_fitness.signal_ids import callers_id
from autodev_fitness.variants import Cause, Origin, Variant
from autodev_runtime.errors import FieldViolation, InvalidArgument
from autodev_runtime.identity import Role, current_identity, current_tenant
from autodev_runtime.paging import fitting, key_from, page_size, token_after
from autodev_runtime.request_ids import request_id

DEFAULT_TOP = 5


class FitnessServicer(FitnessServiceServicer):
    """See fitness_service.proto."""

    def __init__(self, fitness: Fitness) -> None:
        self._fitness = fitness

    async def CreateVariant(self, request: pb.CreateVariantRequest, context: Any) -> pb.CreateVariantResponse:
        variant = await self._fitness.create(
            current_tenant(),
            request_id(request.request_id),
            request.parent_variant_id,
            request.agent_id,
            MessageToDict(request.workflow_definition),
            request.fitness_function,
            _origin_from_proto(request.origin) if request.HasField("origin") else None,
        )
        return pb.CreateVariantResponse(variant=_variant_to_proto(variant))

    async def GetVariant(self, request: pb.GetVariantRequest, context: Any) -> pb.GetVariantResponse:
        variant = await self._fitness.variant(current_tenant(), request.variant_id)
        return pb.GetVariantResponse(variant=_variant_to_proto(variant))

    async def ListVariants(self, request: pb.ListVariantsRequest, context: Any) -> pb.ListVariantsResponse:
        size, key = page_size(request.page_size), key_from(request.page_token, str)
        before = str(key[0]) if key else ""
        made_by = request_id(request.request_id) if request.request_id else None
        listed = await self._fitness.variants(current_tenant(), request.agent_id, before, size, made_by)
        page = fitting([_variant_to_proto(variant) for variant in listed.variants])
        more = listed.more or len(listed.variants) > len(page)
        return pb.ListVariantsResponse(variants=page, next_page_token=token_after([page[-1].id]) if more else "")

    async def EvaluateInitialProxy(
        self, request: pb.EvaluateInitialProxyRequest, context: Any
    ) -> pb.EvaluateInitialProxyResponse:
        signals, identity = _proxy_from_proto(request.signals), current_identity()
        approval = Approval.AS_STATED if identity.roles & {Role.REVIEWER, Role.SERVICE} else Approval.AS_IT_IS
        variant = await self._fitness.evaluate_initial_proxy(
            identity.tenant, request.variant_id, signals, approval, _cause_of(request)
        )
        return pb.EvaluateInitialProxyResponse(variant=_variant_to_proto(variant))

    async def EvaluateDelayedWebhook(
        self, request: pb.EvaluateDelayedWebhookRequest, context: Any
    ) -> pb.EvaluateDelayedWebhookResponse:
        signals, identity = _signals_from_proto(request.signals), current_identity()
        if Role.SERVICE not in identity.roles:
            signals = [replace(signal, id=callers_id(signal.id)) for signal in signals]
        variant, accepted = await self._fitness.evaluate_delayed(identity.tenant, request.variant_id, signals)
        return pb.EvaluateDelayedWebhookResponse(variant=_variant_to_proto(variant), accepted=accepted)

    async def ListTopVariants(self, request: pb.ListTopVariantsRequest, context: Any) -> pb.ListTopVariantsResponse:
        variants = await self._fitness.top(current_tenant(), request.limit or DEFAULT_TOP)
        return pb.ListTopVariantsResponse(variants=fitting([_variant_to_proto(variant) for variant in variants]))

    async def GetLineage(self, request: pb.GetLineageRequest, context: Any) -> pb.GetLineageResponse:
        variants = await self._fitness.lineage(current_tenant(), request.variant_id)
        return pb.GetLineageResponse(variants=fitting([_variant_to_proto(variant) for variant in variants]))

    async def CompareVariants(self, request: pb.CompareVariantsRequest, context: Any) -> pb.CompareVariantsResponse:
        _check_runs(request)
        compared = await self._fitness.compare(
            current_tenant(),
            request_id(request.request_id),
            request.variant_id,
            request.baseline_variant_id,
            (_runs_from_proto(request.variant_runs), _runs_from_proto(request.baseline_runs)),
            request.mutation_id,
            _cause_of(request),
        )
        return pb.CompareVariantsResponse(
            time_ratio=compared.time_ratio,
            time_ratio_low=compared.time_ratio_low,
            time_ratio_high=compared.time_ratio_high,
            fitness_delta=compared.fitness_delta,
            wins=compared.wins,
            explanation=compared.explanation,
        )

    async def ExplainFitness(self, request: pb.ExplainFitnessRequest, context: Any) -> pb.ExplainFitnessResponse:
        size, key = page_size(request.page_size), key_from(request.page_token, int)
        # A variant's signals are only added to, so a place among them is a key.
        start = max(0, int(key[0])) if key else 0
        explained = await self._fitness.explain(current_tenant(), request.variant_id)
        return explanation_to_proto(explained, start, size)

    async def CompareScores(self, request: pb.CompareScoresRequest, context: Any) -> pb.CompareScoresResponse:
        compared, variant, other = await self._fitness.compare_scores(
            current_tenant(), request.variant_id, request.other_variant_id
        )
        return comparison_to_proto(compared, variant, other)

    async def ListFitnessFunctions(
        self, request: pb.ListFitnessFunctionsRequest, context: Any
    ) -> pb.ListFitnessFunctionsResponse:
        size, key = page_size(request.page_size), key_from(request.page_token, int)
        # The functions are fixed while the service runs, so a place in the list is a key.
        start = max(0, int(key[0])) if key else 0
        functions = self._fitness.functions()
        page = functions[start : start + size]
        return pb.ListFitnessFunctionsResponse(
            functions=[
                pb.FitnessFunction(name=each.name, description=each.description, version=each.version) for each in page
            ],
            next_page_token=token_after([start + size]) if start + size < len(functions) else "",
        )


def _cause_of(request: pb.EvaluateInitialProxyRequest | pb.CompareVariantsRequest) -> Cause:
    return Cause(request.causation_id, request.correlation_id)


def _proxy_from_proto(message: pb.ProxySignals) -> ProxySignals:
    return ProxySignals(
        message.syntax_error,
        message.execution_success,
        message.user_approved,
        MessageToDict(message.measurements),
    )


def _signals_from_proto(messages: Sequence[pb.ExternalSignal]) -> list[ExternalSignal]:
    violations: list[FieldViolation] = []
    signals = []
    for index, message in enumerate(messages):
        kind = message.WhichOneof("kind")
        if kind is None:
            violations.append(FieldViolation(f"signals[{index}].kind", "must say what happened: one of its fields"))
        elif getattr(message, kind) is False:
            violations.append(FieldViolation(f"signals[{index}].{kind}", "says that nothing happened; leave it out"))
        else:
            signals.append(_signal_from_proto(message, SignalKind(kind)))
    if violations:
        raise InvalidArgument(violations)
    return signals


def _signal_from_proto(message: pb.ExternalSignal, kind: SignalKind) -> ExternalSignal:
    occurred_at = message.occurred_at.ToDatetime(UTC) if message.HasField("occurred_at") else None
    return ExternalSignal(message.id, kind, message.conversion_value, occurred_at)


def _check_runs(request: pb.CompareVariantsRequest) -> None:
    ours, theirs = request.variant_runs, request.baseline_runs
    violations = []
    if len(ours.run_seconds) != len(theirs.run_seconds):
        violations.append(FieldViolation("variant_runs.run_seconds", "are not as many as the baseline's"))
    if ours.total != theirs.total:
        violations.append(FieldViolation("variant_runs.total", "is not the baseline's: both run the same inputs"))
    for name, runs in (("variant_runs", ours), ("baseline_runs", theirs)):
        if runs.correct > runs.total:
            violations.append(FieldViolation(f"{name}.correct", "is more than the total"))
    if violations:
        raise InvalidArgument(violations)


def _origin_from_proto(message: pb.VariantOrigin) -> Origin:
    return Origin(message.edit, message.detail, message.seed, message.mate_variant_id)


def _runs_from_proto(message: pb.RunMeasurements) -> Runs:
    return Runs(tuple(message.run_seconds), message.correct, message.total, message.tokens)


def _variant_to_proto(variant: Variant) -> pb.WorkflowVariant:
    evaluated = variant.last_evaluated_at is not None
    message = pb.WorkflowVariant(
        id=variant.id,
        parent_variant_id=variant.parent_variant_id,
        agent_id=variant.agent_id,
        fitness_score=variant.fitness_score,
        external_signals=[signal_to_proto(signal) for signal in variant.external_signals],
        evaluation_status=pb.EVALUATION_STATUS_EVALUATED if evaluated else pb.EVALUATION_STATUS_PENDING,
        fitness_function=variant.fitness_function,
        weights_version=variant.weights_version or 0,
        fitness_function_version=variant.function_version,
    )
    if variant.origin is not None:
        message.origin.CopyFrom(pb.VariantOrigin(**asdict(variant.origin)))
    ParseDict(dict(variant.workflow_definition), message.workflow_definition)
    message.created_at.FromDatetime(variant.created_at)
    if variant.proxy_signals is not None:
        message.proxy_signals.CopyFrom(_proxy_to_proto(variant.proxy_signals))
    if variant.last_evaluated_at is not None:
        message.last_evaluated_at.FromDatetime(variant.last_evaluated_at)
    return message


def _proxy_to_proto(signals: ProxySignals) -> pb.ProxySignals:
    message = pb.ProxySignals(
        syntax_error=signals.syntax_error,
        execution_success=signals.execution_success,
        user_approved=signals.user_approved,
    )
    if signals.measurements:
        ParseDict(dict(signals.measurements), message.measurements)
    return message
