"""How long programs may take in a search: as long as those that it began with, and a few of them longer.

A program that failed at once may take long when it is right, so those that fail at nothing but by their turns are given
more. Examples that take every program long are asked only of those that pass the others: thousands of programs, each
with the most turns there are, would take minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autodev_learning.proposers import Problem
from autodev_learning.proposers.candidates import Candidate
from autodev_learning.proposers.trials import nearness
from autodev_learning.screening import LEVELS, LONGEST, UNENDED, Pace, Pieces, Screener
from autodev_learning.trial import CallOutcome

LOOKS, ENDLESS_LOOK = 24, 6
"""Programs that are allowed more turns, in a search; one that ends no less than those it began with counts so many."""


class Pacing:
    """Gives candidates their outcomes on a problem's visible examples, by their places."""

    def __init__(self, screener: Screener, problem: Problem) -> None:
        self._screener = screener
        self._problem = problem
        self._pace = Pace()
        self._looks = LOOKS
        self._turns_of_few = screener.turns

    async def calibrate(self, starts: Sequence[Pieces]) -> None:
        """Find out how long the examples take the programs that the search begins with."""
        calls = [example.call for example in self._problem.visible]
        self._pace = await self._screener.calibrate(starts, self._problem.preamble, calls)
        self._turns_of_few = self._screener.turns

    async def of_many(self, candidates: Sequence[Candidate], places: Sequence[int]) -> list[Candidate]:
        """The candidates with their outcomes, as long as they took when the search began; some of them longer."""
        done = await self._outcomes(candidates, places, self._screener.turns)
        for turns in self._more_turns():
            slow = [at for at, candidate in enumerate(done) if self._may_look(candidate, places)]
            for at, looked in zip(slow, await self._outcomes([done[at] for at in slow], places, turns), strict=True):
                done[at] = looked
                if looked.passes(places):
                    self._turns_of_few = max(self._turns_of_few, turns)
        return done

    async def of_few(self, candidates: Sequence[Candidate], places: Sequence[int]) -> list[Candidate]:
        """The same for a few: they have as many turns as any that passed was given."""
        return await self._outcomes(candidates, places, self._turns_of_few)

    async def rows_of_few(self, candidates: Sequence[Candidate], calls: Sequence[str]) -> list[tuple[CallOutcome, ...]]:
        """What they give on other calls than the examples'."""
        return await self._rows(candidates, calls, self._turns_of_few)

    def _more_turns(self) -> Sequence[int]:
        more = [level for level in LEVELS if level > self._screener.turns]
        return more or ([LONGEST] if self._pace.dear else [])

    def _may_look(self, candidate: Candidate, places: Sequence[int]) -> bool:
        """Whether a candidate fails at nothing but by its turns, and is among the few that are given more."""
        failed = [place for place in places if candidate.near[place] != 1.0]
        unended = {place for place, outcome in zip(places, candidate.outcomes, strict=True) if outcome == UNENDED}
        if not failed or len(failed) == len(places) or not unended.issuperset(failed):
            return False
        price = ENDLESS_LOOK if self._pace.endless.issuperset(failed) else 1
        if self._looks < price:
            return False
        self._looks -= price
        return True

    async def _outcomes(self, candidates: Sequence[Candidate], places: Sequence[int], turns: int) -> list[Candidate]:
        """What takes long is asked only of those that pass all the others: of the rest it is taken not to end."""
        dear = [place for place in places if place in self._pace.dear]
        done = await self._given(candidates, [place for place in places if place not in dear], turns)
        passing = [at for at, given in enumerate(done) if all(self._near(*each) == 1.0 for each in given.items())]
        of_dear = await self._given([candidates[at] for at in passing], dear, turns)
        for at, given in zip(passing, of_dear, strict=True):
            done[at] |= given
        return [
            self._measured(candidate, {place: given.get(place, UNENDED) for place in places})
            for candidate, given in zip(candidates, done, strict=True)
        ]

    async def _given(
        self, candidates: Sequence[Candidate], places: Sequence[int], turns: int
    ) -> list[dict[int, CallOutcome]]:
        if not places:
            return [{} for _ in candidates]
        rows = await self._rows(candidates, [self._problem.visible[place].call for place in places], turns)
        return [dict(zip(places, row, strict=True)) for row in rows]

    async def _rows(
        self, candidates: Sequence[Candidate], calls: Sequence[str], turns: int
    ) -> list[tuple[CallOutcome, ...]]:
        usual, self._screener.turns = self._screener.turns, turns
        try:
            return await self._screener.run([each.pieces for each in candidates], self._problem.preamble, calls)
        finally:
            self._screener.turns = usual

    def _measured(self, candidate: Candidate, given: Mapping[int, CallOutcome]) -> Candidate:
        near = [0.0] * len(self._problem.visible)
        for place, outcome in given.items():
            near[place] = self._near(place, outcome)
        return replace(candidate, outcomes=tuple(given.values()), near=tuple(near))

    def _near(self, place: int, outcome: CallOutcome) -> float:
        return nearness(outcome.value, self._problem.visible[place].expected)
