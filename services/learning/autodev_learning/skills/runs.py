"""Running a skill for an agent, in the sandbox."""

import ast
import hashlib
import keyword
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from autodev_learning.examples import calls_one_of
from autodev_learning.peers.sandbox import Sandbox, SandboxRun
from autodev_learning.skills.registry import Skill, SkillVersion
from autodev_runtime.errors import InvalidArgument

if TYPE_CHECKING:
    from autodev_learning.store.runs import RunStore
    from autodev_learning.store.skills import SkillStore

log = logging.getLogger(__name__)

HARNESS = resources.files("autodev_learning.skills").joinpath("skill_harness.py").read_text(encoding="utf-8")
ENTRY_POINT = "run_skill"


@dataclass(frozen=True)
class RunRequest:
    """What an agent asks for: a call, or (None) inputs of the first entry point; of a version, or (empty) any."""

    request_id: str
    skill_id: str
    agent_id: str
    call: str | None
    inputs: Mapping[str, object]
    version: str
    timeout_s: float


@dataclass(frozen=True)
class Run:
    """How a run ended. `result` is the value, None where `has_result` is false: JSON has no such value."""

    execution_id: str
    skill_id: str
    skill_name: str
    skill_version: str
    agent_id: str
    call: str
    success: bool
    has_result: bool
    result: object
    result_literal: str
    error: str
    stdout: str
    sandbox_status: str
    execution_seconds: float


class SkillRunner:
    """Runs skills. A skill on trial gets a share of the runs that name no version."""

    def __init__(self, skills: "SkillStore", runs: "RunStore", sandbox: Sandbox, canary_share: float) -> None:
        self._skills = skills
        self._runs = runs
        self._sandbox = sandbox
        self._canary_share = canary_share

    async def run(self, request: RunRequest) -> Run:
        """Run once a request, and tell how it ended; a skill that fails is no error.

        Raises NotFound, InvalidArgument (no Python expression), and what the sandbox raises.
        """
        execution_id = execution_id_of(request.request_id)
        if (known := await self._runs.find(execution_id)) is not None:
            return known
        skill = await self._skills.get(request.skill_id)
        version = await self._version(skill, request)
        call = call_of(request, version)
        ended = await self._execute(version, call, request.timeout_s)
        run = run_from(execution_id, skill, version, request.agent_id, call, ended)
        log.info("skill %s %s ran for %.3f s: %s", skill.name, version.version, ended.seconds, ended.status)
        return await self._runs.add(run, request.request_id, version_shown(call, version))

    async def _version(self, skill: Skill, request: RunRequest) -> SkillVersion:
        if request.version:
            return await self._skills.version(skill.id, request.version)
        share = self._canary_share if skill.canary_share is None else skill.canary_share
        return version_to_run(skill, request.request_id, share)

    async def _execute(self, version: SkillVersion, call: str, timeout_s: float) -> SandboxRun:
        inputs = {"preamble": version.preamble, "code": version.code, "call": call}
        try:
            return await self._sandbox.run(HARNESS, ENTRY_POINT, inputs, timeout_s)
        except InvalidArgument as error:
            # The one thing in the request that the caller chose and only the sandbox can judge.
            raise InvalidArgument.field("timeout", f"the sandbox refuses {timeout_s:g} s: {error.message}") from error


def version_to_run(skill: Skill, request_id: str, canary_share: float) -> SkillVersion:
    """The active version, or for a share of the requests the one on trial, where there is one."""
    if skill.canary is not None and share_of(request_id) < canary_share:
        return skill.canary
    return skill.active


def version_shown(call: str, version: SkillVersion) -> str:
    """The version that a run of the call says something of: none where it asks for no entry point of it."""
    return version.version if calls_one_of(call, version.entry_points) else ""


def execution_id_of(request_id: str) -> str:
    """A run's id: one a request, whatever the request's id looks like."""
    return "run-" + hashlib.sha256(request_id.encode()).hexdigest()[:32]


def share_of(request_id: str) -> float:
    """Where a request falls in [0, 1): the same each time, and even over requests."""
    return int.from_bytes(hashlib.sha256(b"canary:" + request_id.encode()).digest()[:8]) / 2**64


def call_of(request: RunRequest, version: SkillVersion) -> str:
    """The expression to evaluate. Raises InvalidArgument."""
    if request.call is not None:
        return checked_expression(request.call)
    if not version.entry_points:
        raise InvalidArgument.field("inputs", "the skill has no entry point that takes them; give a call")
    arguments = []
    for name, value in sorted(request.inputs.items()):
        if not name.isidentifier() or keyword.iskeyword(name):
            raise InvalidArgument.field("inputs", f"{name[:100]!r} is no name of an argument")
        arguments.append(f"{name}={literal(value)}")
    return f"{version.entry_points[0]}({', '.join(arguments)})"


def checked_expression(call: str) -> str:
    """The call, if it is a Python expression. Raises InvalidArgument."""
    try:
        ast.parse(call.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidArgument.field("call", f"is no Python expression: {type(error).__name__}") from error
    return call


def literal(value: object) -> str:
    """A JSON-shaped value as Python writes it."""
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {literal(item)}" for key, item in value.items()) + "}"
    return repr(value)


def run_from(
    execution_id: str, skill: Skill, version: SkillVersion, agent_id: str, call: str, ended: SandboxRun
) -> Run:
    """A run from how its execution ended."""
    given = ended.result if isinstance(ended.result, dict) else {}
    return Run(
        execution_id=execution_id,
        skill_id=skill.id,
        skill_name=skill.name,
        skill_version=version.version,
        agent_id=agent_id,
        call=call,
        success=ended.ok,
        has_result="value" in given,
        result=given.get("value"),
        result_literal=str(given.get("literal", "")),
        error=ended.detail,
        stdout=ended.stdout,
        sandbox_status=ended.status,
        execution_seconds=ended.seconds,
    )
