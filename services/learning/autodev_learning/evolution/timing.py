"""Timing programs in the sandbox: one execution a program and round, two programs in turns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from autodev_learning.calls_harness import TIMEOUTS_BEFORE_GIVING_UP
from autodev_learning.examples import matches
from autodev_learning.harnesses import TRIAL, harness
from autodev_learning.trial import Execute

ENTRY_POINT = "time_calls"
START_S = 5.0
PLAIN_FACTOR = 4.0
"""So many times as fast in every one of PLAIN_ROUNDS is plain: more rounds would only narrow the interval."""
PLAIN_ROUNDS = 5
SECONDS_IN_ALL = 45.0
"""What one execution's calls may take: with the start, below the timeout that a sandbox allows."""
TIMEOUT = "timeout"
CALLS_PER_EXECUTION = 32
"""So many of the longest literals fit into one execution's result."""


HARNESS = harness(TRIAL, "evolution/timing_harness")


@dataclass(frozen=True, slots=True)
class TimedOutcome:
    """What one call gave, the literal of its value or an error ("Type: message", "timeout"), and its seconds."""

    value: str | None
    error: str | None
    seconds: float

    @property
    def timed_out(self) -> bool:
        return self.error == TIMEOUT


@dataclass(frozen=True, slots=True)
class RunBounds:
    """What runs in turns may take.

    `rounds` of each side are made while `budget_s` lasts, `least_rounds` in any case. One call may take
    `seconds_per_call`.
    """

    rounds: int = 12
    least_rounds: int = 3
    budget_s: float = 60.0
    seconds_per_call: float = 20.0


@dataclass(frozen=True, slots=True)
class Rounds:
    """The rounds of one side: per round the outcome of each call."""

    outcomes: tuple[tuple[TimedOutcome, ...], ...]

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds of each round, all its calls together."""
        return tuple(sum(outcome.seconds for outcome in outcomes) for outcomes in self.outcomes)

    def settled(self, index: int) -> TimedOutcome | None:
        """What call `index` gives, with its median time; None when it does not give the same every time.

        A round in which it timed out does not count where others ended: a busy machine is not the program's doing.
        """
        every = [outcomes[index] for outcomes in self.outcomes]
        ended = [outcome for outcome in every if not outcome.timed_out] or every
        first = ended[0]
        if not all(same_outcome(first, outcome) for outcome in ended[1:]):
            return None
        return TimedOutcome(first.value, first.error, median(outcome.seconds for outcome in ended))


def same_outcome(left: TimedOutcome, right: TimedOutcome) -> bool:
    """Tell whether two outcomes are one behaviour: equal values, or errors of one type."""
    if left.value is not None and right.value is not None:
        return left.value == right.value or matches(left.value, right.value)
    if left.error is not None and right.error is not None:
        return error_type(left.error) == error_type(right.error)
    return False


def error_type(error: str) -> str:
    """ "ValueError: no" is a ValueError."""
    return error.partition(":")[0]


@dataclass(frozen=True)
class Timer:
    """Times programs in the sandbox."""

    execute: Execute
    clock: Callable[[], float] = field(default=time.monotonic)

    async def time(
        self, code: str, preamble: str, calls: Sequence[str], seconds_per_call: Sequence[float]
    ) -> tuple[TimedOutcome, ...]:
        """Run the calls once, in fresh executions. Raises what the sandbox raises when there is none to be had."""
        outcomes: list[TimedOutcome] = []
        while len(outcomes) < len(calls):
            if sum(outcome.timed_out for outcome in outcomes) >= TIMEOUTS_BEFORE_GIVING_UP:
                outcomes += [TimedOutcome(None, TIMEOUT, seconds) for seconds in seconds_per_call[len(outcomes) :]]
                break
            part = slice(len(outcomes), len(outcomes) + CALLS_PER_EXECUTION)
            outcomes += await self._execute(code, preamble, calls[part], seconds_per_call[part])
        return tuple(outcomes)

    async def _execute(
        self, code: str, preamble: str, calls: Sequence[str], seconds_per_call: Sequence[float]
    ) -> Sequence[TimedOutcome]:
        """The outcomes of the first of the calls: as many as one execution had time for, one at least."""
        in_all = min(SECONDS_IN_ALL, sum(seconds_per_call))
        inputs = {
            "program": code,
            "preamble": preamble,
            "calls": list(calls),
            "seconds_per_call": list(seconds_per_call),
            "seconds_in_all": in_all,
        }
        execution = await self.execute(HARNESS, ENTRY_POINT, inputs, START_S + in_all)
        if not execution.ok:
            return [TimedOutcome(None, f"Sandbox: {execution.detail}", 0.0)] * len(calls)
        return _outcomes_from(execution.result, len(calls))

    async def in_turns(
        self, codes: tuple[str, str], preamble: str, calls: Sequence[str], bounds: RunBounds
    ) -> tuple[Rounds, Rounds]:
        """Run two programs on the same calls, A B, B A, A B, ..., each time in a fresh execution.

        The order changes, so that whatever it is worth to come second is worth as much to both.
        """
        limits = [bounds.seconds_per_call] * len(calls)
        ends = self.clock() + bounds.budget_s
        sides: tuple[list[tuple[TimedOutcome, ...]], list[tuple[TimedOutcome, ...]]] = ([], [])
        for done in range(bounds.rounds):
            if done >= bounds.least_rounds and (self.clock() >= ends or _plain(*sides)):
                break
            for turn in (0, 1) if done % 2 == 0 else (1, 0):
                sides[turn].append(await self.time(codes[turn], preamble, calls, limits))
        return Rounds(tuple(sides[0])), Rounds(tuple(sides[1]))


def _plain(*sides: Sequence[tuple[TimedOutcome, ...]]) -> bool:
    """Whether one side was many times as fast in every round: more rounds would tell nothing more."""
    ours, theirs = (Rounds(tuple(side)).seconds for side in sides)
    pairs = list(zip(ours, theirs, strict=True))
    if len(pairs) < PLAIN_ROUNDS:
        return False
    return all(a * PLAIN_FACTOR < b for a, b in pairs) or all(b * PLAIN_FACTOR < a for a, b in pairs)


def _outcomes_from(result: object, calls: int) -> Sequence[TimedOutcome]:
    """Read the harness's answer; what does not have its shape was tampered with and is no value."""
    cells = result if isinstance(result, list) and 0 < len(result) <= calls else [None] * calls
    return [_outcome_from(cell) for cell in cells]


def _outcome_from(cell: object) -> TimedOutcome:
    if isinstance(cell, dict):
        value, error, seconds = cell.get("value"), cell.get("error"), cell.get("seconds")
        if isinstance(seconds, int | float) and seconds >= 0:
            if isinstance(value, str) and error is None:
                return TimedOutcome(value, None, float(seconds))
            if isinstance(error, str) and value is None:
                return TimedOutcome(None, error, float(seconds))
    return TimedOutcome(None, "Sandbox: the result has another shape", 0.0)
