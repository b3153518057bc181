"""Whether a candidate is right: a run on every example, held-out ones included, and on inputs that nobody gave."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.examples import split_held_out
from autodev_learning.memento.candidates import Candidate, CandidateStatus, ExampleResult, ValidationResult
from autodev_learning.peers.sandbox import Sandbox, SandboxRun
from autodev_learning.proof.agreement import Overfit, evidence_of_check
from autodev_learning.proof.prover import ProofLimits, Prover
from autodev_learning.skills.reviews import Review, SubjectKind, review_of
from autodev_learning.trial import Execution, SandboxTester, Verdict, check

if TYPE_CHECKING:
    from autodev_learning.store.candidates import CandidateStore
    from autodev_learning.store.episodes import EpisodeStore

log = logging.getLogger(__name__)

MOST_LITERAL_CHARACTERS = 4096
MOST_TITLE_CHARACTERS = 120
MOST_GOOD_PROGRAMS = 5
MOST_CASES = 40
MOST_SHOWN = 10
MOST_SHOWN_CHARACTERS = 200


class Validation:
    """Runs candidates. The code never sees what is expected of it: the comparison is made here."""

    def __init__(
        self,
        candidates: "CandidateStore",
        episodes: "EpisodeStore",
        sandbox: Sandbox,
        seconds: float,
        limits: ProofLimits,
    ) -> None:
        self._candidates = candidates
        self._episodes = episodes
        self._sandbox = sandbox
        self._seconds = seconds
        self._limits = limits

    async def validate(self, candidate_id: str, caused_by: str = "") -> Candidate:
        """Run a pending candidate and write how it did; of another one, what is written.

        One that passes everything waits for a person. Raises NotFound, and what the sandbox raises.
        """
        candidate = await self._candidates.get(candidate_id)
        if candidate.status is not CandidateStatus.PENDING:
            return candidate
        started = time.perf_counter()
        result = await self._run(candidate)
        metrics.VALIDATION_SECONDS.observe(time.perf_counter() - started)
        review = await asyncio.to_thread(review_of_candidate, candidate, result) if result.passes_all else None
        written = await self._candidates.record_validation(candidate, result, review, caused_by)
        metrics.CANDIDATES.labels(written.status).inc()
        if result.overfit is not Overfit.NONE:
            metrics.OVERFIT.labels("candidate", result.overfit).inc()
        log.info("candidate %s is %s", candidate_id, written.status)
        return written

    async def _run(self, candidate: Candidate) -> ValidationResult:
        runs: list[SandboxRun] = []

        async def execute(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
            run = await self._sandbox.run(code, entry_point, inputs, timeout_s)
            runs.append(run)
            return Execution(run.ok, run.result, run.detail)

        tester = SandboxTester(execute, seconds_per_program=self._seconds, programs_per_execution=1)
        verdict = await check(tester, candidate.code, candidate.preamble, candidate.examples)
        result = result_from(candidate, verdict, runs)
        if not result.passes_all:
            return result
        good = await self._good_programs(candidate, tester)
        prover = Prover(execute, self._limits)
        calls = [example.call for example in candidate.examples]
        reference = f"{len(good)} program{'s' * (len(good) != 1)} that worked"
        checked = await prover.generated(candidate.code, good, candidate.preamble, calls, candidate.id, reference)
        return replace(result, generated=checked, sandbox_seconds=sum(run.total_seconds for run in runs))

    async def _good_programs(self, candidate: Candidate, tester: SandboxTester) -> list[str]:
        """Other programs that worked at the same task and pass every example of the candidate's; the latest few."""
        cases = await self._episodes.cases(candidate.skill_description, MOST_CASES)
        others = dict.fromkeys(
            each.code
            for each in cases
            if each.task_description == candidate.skill_description and each.code.strip() != candidate.code.strip()
        )
        good: list[str] = []
        for code in list(others)[: 2 * MOST_GOOD_PROGRAMS]:
            if len(good) == MOST_GOOD_PROGRAMS:
                break
            if (await check(tester, code, candidate.preamble, candidate.examples)).passes_all:
                good.append(code)
        return good


def result_from(candidate: Candidate, verdict: Verdict, runs: list[SandboxRun]) -> ValidationResult:
    """What a verdict says of each example, and what the run as a whole cost."""
    _, held_out = split_held_out(candidate.examples)
    # By identity: an example may stand in a task twice, once visible and once held out.
    held_out_ids = {id(example) for example in held_out}
    return ValidationResult(
        examples=tuple(
            ExampleResult(
                call=example.call,
                expected=example.expected,
                actual=(outcome.value or "")[:MOST_LITERAL_CHARACTERS],
                error=outcome.error or "",
                passed=passed,
                held_out=id(example) in held_out_ids,
            )
            for example, outcome, passed in zip(candidate.examples, verdict.outcomes, verdict.passed, strict=True)
        ),
        sandbox_seconds=sum(run.total_seconds for run in runs),
        isolation=runs[-1].isolation if runs else "",
        failure_reason="; ".join(run.detail for run in runs if not run.ok),
    )


def evidence_of(result: ValidationResult) -> tuple[str, ...]:
    """What speaks for a candidate, a line each."""
    return (
        f"{result.count_passed(held_out=False)} of {result.count(held_out=False)} examples that the proposer saw pass",
        f"{result.count_passed(held_out=True)} of {result.count(held_out=True)} held-out examples pass",
        *(evidence_of_check(result.generated) if result.generated else ()),
        f"{result.sandbox_seconds:.2f} s in the sandbox, isolation {result.isolation}",
    )


def origin_of(candidate: Candidate) -> tuple[str, ...]:
    """Where what the proposer was given comes from, a line; of a package, its provenance says it."""
    if not candidate.source_episode_id:
        return ()
    return (
        f"preamble, examples and failing code: all of episode {candidate.source_episode_id} "
        f"of agent {candidate.agent_id}, 1 of {len(candidate.failure.episode_ids)} similar failures",
    )


def examples_shown(examples: Sequence[ExampleResult]) -> tuple[str, ...]:
    """What code was held to, a line each, as far as it is shown."""
    lines = [
        f"{'held-out ' * each.held_out}example: {_cut(each.call)} is to give {_cut(each.expected)}"
        for each in examples[:MOST_SHOWN]
    ]
    if len(examples) > MOST_SHOWN:
        lines.append(f"examples not shown here: {len(examples) - MOST_SHOWN}")
    return tuple(lines)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN_CHARACTERS else f"{text[:MOST_SHOWN_CHARACTERS]}…"


def review_of_candidate(candidate: Candidate, result: ValidationResult) -> Review:
    """The review that a validated candidate waits for."""
    provenance = candidate.provenance
    task = " ".join(candidate.skill_description.split())[:MOST_TITLE_CHARACTERS]
    return review_of(
        SubjectKind.CANDIDATE,
        candidate.id,
        candidate.agent_id,
        title=f"Skill {candidate.skill_name}: {task}",
        code=candidate.code,
        replaces=candidate.failing_code,
        evidence=(
            *evidence_of(result),
            *origin_of(candidate),
            *examples_shown(result.examples),
            f"written by {provenance.proposer} in {provenance.seconds:.1f} s, {provenance.programs_tried} tried",
            *provenance.steps,
        ),
        overfit=result.overfit,
    )
