"""The programs worth editing next, best first, and their edits, likeliest first."""

import builtins
import heapq
import keyword
import math
import random
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from autodev_learning.proposers.bench import Bench
from autodev_learning.proposers.candidates import Candidate, Outline
from autodev_learning.proposers.edits import operators
from autodev_learning.proposers.pieces import Edit, Piece
from autodev_learning.screening import Line, Pieces
from autodev_learning.trial import CallOutcome

EDITS_A_TURN = 96
PARENTS_A_ROUND = 5
DEPTH_COST = 0.05
EDIT_COST = 0.00015
MAX_DEPTH = 4
MOST_EDITS = 15_000
"""Of one operator and piece: all are made before any is tried, and the clock is not looked at meanwhile."""
LEAST_SUSPICION = 0.15
REPEATED_BITS = 1.0
"""What an edit costs that mended another function of the program already."""
_WORDS = frozenset(
    {*keyword.kwlist, *dir(builtins), "replace", "by", "start", "with", "end", "insert", "delete", "move"}
)
BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(order=True)
class _Entry:
    key: float
    order: int
    candidate: Candidate = field(compare=False)
    edits: Iterator[Candidate] | None = field(compare=False, default=None)

    def turn(self) -> list[Candidate]:
        """The next edits; fewer than a turn's are the last."""
        assert self.edits is not None
        return list(islice(self.edits, EDITS_A_TURN))


class Frontier:
    """A queue of programs by promise: how well they do on the goal, less what was already spent on them.

    The edits of a program come in an order drawn by the problem's seed: likelier operators more often first, and lines
    first that failing examples run and passing ones do not. The nearest of the programs that failed has a turn in every
    round, however promising its edits look: most mistakes are mended by one edit.
    """

    def __init__(
        self,
        bench: Bench,
        goal: Sequence[int],
        entries: Sequence[str],
        cleared: Collection[str],
        mistakes: Collection[str] = (),
    ) -> None:
        self._bench = bench
        self._goal = goal
        self._entries = entries
        self._cleared = cleared
        self._mistakes = mistakes
        self._heap: list[_Entry] = []
        self._start: _Entry | None = None
        self._added = 0
        self._behaviours: set[tuple[CallOutcome, ...]] = set()

    def add(self, candidate: Candidate, probed: tuple[CallOutcome, ...] = ()) -> None:
        """Queue a program, unless it behaves as another does, on what was `probed` too: its edits would do the same."""
        behaviour = (*candidate.outcomes, *probed)
        if behaviour in self._behaviours or candidate.depth > MAX_DEPTH:
            return
        self._behaviours.add(behaviour)
        self._added += 1
        key = DEPTH_COST * candidate.depth + 0.002 * candidate.cost - candidate.score(self._goal)
        entry = _Entry(key, self._added, candidate)
        heapq.heappush(self._heap, entry)
        if candidate.depth == 0 and (self._start is None or entry < self._start):
            self._start = entry

    def best(self, count: int) -> list[Candidate]:
        """The most promising that were queued and are not yet done with."""
        return [entry.candidate for entry in heapq.nsmallest(count, self._heap)]

    async def batch(self, size: int) -> list[Candidate]:
        """The next programs to try; empty when all is tried."""
        made: list[Candidate] = []
        while self._heap and len(made) < size:
            entries = [heapq.heappop(self._heap) for _ in range(min(PARENTS_A_ROUND, len(self._heap)))]
            start = self._start if self._start and self._start not in entries else None
            await self._prepare([entry for entry in (*entries, start) if entry and entry.edits is None])
            for entry in entries:
                turn = entry.turn()
                made += turn
                if len(turn) == EDITS_A_TURN:
                    entry.key += EDIT_COST * len(turn)
                    heapq.heappush(self._heap, entry)
            made += start.turn() if start else []
        return made

    async def single(self, size: int) -> list[Candidate]:
        """The next of what one edit makes of the nearest of the programs that failed; empty when all is tried."""
        if self._start is None:
            return []
        await self._prepare([self._start] if self._start.edits is None else [])
        assert self._start.edits is not None
        return list(islice(self._start.edits, size))

    async def _prepare(self, entries: Sequence[_Entry]) -> None:
        """Trace programs, so that their edits can be put in order."""
        problem = self._bench.problem
        if not entries:
            return
        calls = [problem.visible[place].call for place in self._goal]
        programs = [entry.candidate.pieces for entry in entries]
        traces = await self._bench.screener.trace(programs, problem.preamble, calls)
        for entry, trace in zip(entries, traces, strict=True):
            failed = [entry.candidate.near[place] != 1.0 for place in self._goal]
            entry.edits = self._edited(entry.candidate, suspicions(trace.lines, failed))

    def _edited(self, candidate: Candidate, suspicion: Mapping[Line, float]) -> Iterator[Candidate]:
        code = candidate.code
        draw = random.Random(zlib.crc32(code.encode()) ^ self._bench.problem.seed)
        try:
            outline = Outline.of(candidate.pieces)
        except BROKEN:
            # No program: there is nothing in it to edit.
            return
        keyed: list[tuple[float, float, int, Piece, Edit]] = []
        for place in sorted(outline.reached(self._entries)):
            if self._bench.exhausted:
                return
            if outline.names[place] in self._cleared:
                continue
            try:
                piece = Piece(candidate.pieces[place], outline.around)
            except BROKEN:
                continue
            keyed += [
                (*key, place, piece, edit) for key, edit in ordered(piece, place, suspicion, draw, self._mistakes)
            ]
        keyed.sort(key=lambda entry: entry[0])
        for _, cost, place, piece, edit in keyed:
            pieces = with_piece(candidate.pieces, place, piece.apply(edit))
            if self._bench.fresh(pieces):
                yield Candidate(pieces, (*candidate.edits, edit.description), candidate.cost + cost)


def with_piece(pieces: Pieces, place: int, text: str) -> Pieces:
    return (*pieces[:place], text, *pieces[place + 1 :])


def suspicions(lines: Sequence[frozenset[Line]], failed: Sequence[bool]) -> dict[Line, float]:
    """How suspicious each line is that ran (Ochiai): 1 where all failing examples run it, and no passing one."""
    failures = sum(failed)
    by_line: dict[Line, list[int]] = {}
    for ran, is_failure in zip(lines, failed, strict=True):
        for line in ran:
            by_line.setdefault(line, [0, 0])[is_failure] += 1
    return {
        line: fails / math.sqrt(failures * (fails + passes)) if failures else 0.5
        for line, (passes, fails) in by_line.items()
    }


def ordered(
    piece: Piece,
    place: int,
    suspicion: Mapping[Line, float],
    draw: random.Random,
    mistakes: Collection[str] = (),
) -> list[tuple[tuple[float, float], Edit]]:
    """The edits, with when to try each and what it costs: an operator's share of the first goes by its prior."""
    keyed: list[tuple[tuple[float, float], Edit]] = []
    priors = sum(operator.prior for operator in operators())
    for operator in operators():
        # Of edits at equally suspicious places the first ones are the likeliest: operators say them in that order.
        weighed: list[tuple[float, Edit]] = []
        for edit in islice(operator.edits(piece), MOST_EDITS):
            suspected = max((_suspicion(piece, place, start, suspicion) for start, _, _ in edit.splices), default=0.0)
            weighed.append(((1.2 - suspected) * (0.5 + draw.random()) * (1 + 0.2 * edit.bits), edit))
        weighed.sort(key=lambda pair: pair[0])
        for rank, (_, edit) in enumerate(weighed):
            when = (rank + draw.random()) / operator.prior
            cost = math.log2(priors * len(weighed) / operator.prior) + edit.bits
            if mistakes and shape(edit.description) in mistakes:
                when, cost = 0.0, min(cost, REPEATED_BITS)
            keyed.append(((when, cost), edit))
    return keyed


def _suspicion(piece: Piece, place: int, offset: int, suspicion: Mapping[Line, float]) -> float:
    """Of the line that an offset is in, or, where something is put between lines, of those around it."""
    line = piece.line_of(offset)
    here = suspicion.get((place, line), 0.0)
    if here == 0.0:
        here = max(suspicion.get((place, line - 1), 0.0), suspicion.get((place, line + 1), 0.0)) * 0.5
    return max(here, LEAST_SUSPICION)


def shape(description: str) -> str:
    """What an edit does, whatever the names: two edits that mend the same mistake in two functions have one shape."""
    _, _, what = description.partition(": ")
    return re.sub(r"[A-Za-z_]\w*", lambda word: word[0] if word[0] in _WORDS else "_", what)
