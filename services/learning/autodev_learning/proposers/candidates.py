"""Programs in a search: pieces of text, what was done to them, and what they gave on the examples."""

import ast
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autodev_learning.lines import lines_of
from autodev_learning.proposers import Budget, Problem
from autodev_learning.proposers.pieces import Definition, Piece, Surroundings
from autodev_learning.proposers.trials import nearness
from autodev_learning.screening import LEVELS, LONGEST, UNENDED, Pace, Pieces, Screener
from autodev_learning.trial import CallOutcome

LOOKS, ENDLESS_LOOK = 24, 6
"""Programs that are allowed more turns, in a search; one that ends no less than those it began with counts so many."""


@dataclass(frozen=True)
class Candidate:
    """A program, what was done to come by it, and how each example went.

    `cost` grows with each edit, the likelier the edit the less. `near` is per example how near the value came to what
    was expected: 1 only if it is that.
    """

    pieces: Pieces
    edits: tuple[str, ...] = ()
    cost: float = 0.0
    outcomes: tuple[CallOutcome, ...] = ()
    near: tuple[float, ...] = ()

    @property
    def code(self) -> str:
        return "".join(self.pieces)

    @property
    def is_rewritten(self) -> bool:
        """Whether the last thing done was to write a function anew."""
        return bool(self.edits) and self.edits[-1].endswith(" for all")

    @property
    def depth(self) -> int:
        return len(self.edits)

    def passes(self, places: Sequence[int]) -> bool:
        return all(self.near[place] == 1.0 for place in places)

    def score(self, places: Sequence[int]) -> float:
        """The share of examples passed, near misses counting a little."""
        return sum(1.0 if self.near[at] == 1.0 else 0.3 * self.near[at] for at in places) / max(1, len(places))


def split(code: str) -> Pieces:
    """A program's top statements, each with the lines up to the next. Raises SyntaxError or ValueError."""
    body = ast.parse(code).body
    if not body:
        return ()
    lines = lines_of(code)
    firsts = [min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))]) for node in body]
    if len(set(firsts)) != len(firsts):
        return tuple(f"{ast.unparse(node)}\n" for node in body)
    starts = [0, *(first - 1 for first in firsts[1:])]
    ends = [*starts[1:], len(lines)]
    return tuple(Piece("".join(lines[start:end])).text for start, end in zip(starts, ends, strict=True))


@dataclass(frozen=True)
class Outline:
    """What the pieces of a program define: by piece the function's name, and what it reads."""

    names: tuple[str, ...]
    around: Surroundings
    reads: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, pieces: Pieces) -> "Outline":
        names: list[str] = []
        reads: list[frozenset[str]] = []
        functions: dict[str, tuple[str, ...]] = {}
        sources: dict[str, str] = {}
        others: set[str] = set()
        for piece in pieces:
            body = ast.parse(piece).body
            node = body[0] if body else None
            names.append(node.name if isinstance(node, Definition) else "")
            reads.append(
                frozenset(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)) if node else frozenset()
            )
            if isinstance(node, ast.FunctionDef):
                functions[node.name] = tuple(arg.arg for arg in node.args.args)
                sources[node.name] = piece
            elif node:
                others |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
                others |= {
                    (inner.asname or inner.name).partition(".")[0]
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.alias)
                }
        return cls(tuple(names), Surroundings(functions, sources, frozenset(others)), tuple(reads))

    def reached(self, names: Sequence[str]) -> frozenset[int]:
        """The pieces that functions reach, themselves included."""
        reached: set[int] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            for place, own in enumerate(self.names):
                if own == name and place not in reached:
                    reached.add(place)
                    waiting += self.reads[place]
        return frozenset(reached)


class Bench:
    """Screens candidates within a budget; one that was screened before is not again."""

    def __init__(self, screener: Screener, problem: Problem, budget: Budget) -> None:
        self.screener = screener
        self.problem = problem
        self.budget = budget
        self._started = time.monotonic()
        self._seen: set[Pieces] = set()
        self._looks = LOOKS
        self._turns_of_few = screener.turns
        self._pace = Pace()
        self.tried = 0

    async def calibrate(self, starts: Sequence[Pieces]) -> None:
        """Find out how long the examples take programs."""
        calls = [example.call for example in self.problem.visible]
        self._pace = await self.screener.calibrate(starts, self.problem.preamble, calls)
        self._turns_of_few = self.screener.turns

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
        done = await self._outcomes(candidates, places, self.screener.turns)
        await self._look_longer(done, places)
        return done

    async def outcomes(self, candidates: Sequence[Candidate], places: Sequence[int]) -> list[Candidate]:
        """The same for a few that were tried before: they are not counted, and have as many turns as any was given."""
        return await self._outcomes(candidates, places, self._turns_of_few)

    async def probe(self, candidates: Sequence[Candidate], calls: Sequence[str]) -> list[tuple[CallOutcome, ...]]:
        """What candidates give on other calls than the examples'."""
        if not candidates or not calls:
            return [()] * len(candidates)
        return await self._rows(candidates, calls, self._turns_of_few)

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
        rows = await self._rows(candidates, [self.problem.visible[place].call for place in places], turns)
        return [dict(zip(places, row, strict=True)) for row in rows]

    async def _rows(
        self, candidates: Sequence[Candidate], calls: Sequence[str], turns: int
    ) -> list[tuple[CallOutcome, ...]]:
        usual, self.screener.turns = self.screener.turns, turns
        try:
            return await self.screener.run([each.pieces for each in candidates], self.problem.preamble, calls)
        finally:
            self.screener.turns = usual

    def _measured(self, candidate: Candidate, given: Mapping[int, CallOutcome]) -> Candidate:
        near = [0.0] * len(self.problem.visible)
        for place, outcome in given.items():
            near[place] = self._near(place, outcome)
        return replace(candidate, outcomes=tuple(given.values()), near=tuple(near))

    def _near(self, place: int, outcome: CallOutcome) -> float:
        return nearness(outcome.value, self.problem.visible[place].expected)

    async def _look_longer(self, done: list[Candidate], places: Sequence[int]) -> None:
        """Allow more turns to those that fail at nothing but by taking too many.

        A program that failed at once may take long when it is right.
        """
        for turns in [level for level in LEVELS if level > self.screener.turns] or (
            [LONGEST] if self._pace.dear else []
        ):
            slow = [at for at, candidate in enumerate(done) if self._may_look(candidate, places)]
            for at, looked in zip(slow, await self._outcomes([done[at] for at in slow], places, turns), strict=True):
                done[at] = looked
                if looked.passes(places):
                    self._turns_of_few = max(self._turns_of_few, turns)

    def _may_look(self, candidate: Candidate, places: Sequence[int]) -> bool:
        failed = [place for place in places if candidate.near[place] != 1.0]
        unended = {place for place, outcome in zip(places, candidate.outcomes, strict=True) if outcome == UNENDED}
        if not failed or len(failed) == len(places) or not unended.issuperset(failed):
            return False
        price = ENDLESS_LOOK if self._pace.endless.issuperset(failed) else 1
        if self._looks < price:
            return False
        self._looks -= price
        return True
