"""Engines of the user's own: those that are installed, and those that are gRPC services, as makers of proposers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from autodev.extension.v1 import learning_engine_service_pb2 as pb
from autodev.extension.v1.learning_engine_service_pb2_grpc import LearningEngineServiceStub
from autodev_learning.apart import from_afar
from autodev_learning.proposers import Proposer
from autodev_learning.proposers.builtin import BUILTIN
from autodev_learning.proposers.engines import EngineProposer, Overdue
from autodev_learning.proposers.llm.choice import asks_a_model
from autodev_learning.trial import Tester
from autodev_runtime.extensions.remote import Extension
from autodev_runtime.structs import fill_struct, struct_from
from autodev_sdk.extensions import (
    Attempt,
    BaseLearningEngine,
    CodeChange,
    Group,
    LearningProblem,
    Validity,
    installed,
)

log = logging.getLogger(__name__)


class RemoteEngine(BaseLearningEngine):
    """A gRPC service. `seconds`: what writing code may take, besides an answer's own time. Make it in the service's
    event loop; it may be asked from another."""

    def __init__(self, extension: Extension, seconds: float) -> None:
        self._stub = LearningEngineServiceStub(extension.channel)
        self._ask: Callable[..., Any] = from_afar(extension.ask)
        self._seconds = seconds

    async def analyze_episode(self, problem: LearningProblem) -> Mapping[str, Any]:
        request = pb.AnalyzeEpisodeRequest(tenant_id=problem.tenant_id, problem=_problem(problem))
        answer: pb.AnalyzeEpisodeResponse = await self._ask(self._stub.AnalyzeEpisode, request)
        return struct_from(answer.findings)

    async def propose_code_change(
        self, problem: LearningProblem, findings: Mapping[str, Any], attempts: Sequence[Attempt]
    ) -> CodeChange:
        request = pb.ProposeCodeChangeRequest(
            tenant_id=problem.tenant_id,
            problem=_problem(problem),
            attempts=[pb.Attempt(code=each.code, complaints=each.complaints) for each in attempts],
        )
        fill_struct(request.findings, findings)
        answer: pb.ProposeCodeChangeResponse = await self._ask(
            self._stub.ProposeCodeChange, request, more_s=self._seconds
        )
        return CodeChange(answer.code, answer.rationale, answer.tokens, answer.cost_usd)

    async def validate_change(self, problem: LearningProblem, code: str) -> Validity:
        request = pb.ValidateChangeRequest(tenant_id=problem.tenant_id, problem=_problem(problem), code=code)
        answer: pb.ValidateChangeResponse = await self._ask(self._stub.ValidateChange, request)
        return Validity(answer.valid, answer.reason)


def engine_makers(extensions: Mapping[str, Extension], seconds: float) -> dict[str, Callable[[Tester], Proposer]]:
    """What makes a proposer of each engine, by name. Raises ValueError where a remote one has a name that is taken."""
    if taken := sorted(filter(_is_taken, extensions)):
        raise ValueError(f"a proposer of Auto-Dev's own has this name: {', '.join(taken)}")
    engines: dict[str, BaseLearningEngine] = {name: RemoteEngine(each, seconds) for name, each in extensions.items()}
    for name, engine in installed(Group.LEARNING_ENGINES, BaseLearningEngine).working.items():  # type: ignore[type-abstract]
        if name in engines or _is_taken(name):
            log.error("the learning engine %r cannot be used: the name is taken", name)
        else:
            engines[name] = engine
    return {
        name: cast(Callable[[Tester], Proposer], partial(EngineProposer, name, each, overdue=Overdue()))
        for name, each in engines.items()
    }


def _is_taken(name: str) -> bool:
    return name in BUILTIN or asks_a_model(name)


def _problem(problem: LearningProblem) -> pb.LearningProblem:
    return pb.LearningProblem(
        task_description=problem.task_description,
        entry_points=problem.entry_points,
        failures=[pb.FailedProgram(code=each.code, error_trace=each.error_trace) for each in problem.failures],
        examples=[pb.VisibleExample(call=each.call, expected=each.expected) for each in problem.examples],
        preamble=problem.preamble,
        working_programs=problem.working_programs,
    )
