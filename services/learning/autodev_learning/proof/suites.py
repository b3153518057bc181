"""A skill's regression suite: what was ever known to be right, which each later version must give too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from autodev_learning.examples import Example, matches
from autodev_learning.memento.candidates import ExampleResult
from autodev_learning.proof.prover import Prover
from autodev_learning.trial import CallOutcome

MOST_CALL_CHARACTERS = 16_384
MOST_EXPECTED_CHARACTERS = 8_000
"""What the trial harness gives back of one value."""


class Source(StrEnum):
    """How an example came into a suite."""

    TASK = "task"
    RUN = "run"
    SUCCESSION = "succession"


@dataclass(frozen=True)
class SuiteExample:
    """One member of a suite. The version that was active when it came in passes it."""

    id: str
    call: str
    expected: str
    source: Source
    source_id: str
    held_out: bool
    created_at: datetime


def is_keepable(example: Example) -> bool:
    """Whether an example can be a member: a literal, whole, of a size that a call may have."""
    fits = 0 < len(example.call) <= MOST_CALL_CHARACTERS and len(example.expected) <= MOST_EXPECTED_CHARACTERS
    return fits and matches(example.expected, example.expected)


async def suite_results(
    prover: Prover, code: str, active_code: str, preamble: str, suite: Sequence[SuiteExample]
) -> tuple[ExampleResult, ...]:
    """How code does on a suite. A member that the active version fails by now says nothing, and is left out.

    What a call gave may hang on the day, or on how fast the machine is: only what worked until now can be lost.
    """
    outcomes = await _run(prover, code, preamble, suite)
    results = [_result(member, outcome) for member, outcome in zip(suite, outcomes, strict=True)]
    failed = [member for member, result in zip(suite, results, strict=True) if not result.passed]
    if failed:
        outcomes = await _run(prover, active_code, preamble, failed)
        stale = {member.id for member, outcome in zip(failed, outcomes, strict=True) if not _passes(member, outcome)}
        results = [result for member, result in zip(suite, results, strict=True) if member.id not in stale]
    return tuple(results)


async def _run(prover: Prover, code: str, preamble: str, suite: Sequence[SuiteExample]) -> Sequence[CallOutcome]:
    return await prover.passing(code, preamble, [Example(each.call, each.expected) for each in suite])


def _passes(member: SuiteExample, outcome: CallOutcome) -> bool:
    return outcome.meets(Example(member.call, member.expected))


def regression_text(results: Sequence[ExampleResult]) -> str:
    """Which members of its skill's suite code fails, in a sentence; empty where it fails none."""
    failed = [each for each in results if not each.passed]
    if not failed:
        return ""
    named = "; ".join(
        f"{each.call[:200]} gives {(each.actual or each.error)[:200]}, expected is {each.expected[:200]}"
        for each in failed[:3]
    )
    more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
    return f"regression on {len(failed)} of {len(results)} examples of the skill: {named}{more}"


def _result(member: SuiteExample, outcome: CallOutcome) -> ExampleResult:
    return ExampleResult(
        call=member.call,
        expected=member.expected,
        actual=(outcome.value or "")[:4096],
        error=outcome.error or "",
        passed=_passes(member, outcome),
        held_out=member.held_out,
    )
