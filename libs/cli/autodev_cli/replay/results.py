"""What a replay found, a row a task."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from autodev_cli.replay.progress import Learnt


@dataclass(frozen=True)
class SkillCheck:
    """A promoted skill run on all tests of its task, by the public RPC."""

    skill_name: str
    version: str
    tests: int
    passed: int
    held_out: int
    held_out_passed: int

    @property
    def passes_all(self) -> bool:
        """Whether it passes every test, the held-out ones included."""
        return self.passed == self.tests


@dataclass(frozen=True)
class TaskResult:
    """What came of a task's failures. Times in seconds; None where nothing was validated."""

    task_id: str
    failures: int
    successes: int
    patterns: int
    candidates: int
    validated: int
    approved: int
    promoted: int
    held_out_passed: int
    held_out_examples: int
    skills_passing_all: int
    skills_checked: int
    proposers: dict[str, int]
    published_s: float
    first_validated_s: float | None
    median_s: float | None
    proposing_s: float
    sandbox_s: float
    without_candidate: tuple[str, ...] = ()
    checks: tuple[SkillCheck, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class TaskRun:
    """What a replay measured of a task besides its patterns. Seconds count from the beginning of publishing."""

    task_id: str
    failures: int
    successes: int
    published_s: float
    began_at_s: float
    """The beginning, on the clock of the log: seconds since the epoch."""


def result_of(run: TaskRun, patterns: Sequence[Learnt], checks: Sequence[SkillCheck], proposing_s: float) -> TaskResult:
    """Sum a task's patterns up."""
    validated = [each for each in patterns if each.validation is not None and each.validation.passed]
    validations = [each.validation for each in validated if each.validation is not None]
    seconds = [each.seconds for each in validated if each.seconds is not None]
    first = min((each.validated_at.timestamp() for each in validated if each.validated_at), default=None)
    return TaskResult(
        task_id=run.task_id,
        failures=run.failures,
        successes=run.successes,
        patterns=len(patterns),
        candidates=sum(bool(each.candidate_id) and not each.given_up for each in patterns),
        validated=len(validated),
        approved=sum(each.approved for each in patterns),
        promoted=sum(each.skill is not None for each in patterns),
        held_out_passed=sum(each.held_out_passed for each in validations),
        held_out_examples=sum(each.held_out_examples for each in validations),
        skills_passing_all=sum(each.passes_all for each in checks),
        skills_checked=len(checks),
        proposers=dict(Counter(each.proposer for each in validated)),
        published_s=run.published_s,
        first_validated_s=None if first is None else first - run.began_at_s,
        median_s=statistics.median(seconds) if seconds else None,
        proposing_s=proposing_s,
        sandbox_s=sum(each.validation.sandbox_seconds for each in patterns if each.validation is not None),
        without_candidate=tuple(sorted({each.given_up for each in patterns if each.given_up})),
        checks=tuple(checks),
    )
