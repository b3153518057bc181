"""Programs tried on a problem's visible examples: each once, within a budget, scored."""

import ast
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from autodev_learning.examples import Example, matches
from autodev_learning.proposers import Budget, NoProposal, Problem, Proposal
from autodev_learning.trial import CallOutcome, Tester

NEARNESS_WEIGHT = 0.3
LEAST_AT_ONCE, MOST_AT_ONCE = 8, 64
SECONDS_AT_ONCE = 1.0
SHORT_CHARACTERS = 512
"""A value and what was expected, together. Of longer ones fewer are remembered: a value may have 8,000."""


@dataclass(frozen=True)
class Trial:
    """A program's outcomes on the visible examples.

    `score` in [0, 1] is 1 only if all pass; a failed example counts up to NEARNESS_WEIGHT, by how near its value is.
    """

    code: str
    edits: tuple[str, ...]
    outcomes: tuple[CallOutcome, ...]
    passed: tuple[bool, ...]
    score: float

    @property
    def passes_all(self) -> bool:
        return all(self.passed)

    @property
    def timed_out(self) -> bool:
        return any(outcome.error == "timeout" for outcome in self.outcomes)


@dataclass(frozen=True)
class Draft:
    """A program to try, and what was done to come by it."""

    code: str
    edits: tuple[str, ...] = ()


class Trials:
    """Tries drafts until the budget is spent; a program that was tried before is not tried again."""

    def __init__(self, tester: Tester, problem: Problem, budget: Budget) -> None:
        self._tester = tester
        self._problem = problem
        self._budget = budget
        self._started = time.monotonic()
        self._seen: set[str] = set()
        self._at_once = MOST_AT_ONCE
        self.tried = 0
        self.best: Trial | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def exhausted(self) -> bool:
        return self.seconds >= self._budget.seconds or self.tried >= self._budget.programs

    def fresh(self, drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts that compile and were not handed out before."""
        fresh = []
        for draft in drafts:
            if draft.code not in self._seen:
                self._seen.add(draft.code)
                if is_python(draft.code):
                    fresh.append(draft)
        return fresh

    async def run(self, drafts: Sequence[Draft]) -> list[Trial]:
        """Try the fresh ones among the drafts, as many as the budget has left."""
        waiting = self.fresh(drafts)[: max(0, self._budget.programs - self.tried)]
        trials: list[Trial] = []
        # Where programs take long (most do not end), few are tried between two looks at the clock.
        while waiting and not (trials and self.exhausted):
            started = time.monotonic()
            trials += await self._run(waiting[: self._at_once])
            waiting = waiting[self._at_once :]
            rate = self._at_once / max(0.001, time.monotonic() - started)
            self._at_once = max(LEAST_AT_ONCE, min(MOST_AT_ONCE, int(rate * SECONDS_AT_ONCE)))
        return trials

    async def _run(self, drafts: Sequence[Draft]) -> list[Trial]:
        examples = self._problem.visible
        calls = [example.call for example in examples]
        results = await self._tester.run([draft.code for draft in drafts], self._problem.preamble, calls)
        self.tried += len(drafts)
        trials = [_trial(draft, outcomes, examples) for draft, outcomes in zip(drafts, results, strict=True)]
        for trial in trials:
            if self.best is None or trial.score > self.best.score:
                self.best = trial
        return trials

    async def probe(self, trials: Sequence[Trial], calls: Sequence[str]) -> list[tuple[CallOutcome, ...]]:
        """Give tried programs' outcomes on other calls than the examples'."""
        if not trials or not calls:
            return [()] * len(trials)
        return await self._tester.run([trial.code for trial in trials], self._problem.preamble, calls)

    def proposal(self, proposer: str, trial: Trial) -> Proposal:
        return Proposal(trial.code, proposer, trial.edits, sum(trial.passed), self.tried, self.seconds)

    def no_proposal(self, proposer: str, reason: str, variants: Sequence[str] = ()) -> NoProposal:
        passed = sum(self.best.passed) if self.best else 0
        best = f"the best of {self.tried} programs passes {passed} of {len(self._problem.visible)} examples"
        return NoProposal(proposer, f"{reason}; {best}", passed, self.tried, self.seconds, tuple(variants))


def is_python(code: str) -> bool:
    """Tell whether the code compiles and says something: comments alone are no program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "<draft>", "exec")
        return bool(ast.parse(code).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _trial(draft: Draft, outcomes: tuple[CallOutcome, ...], examples: Sequence[Example]) -> Trial:
    near = [nearness(outcome.value, example.expected) for outcome, example in zip(outcomes, examples, strict=True)]
    passed = tuple(each == 1.0 for each in near)
    score = sum(1.0 if ok else NEARNESS_WEIGHT * each for ok, each in zip(passed, near, strict=True))
    return Trial(draft.code, draft.edits, outcomes, passed, score / max(1, len(examples)))


def nearness(actual: str | None, expected: str) -> float:
    """How near a value is to what was expected: 1 only for a match, 0 for an error."""
    if actual is None:
        return 0.0
    short = len(actual) + len(expected) <= SHORT_CHARACTERS
    return (_nearness_of_short if short else _nearness_of_long)(actual, expected)


def _nearness(actual: str, expected: str) -> float:
    if matches(actual, expected):
        return 1.0
    try:
        value, wanted = ast.literal_eval(actual[:2000]), ast.literal_eval(expected)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return 0.05
    if isinstance(wanted, bool) or value is None:
        return 0.1 if isinstance(value, bool) else 0.05
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return 0.9 / (1 + min(_distance(value, wanted), 1e9))
    same_kind = 0.3 if type(value) is type(wanted) else 0.1
    return same_kind + 0.6 * SequenceMatcher(None, actual[:500], expected[:500]).ratio()


# Programs of one problem give few values again and again. The texts are kept with what is known of them.
_nearness_of_short = lru_cache(maxsize=65536)(_nearness)
_nearness_of_long = lru_cache(maxsize=1024)(_nearness)


def _distance(value: float, wanted: float) -> float:
    try:
        return abs(value - wanted)
    except OverflowError:  # One is a fraction, and the other larger than any can be.
        return math.inf
