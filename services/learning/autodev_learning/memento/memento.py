"""Memento: a skill candidate for what keeps failing."""

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.examples import split_held_out
from autodev_learning.memento.candidates import AnalyzedFailure, Candidate, CandidateStatus, ValidationResult
from autodev_learning.memento.proposing import Workshop, entry_points_of
from autodev_learning.memento.reflection import NO_EXAMPLES, Episode, Segment, ToolCall
from autodev_learning.peers.capabilities import Capabilities, Capability, reservation_key
from autodev_learning.peers.patience import is_outage, patiently
from autodev_learning.proposers import Case, FailedProgram, NoProposal, Problem, Proposal
from autodev_learning.similarity import similar_tasks
from autodev_learning.skills.provenance import Provenance
from autodev_runtime.columns import now
from autodev_runtime.errors import FailedPrecondition, NotFound, PermissionDenied, ResourceExhausted
from autodev_sdk.events import uuid7

if TYPE_CHECKING:
    from autodev_learning.store.candidates import CandidateStore
    from autodev_learning.store.episodes import EpisodeStore

log = logging.getLogger(__name__)

TOLD_PARTS = 32
TOLD_EPISODES = 256
TOLD_CHARACTERS = 4_000
NAME_CHARACTERS = 100
TRACE_CHARACTERS = 4_000
ASCII_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class MaterialLimits:
    """How much a proposer gets: programs that failed, and programs that worked."""

    failing_programs: int = 64
    cases: int = 256


class Memento:
    """Writes candidates: for a pattern that was found, or for an episode on request."""

    def __init__(
        self,
        episodes: "EpisodeStore",
        candidates: "CandidateStore",
        capabilities: Capabilities,
        workshop: Workshop,
        limits: MaterialLimits,
        patience_s: float,
    ) -> None:
        self._episodes = episodes
        self._candidates = candidates
        self._capabilities = capabilities
        self._workshop = workshop
        self._limits = limits
        self._patience_s = patience_s

    async def analyze(self, episode_id: str) -> AnalyzedFailure:
        """The failure of an episode and of the pattern that it belongs to. Raises NotFound."""
        source = await self._failing_episode(episode_id)
        episode_ids = await self._episodes.failures_at_task(source)
        # In a thread: many long examples take seconds to be told apart.
        return await asyncio.to_thread(analyzed, source, episode_ids)

    async def propose_for_episode(self, request_id: str, episode_id: str) -> Candidate:
        """Write a candidate for an episode; the same request again gives the first one.

        Raises NotFound, PermissionDenied, ResourceExhausted (QUOTA_EXCEEDED; PROPOSALS_FULL), FailedPrecondition
        (NO_EXAMPLES).
        """
        key = f"request:{request_id}"
        if (known := await self._candidates.find(key)) is not None:
            return known
        source = await self._failing_episode(episode_id)
        if not source.examples:
            raise FailedPrecondition(f"episode {episode_id!r} has {NO_EXAMPLES}", reason="NO_EXAMPLES")
        self._workshop.refuse_if_full()
        use = reservation_key("candidate", request_id)
        return await self._write(key, use, source, pattern_id=None, caused_by="", patience_s=0)

    async def answer_pattern(self, pattern_id: str, caused_by: str) -> None:
        """Write the candidate of a pattern, once, however often this is called.

        What stands in the way is noted. The pattern is announced again when that may be otherwise.
        """
        pattern = await self._episodes.get_pattern(pattern_id)
        if pattern.skipped_reason:
            return
        source = telling_failure(at_task(pattern.task_description, await self._episodes.failures_of(pattern_id)))
        if not source.examples:
            await self._skip(pattern_id, NO_EXAMPLES)
            return
        try:
            await self._write(
                f"pattern:{pattern_id}",
                pattern_id,
                source,
                pattern_id=pattern_id,
                caused_by=caused_by,
                patience_s=self._patience_s,
            )
        except (ResourceExhausted, PermissionDenied) as error:
            if is_outage(error):
                raise
            await self._skip(pattern_id, error.message)

    async def _skip(self, pattern_id: str, reason: str) -> None:
        log.info("pattern %s gets no candidate", pattern_id)
        await self._episodes.skip_pattern(pattern_id, reason)

    async def _write(
        self,
        key: str,
        use_key: str,
        source: Episode,
        *,
        pattern_id: str | None,
        caused_by: str,
        patience_s: float,
    ) -> Candidate:
        if (known := await self._candidates.find(key)) is not None:
            return known
        async with self._capabilities.use(use_key, source.agent_id, Capability.MEMENTO_SKILLS) as use:
            made = await patiently(lambda: self._make(source), patience_s)
            await use.take()
        return await self._candidates.add(replace(made, request_id=key, pattern_id=pattern_id), caused_by)

    async def _make(self, source: Episode) -> Candidate:
        failures = await self._similar_failures(source)
        workspace = await self._capabilities.workspace()
        async with self._workshop.slot():
            problem = await self._problem(source, failures)
            answer = await self._workshop.propose(problem, workspace.proposers)
        candidate = candidate_from(source, failures, answer)
        metrics.CANDIDATES.labels(candidate.status).inc()
        log.info(
            "candidate %s for episode %s: %s by %s, %d programs in %.1f s",
            candidate.id,
            source.episode_id,
            candidate.status,
            answer.proposer,
            answer.tried,
            answer.seconds,
        )
        return candidate

    async def _problem(self, source: Episode, failures: Sequence[Episode]) -> Problem:
        limit = self._limits.failing_programs
        programs = [each for each in failures if each.code][-limit:]
        if len(programs) < limit:
            programs += await self._episodes.failing_programs(source.task_key, limit - len(programs))
        visible, _ = split_held_out(source.examples)
        failed = list(
            dict.fromkeys(FailedProgram(each.code, each.error_trace[-TRACE_CHARACTERS:]) for each in programs)
        )
        return Problem(
            task_description=source.task_description,
            entry_points=entry_points_of(
                [example.call for example in visible], source.preamble, [program.code for program in failed]
            ),
            failures=tuple(failed),
            visible=visible,
            preamble=source.preamble,
            cases=await self._cases(source),
        )

    async def _cases(self, source: Episode) -> tuple[Case, ...]:
        found = await self._episodes.cases(source.task_description, self._limits.cases)
        return tuple(Case(each.code, each.task_description, each.agent_id) for each in found)

    async def _failing_episode(self, episode_id: str) -> Episode:
        episode = await self._episodes.find_failure(episode_id)
        if episode is None:
            raise NotFound("failing episode", episode_id)
        return episode

    async def _similar_failures(self, source: Episode) -> list[Episode]:
        """The pattern's failures at the same task, oldest first, the source included."""
        pattern = await self._episodes.failures_beside(source) if source.pattern_id else [source]
        return [each for each in pattern if similar_tasks(each.task_description, source.task_description)]


def at_task(task_description: str, failures: Sequence[Episode]) -> Sequence[Episode]:
    """Those of a pattern's failures that are at the task that it is answered for.

    They are all of them where that has no words, or where those at it are not among the latest.
    """
    return [each for each in failures if similar_tasks(each.task_description, task_description)] or failures


def telling_failure(failures: Sequence[Episode]) -> Episode:
    """The failure that says most of what is right: with the most examples, the latest of those."""
    return max(failures, key=lambda each: (len(each.examples), each.occurred_at, each.episode_id))


def analyzed(source: Episode, episode_ids: Sequence[str]) -> AnalyzedFailure:
    """What a proposer gets to know of a failure, its parts bounded in number and length."""
    visible, held_out = split_held_out(source.examples)
    return AnalyzedFailure(
        task_description=source.task_description,
        error_signature=source.error_signature,
        tool_calls=tuple(
            ToolCall(call.name, call.arguments, call.error[:TOLD_CHARACTERS])
            for call in source.tool_calls[-TOLD_PARTS:]
        ),
        segments=tuple(Segment(part.kind, part.text[:TOLD_CHARACTERS]) for part in source.segments[-TOLD_PARTS:]),
        visible=visible,
        held_out_examples=len(held_out),
        episode_ids=tuple(episode_ids[-TOLD_EPISODES:]),
    )


def candidate_from(source: Episode, failures: Sequence[Episode], answer: Proposal | NoProposal) -> Candidate:
    """The candidate that a proposer's answer makes: pending with code, or failed with the reason and without."""
    proposal = answer if isinstance(answer, Proposal) else None
    visible, _ = split_held_out(source.examples)
    programs = [proposal.code] if proposal else [each.code for each in failures]
    names = entry_points_of([example.call for example in visible], source.preamble, programs)
    candidate = Candidate(
        id=uuid7(),
        request_id="",
        agent_id=source.agent_id,
        source_episode_id=source.episode_id,
        skill_name=skill_name(names),
        skill_description=source.task_description,
        code=proposal.code if proposal else "",
        preamble=source.preamble,
        failing_code=source.code,
        examples=source.examples,
        failure=analyzed(source, [each.episode_id for each in failures]),
        provenance=Provenance(
            proposer=answer.proposer,
            steps=proposal.edits if proposal else (),
            prompt_hash=answer.prompt_hash,
            tokens=answer.tokens,
            cost_usd=answer.cost_usd,
            seconds=answer.seconds,
            programs_tried=answer.tried,
        ),
        created_at=now(),
    )
    if isinstance(answer, NoProposal):
        candidate = replace(
            candidate, status=CandidateStatus.FAILED, result=ValidationResult(failure_reason=answer.reason)
        )
    return candidate


def skill_name(entry_points: Sequence[str]) -> str:
    """A skill's name: its first entry point, where that is one that every client can write."""
    name = entry_points[0] if entry_points else ""
    return name if ASCII_NAME.fullmatch(name) and len(name) <= NAME_CHARACTERS else "skill"
