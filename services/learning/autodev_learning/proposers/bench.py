"""Where a search tries its programs: within a budget, and each once."""

import time
from collections.abc import Sequence

from autodev_learning.proposers import Budget, Problem
from autodev_learning.proposers.candidates import Candidate
from autodev_learning.proposers.pacing import Pacing
from autodev_learning.screening import Pieces, Screener
from autodev_learning.trial import CallOutcome


class Bench:
    """Screens candidates within a budget; one that was screened before is not again."""

    def __init__(self, screener: Screener, problem: Problem, budget: Budget) -> None:
        self.screener = screener
        self.problem = problem
        self.budget = budget
        self._pacing = Pacing(screener, problem)
        self._started = time.monotonic()
        self._seen: set[Pieces] = set()
        self.tried = 0

    async def calibrate(self, starts: Sequence[Pieces]) -> None:
        """Find out how long the examples take the programs that the search begins with."""
        await self._pacing.calibrate(starts)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def exhausted(self) -> bool:
        return self.seconds >= self.budget.seconds or self.tried >= self.budget.programs

    def fresh(self, pieces: Pieces) -> bool:
        """Whether these were not seen before."""
        if pieces in self._seen:
            return False
        self._seen.add(pieces)
        return True

    async def run(self, candidates: Sequence[Candidate], places: Sequence[int]) -> list[Candidate]:
        """Give the candidates with their outcomes on the examples at these places; on others they have none."""
        candidates = candidates[: max(0, self.budget.programs - self.tried)]
        self.tried += len(candidates)
        return await self._pacing.of_many(candidates, places)

    async def outcomes(self, candidates: Sequence[Candidate], places: Sequence[int]) -> list[Candidate]:
        """The same for a few that were tried before: they are not counted."""
        return await self._pacing.of_few(candidates, places)

    async def probe(self, candidates: Sequence[Candidate], calls: Sequence[str]) -> list[tuple[CallOutcome, ...]]:
        """What candidates give on other calls than the examples'."""
        if not candidates or not calls:
            return [()] * len(candidates)
        return await self._pacing.rows_of_few(candidates, calls)
