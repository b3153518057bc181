"""AdvisorService."""

from typing import TYPE_CHECKING, Any

from autodev.learning.v1 import advisor_service_pb2 as pb
from autodev.learning.v1.advisor_service_pb2_grpc import AdvisorServiceServicer
from autodev_learning.advising import ModelAdvisor, guidance_on
from autodev_learning.advisor import Figures, Guidance, Risk, RiskKind, Source

if TYPE_CHECKING:
    from autodev_learning.skills.registry import Skills
    from autodev_learning.store.advisor import AdvisorStore

SOURCES = {source: pb.GuidanceSource.Value(f"GUIDANCE_SOURCE_{source.name}") for source in Source}
KINDS = {kind: pb.RiskKind.Value(f"RISK_KIND_{kind.name}") for kind in RiskKind}


class AdvisorServicer(AdvisorServiceServicer):
    """A read: it changes nothing and announces nothing. GuidanceIssued comes with the end of an experiment."""

    def __init__(self, store: "AdvisorStore", skills: "Skills", model: ModelAdvisor | None) -> None:
        self._store = store
        self._model = model
        self._skills = skills

    async def GetGuidance(self, request: pb.GetGuidanceRequest, context: Any) -> pb.GetGuidanceResponse:
        skill_id = (await self._skills.get(request.skill_id)).id if request.skill_id else ""
        return guidance_to_proto(await guidance_on(await self._store.figures(skill_id), self._model))


def guidance_to_proto(guidance: Guidance) -> pb.GetGuidanceResponse:
    return pb.GetGuidanceResponse(
        guidance=guidance.text,
        data_summary=summary_to_proto(guidance.figures),
        readiness=guidance.readiness,
        risks=[risk_to_proto(risk) for risk in guidance.risks],
        source=SOURCES[guidance.source],
        next_steps=guidance.next_steps,
        fallback_reason=guidance.fallback_reason,
        trend=[
            pb.DayFigures(
                day=day.day,
                executions=day.executions,
                succeeded=day.succeeded,
                mean_execution_seconds=day.mean_seconds,
                tokens=day.tokens,
                scored_candidates=day.scored,
                mean_candidate_score=day.mean_score,
            )
            for day in guidance.figures.trend
        ],
    )


def summary_to_proto(figures: Figures) -> pb.DataSummary:
    return pb.DataSummary(
        executions=figures.executions,
        failed_executions=figures.failed_executions,
        median_execution_seconds=figures.median_execution_seconds,
        tokens=figures.tokens,
        mutations=figures.mutations,
        passed_mutations=figures.passed_mutations,
        promoted_mutations=figures.promoted_mutations,
        candidates=figures.candidates,
        overfit_candidates=figures.overfit_candidates,
        overfit_mutations=figures.overfit_mutations,
    )


def risk_to_proto(risk: Risk) -> pb.Risk:
    numbers = [pb.Figure(name=name, value=value) for name, value in risk.numbers]
    return pb.Risk(kind=KINDS[risk.kind], severity=risk.severity, detail=risk.detail, figures=numbers)
