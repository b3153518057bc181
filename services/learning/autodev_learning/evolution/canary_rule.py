"""When a version on trial has shown enough: the statistics of success, and nothing else (docs/proof.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import comb

FIBONACCI = (3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987)
FEW_STABLE_RUNS = 10
"""With fewer runs of the active version to compare with, the first failure ends a trial: nothing excuses it."""


class Standing(StrEnum):
    """Where a trial stands."""

    GOES_ON = "goes on"
    PASSED = "passed"
    WORSE = "worse"
    UNDECIDED = "undecided"
    """It had all its runs and did not fail as seldom: that is no pass."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Runs of one version."""

    runs: int
    failed: int

    @property
    def good(self) -> int:
        return self.runs - self.failed

    @property
    def failure_rate(self) -> float:
        return self.failed / self.runs if self.runs else 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """Both versions at one moment: when the version on trial had so many runs."""

    canary: Arm
    stable: Arm


@dataclass(frozen=True, slots=True)
class TrialRule:
    """`good_runs` make a trial pass, `most_runs` end it in any case.

    `error` bounds how often a version that fails as often as the active one is rolled back for being worse, over the
    whole trial. `margin`: to pass, its failure rate may be so much above the active one's.
    """

    good_runs: int = 20
    most_runs: int = 100
    error: float = 0.05
    margin: float = 0.05

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of runs at which success is compared: close together at first, as failures tell most then."""
        return (*(runs for runs in FIBONACCI if runs < self.last), self.last)

    @property
    def last(self) -> int:
        """Runs that end a trial."""
        return max(self.most_runs, self.good_runs)

    @property
    def p_limit(self) -> float:
        """Each look has the same part of the error, so all of them together have no more than the whole."""
        return self.error / len(self.looks)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a trial stands and why, in a sentence. `p_value` is that of the last look, 1 before the first."""

    standing: Standing
    reason: str
    p_value: float = 1.0


def p_value(canary: Arm, stable: Arm) -> float:
    """How likely so many of the failures, or more, are the canary's if both versions fail as often.

    Fisher's exact test, one-sided: given all runs and all failures, the canary's failures are hypergeometric.
    """
    runs, failed = canary.runs + stable.runs, canary.failed + stable.failed
    ways = sum(
        comb(canary.runs, mine) * comb(stable.runs, failed - mine)
        for mine in range(canary.failed, min(canary.runs, failed) + 1)
    )
    return ways / comb(runs, failed)


def verdict(now: Look, looks: Sequence[Look], rule: TrialRule) -> Verdict:
    """Judge a trial. `looks`: both versions at each of the rule's looks that was reached, in order."""
    last = 1.0
    for look in looks:
        last = p_value(look.canary, look.stable)
        if look.stable.runs >= FEW_STABLE_RUNS and last < rule.p_limit:
            return Verdict(Standing.WORSE, f"{_compared(look)}: p {last:.2g}, below {rule.p_limit:.2g}", last)
    if now.canary.failed and now.stable.runs < FEW_STABLE_RUNS:
        reason = f"{_compared(now)}: too few runs of the active version to excuse a failure"
        return Verdict(Standing.WORSE, reason, last)
    excused = now.canary.failure_rate <= now.stable.failure_rate + rule.margin
    if now.canary.good >= rule.good_runs and excused:
        return Verdict(Standing.PASSED, f"{now.canary.good} good runs on trial; {_compared(now)}", last)
    if now.canary.runs >= rule.last:
        return Verdict(Standing.UNDECIDED, f"{_compared(now)}: it does not fail as seldom", last)
    return Verdict(Standing.GOES_ON, f"{_compared(now)}; {now.canary.good} of {rule.good_runs} good runs", last)


def _compared(look: Look) -> str:
    return (
        f"{look.canary.failed} of {look.canary.runs} runs on trial failed, "
        f"{look.stable.failed} of {look.stable.runs} of the active version"
    )
