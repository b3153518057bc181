"""Screening programs in the sandbox, thousands of them: for a search, which tries again what it means to believe.

As with trials, what is expected stays outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from autodev_learning.harnesses import SCREEN, TRIAL, harness
from autodev_learning.trial import CallOutcome, Execute

ENTRY_POINT = "screen"
START_S = 10.0
SECONDS_A_PROGRAM = 0.2
LEVELS = (2_000, 20_000, 200_000)
"""Turns of a loop or a recursion, together, after which a call counts as endless: the fewest that will do."""
LONGEST = 2_000_000
"""Turns that only those few are allowed that fail at nothing else."""
SECONDS = {2_000: 0.05, 20_000: 0.1, 200_000: 0.4, LONGEST: 2.0}
"""The processor time of a call, by its turns."""
MOST_CHARACTERS = 500_000

Pieces = tuple[str, ...]
"""A program as texts that, joined, are its source."""
Line = tuple[int, int]
"""A line of a program: which piece, and which line of it, from 1."""


UNENDED = CallOutcome(error="timeout")


class Pace(NamedTuple):
    """Places of calls: on which no program ended, and, where any wants the last level's turns, on which all do."""

    endless: frozenset[int] = frozenset()
    dear: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Traced:
    """A program's outcomes, and the lines that each call ran."""

    outcomes: tuple[CallOutcome, ...]
    lines: tuple[frozenset[Line], ...]


@dataclass
class Screener:
    """Runs programs on calls, a few hundred an execution.

    A loop or recursion is endless after `turns` turns. Outcomes that are equal are one object.
    """

    execute: Execute
    turns: int = LEVELS[0]
    programs_per_execution: int = 400
    _outcomes: dict[str, CallOutcome] = field(default_factory=dict, init=False, repr=False)

    async def run(
        self, programs: Sequence[Pieces], preamble: str, calls: Sequence[str]
    ) -> list[tuple[CallOutcome, ...]]:
        """Give each program's outcomes, in the order of the calls."""
        rows = await self._rows(programs, preamble, calls, traced=False)
        return [tuple(map(self._outcome, row)) for row in rows]

    async def calibrate(self, programs: Sequence[Pieces], preamble: str, calls: Sequence[str]) -> Pace:
        """Allow as many turns as let end what of these programs ends at all."""
        ends: list[list[tuple[bool, ...]]] = []
        for level in LEVELS[::-1]:
            self.turns = level
            rows = await self.run(programs, preamble, calls)
            ends.append([tuple(outcome != UNENDED for outcome in row) for row in rows])
            if ends[-1] != ends[0]:
                self.turns = min(LEVELS[-1], level * 10)
                break
        dear = _nobodys(ends[-1]) if self.turns == LEVELS[-1] else frozenset[int]()
        return Pace(endless=_nobodys(ends[0]), dear=dear)

    async def trace(self, programs: Sequence[Pieces], preamble: str, calls: Sequence[str]) -> list[Traced]:
        """The same, and what ran. Slower by an order."""
        rows = await self._rows(programs, preamble, calls, traced=True)
        return [
            Traced(tuple(self._outcome(text) for text, _ in row), tuple(frozenset(lines) for _, lines in row))
            for row in rows
        ]

    async def _rows(
        self, programs: Sequence[Pieces], preamble: str, calls: Sequence[str], *, traced: bool
    ) -> list[list[Any]]:
        rows: list[list[Any]] = []
        for start in range(0, len(programs), self.programs_per_execution):
            rows += await self._run(programs[start : start + self.programs_per_execution], preamble, calls, traced)
        return rows

    async def _run(
        self, programs: Sequence[Pieces], preamble: str, calls: Sequence[str], traced: bool
    ) -> list[list[Any]]:
        places: dict[str, int] = {}
        indexed = [[places.setdefault(piece, len(places)) for piece in program] for program in programs]
        inputs = {
            "pieces": list(places),
            "programs": indexed,
            "preamble": preamble,
            "calls": list(calls),
            "turns": self.turns,
            "seconds": SECONDS[self.turns],
            "traced": traced,
        }
        if sum(map(len, places)) <= MOST_CHARACTERS:
            timeout_s = START_S + len(programs) * SECONDS_A_PROGRAM
            execution = await self.execute(harness(TRIAL, SCREEN), ENTRY_POINT, inputs, timeout_s)
            rows = execution.result if execution.ok and isinstance(execution.result, list) else []
            rows = [row for row in rows if isinstance(row, list) and len(row) == len(calls)]
            if len(rows) == len(programs):
                return [_placed(row, at) for row, at in zip(rows, indexed, strict=True)] if traced else rows
            detail = execution.detail or "the result has another shape"
        else:
            detail = "too large"
        if len(programs) == 1:
            lost = f"eSandbox: {detail}"
            return [[(lost, [])] * len(calls)] if traced else [[lost] * len(calls)]
        # One program took the whole execution down: the halves find out which.
        middle = len(programs) // 2
        return [
            *await self._run(programs[:middle], preamble, calls, traced),
            *await self._run(programs[middle:], preamble, calls, traced),
        ]

    def _outcome(self, text: object) -> CallOutcome:
        if not isinstance(text, str):
            return CallOutcome(error="Sandbox: the result has another shape")
        known = self._outcomes.get(text)
        if known is None:
            known = CallOutcome(value=text[1:]) if text[:1] == "v" else CallOutcome(error=text[1:])
            self._outcomes[text] = known
        return known


def _nobodys(ends: Sequence[Sequence[bool]]) -> frozenset[int]:
    """The places of calls that no program ended."""
    return frozenset(place for place, ended in enumerate(zip(*ends, strict=True)) if not any(ended))


def _placed(row: Sequence[object], places: Sequence[int]) -> list[tuple[object, list[Line]]]:
    """A traced row, its lines by the program's own pieces."""
    own = {place: index for index, place in enumerate(places)}
    cells: list[tuple[object, list[Line]]] = []
    for cell in row:
        text, lines = cell if isinstance(cell, list) and len(cell) == 2 else (None, [])
        ran = [line for line in lines if isinstance(line, list) and len(line) == 2] if isinstance(lines, list) else []
        cells.append((text, [(own[piece], line) for piece, line in ran if piece in own]))
    return cells
