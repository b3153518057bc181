"""SkillService."""

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value

from autodev.learning.v1 import skill_service_pb2 as pb
from autodev.learning.v1.skill_service_pb2_grpc import SkillServiceServicer
from autodev_learning.evolution.canary import Trials, TrialView
from autodev_learning.evolution.canary_rule import Arm
from autodev_learning.proof.suites import Source, SuiteExample
from autodev_learning.servicers.memento import candidate_to_proto
from autodev_learning.servicers.messages import examples_to_proto, key_of, moment_to_proto, provenance_to_proto
from autodev_learning.skills.packages.exchange import Exchange, Import
from autodev_learning.skills.registry import Rollback, Skill, Skills, SkillVersion
from autodev_learning.skills.runs import Run, RunRequest, SkillRunner
from autodev_runtime.errors import InvalidArgument
from autodev_runtime.identity import Role, require_role
from autodev_runtime.paging import page_of, page_size
from autodev_runtime.structs import struct_from

if TYPE_CHECKING:
    from autodev_learning.store.suites import SuiteStore

DEFAULT_TIMEOUT_S = 30.0
SOURCES = {source: pb.SkillExampleSource.Value(f"SKILL_EXAMPLE_SOURCE_{source.name}") for source in Source}


class SkillServicer(SkillServiceServicer):
    """The registry, and running what is in it."""

    def __init__(
        self, skills: Skills, runner: SkillRunner, suites: "SuiteStore", trials: Trials, exchange: Exchange
    ) -> None:
        self._skills = skills
        self._runner = runner
        self._suites = suites
        self._trials = trials
        self._exchange = exchange

    async def GetSkill(self, request: pb.GetSkillRequest, context: Any) -> pb.GetSkillResponse:
        skill = await self._skills.get(request.skill_id)
        message = skill_to_proto(skill)
        if (view := await self._trials.view(skill)) is not None:
            message.trial.CopyFrom(trial_to_proto(view, skill.canary_share))
        return pb.GetSkillResponse(skill=message)

    async def ListSkillExamples(
        self, request: pb.ListSkillExamplesRequest, context: Any
    ) -> pb.ListSkillExamplesResponse:
        size = page_size(request.page_size)
        skill = await self._skills.get(request.skill_id)
        found = await self._suites.page(skill.id, size + 1, key_of(request.page_token))
        page, token = page_of(found, size, suite_example_to_proto, lambda last: [last.id])
        return pb.ListSkillExamplesResponse(examples=page, next_page_token=token)

    async def ListSkills(self, request: pb.ListSkillsRequest, context: Any) -> pb.ListSkillsResponse:
        size = page_size(request.page_size)
        found = await self._skills.page(size + 1, key_of(request.page_token))
        page, token = page_of(found, size, skill_to_proto, lambda last: [last.name])
        return pb.ListSkillsResponse(skills=page, next_page_token=token)

    async def ListSkillVersions(
        self, request: pb.ListSkillVersionsRequest, context: Any
    ) -> pb.ListSkillVersionsResponse:
        size = page_size(request.page_size)
        found = await self._skills.versions(request.skill_id, size + 1, key_of(request.page_token))
        page, token = page_of(found, size, lambda row: version_to_proto(row[1]), lambda last: [last[0]])
        return pb.ListSkillVersionsResponse(versions=page, next_page_token=token)

    async def SearchSkills(self, request: pb.SearchSkillsRequest, context: Any) -> pb.SearchSkillsResponse:
        size = page_size(request.page_size)
        found = await self._skills.search(request.query, size + 1, key_of(request.page_token))
        page, token = page_of(found, size, skill_to_proto, lambda last: [last.name])
        return pb.SearchSkillsResponse(skills=page, next_page_token=token)

    async def ExportSkill(self, request: pb.ExportSkillRequest, context: Any) -> pb.ExportSkillResponse:
        exported = await self._exchange.take_out(request.skill_id, request.version)
        return pb.ExportSkillResponse(
            package=exported.data,
            name=exported.package.package_name,
            version=exported.package.version,
            digest_sha256=exported.digest,
            signed=exported.signed,
        )

    async def ImportSkill(self, request: pb.ImportSkillRequest, context: Any) -> pb.ImportSkillResponse:
        operator = require_role(Role.OPERATOR).subject
        wish = Import(request.request_id, request.agent_id, request.package, request.allow_unsigned, operator)
        return pb.ImportSkillResponse(candidate=candidate_to_proto(await self._exchange.take_in(wish)))

    async def ExecuteSkill(self, request: pb.ExecuteSkillRequest, context: Any) -> pb.ExecuteSkillResponse:
        return run_to_proto(await self._runner.run(run_request_from(request)))

    async def RollbackSkill(self, request: pb.RollbackSkillRequest, context: Any) -> pb.RollbackSkillResponse:
        operator = require_role(Role.REVIEWER).subject
        skill = await self._skills.roll_back(
            Rollback(request.request_id, request.skill_id, request.to_version, operator, request.reason)
        )
        return pb.RollbackSkillResponse(skill=skill_to_proto(skill))


def run_request_from(request: pb.ExecuteSkillRequest) -> RunRequest:
    """What is asked for. Raises InvalidArgument where neither a call nor inputs are given."""
    invocation = request.WhichOneof("invocation")
    if invocation is None:
        raise InvalidArgument.field("invocation", "one of call and inputs is required")
    timeout_s = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else DEFAULT_TIMEOUT_S
    return RunRequest(
        request_id=request.request_id,
        skill_id=request.skill_id,
        agent_id=request.agent_id,
        call=request.call if invocation == "call" else None,
        inputs=struct_from(request.inputs),
        version=request.version,
        timeout_s=timeout_s,
    )


def run_to_proto(run: Run) -> pb.ExecuteSkillResponse:
    return pb.ExecuteSkillResponse(
        execution_id=run.execution_id,
        success=run.success,
        result=json_format.ParseDict(run.result, Value()) if run.has_result else None,  # type: ignore[arg-type]
        result_literal=run.result_literal,
        error=run.error,
        stdout=run.stdout,
        sandbox_status=run.sandbox_status,
        execution_seconds=run.execution_seconds,
        skill_version=run.skill_version,
    )


def skill_to_proto(skill: Skill) -> pb.Skill:
    return pb.Skill(
        id=skill.id,
        name=skill.name,
        description=skill.description,
        active=version_to_proto(skill.active),
        agent_id=skill.agent_id,
        created_at=moment_to_proto(skill.created_at),
        canary=version_to_proto(skill.canary) if skill.canary else None,
    )


def trial_to_proto(view: TrialView, share: float | None) -> pb.CanaryTrial:
    figures = view.figures
    return pb.CanaryTrial(
        share=share or 0.0,
        canary=arm_to_proto(figures.now.canary, figures.canary_seconds),
        stable=arm_to_proto(figures.stable_live, figures.stable_seconds),
        good_runs_needed=view.rule.good_runs,
        p_value=view.verdict.p_value,
        p_limit=view.rule.p_limit,
        standing=view.verdict.reason,
    )


def arm_to_proto(arm: Arm, seconds: float) -> pb.TrialRuns:
    return pb.TrialRuns(runs=arm.runs, failed=arm.failed, median_seconds=seconds)


def suite_example_to_proto(example: SuiteExample) -> pb.SkillExample:
    return pb.SkillExample(
        id=example.id,
        call=example.call,
        expected=example.expected,
        source=SOURCES[example.source],
        source_id=example.source_id,
        held_out=example.held_out,
        created_at=moment_to_proto(example.created_at),
    )


def version_to_proto(version: SkillVersion) -> pb.SkillVersion:
    return pb.SkillVersion(
        version=version.version,
        parent_version=version.parent_version,
        code=version.code,
        preamble=version.preamble,
        source_id=version.source_id,
        provenance=provenance_to_proto(version.provenance),
        created_at=moment_to_proto(version.created_at),
        approved_by=version.approved_by,
        content_sha256=version.content_sha256,
        examples=examples_to_proto(version.examples),
        entry_points=version.entry_points,
    )
