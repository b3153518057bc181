"""The programs worth editing next, best first."""

import heapq
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import libcst as cst

from autodev_learning.proposers import Problem
from autodev_learning.proposers.edits import operators
from autodev_learning.proposers.functions import examples_about
from autodev_learning.proposers.tree import CannotEdit, Edit, Program
from autodev_learning.proposers.trials import Draft, Trial

EDITS_A_TURN = 8
DEPTH_COST = 0.04
EDIT_COST = 0.003
TIMEOUT_COST = 0.02
MAX_DEPTH = 5


@dataclass(order=True)
class _Entry:
    key: float
    order: int
    trial: Trial = field(compare=False)
    depth: int = field(compare=False)
    drafts: Iterator[Draft] = field(compare=False)
    made: int = field(default=0, compare=False)


class Frontier:
    """A queue of programs by promise: how well they do, less what was already spent on them.

    The edits of a program come in an order drawn by the problem's seed, likelier operators more often first.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._heap: list[_Entry] = []
        self._added = 0
        self._behaviours: set[tuple[object, ...]] = set()

    def add(self, trial: Trial, depth: int) -> None:
        """Queue a program, unless it is an edited one that behaves as another does: its edits would do the same."""
        if depth > 0 and (trial.outcomes in self._behaviours or depth > MAX_DEPTH):
            return
        self._behaviours.add(trial.outcomes)
        self._added += 1
        drafts = _drafts(trial, self._problem)
        heapq.heappush(self._heap, _Entry(DEPTH_COST * depth - trial.score, self._added, trial, depth, drafts))

    def batch(self, size: int) -> list[tuple[Draft, Trial, int]]:
        """The next drafts, each with the program it was made from and its depth; empty when all is tried."""
        made: list[tuple[Draft, Trial, int]] = []
        while self._heap and len(made) < size:
            entry = heapq.heappop(self._heap)
            drafts = [draft for draft, _ in zip(entry.drafts, range(EDITS_A_TURN), strict=False)]
            made += [(draft, entry.trial, entry.depth + 1) for draft in drafts]
            if len(drafts) == EDITS_A_TURN:
                entry.made += len(drafts)
                entry.key += EDIT_COST * len(drafts)
                heapq.heappush(self._heap, entry)
        return made

    def charge(self, trial: Trial) -> None:
        """Put a program back for an edit of it that did not end: trying those takes long."""
        for entry in self._heap:
            if entry.trial is trial:
                entry.key += TIMEOUT_COST
        heapq.heapify(self._heap)


def _drafts(trial: Trial, problem: Problem) -> Iterator[Draft]:
    try:
        program = Program(trial.code)
    except cst.ParserSyntaxError:
        return
    draw = random.Random(zlib.crc32(trial.code.encode()) ^ problem.seed)
    for edit in ordered(program.focused_on(suspects(program, trial, problem)), draw):
        try:
            code = program.apply(edit)
        except CannotEdit:
            continue
        if code != trial.code:
            yield Draft(code, (*trial.edits, edit.description))


def ordered(program: Program, draw: random.Random) -> list[Edit]:
    """All edits in a random order in which an operator's share of the first ones goes by its prior."""
    keyed: list[tuple[float, Edit]] = []
    for operator in operators():
        edits = list(operator.edits(program))
        draw.shuffle(edits)
        keyed += [((place + draw.random()) / operator.PRIOR, edit) for place, edit in enumerate(edits)]
    keyed.sort(key=lambda pair: pair[0])
    return [edit for _, edit in keyed]


def suspects(program: Program, trial: Trial, problem: Problem) -> frozenset[str]:
    """The functions that a failing example reaches, less those whose own examples all pass."""
    calls = {site.function.name: site.function.calls for site in program.sites if site.function}
    suspected: set[str] = set()
    cleared: set[str] = set()
    for entry in problem.entry_points:
        about = examples_about(entry, problem.visible)
        if about and all(trial.passed[index] for index in about):
            cleared.add(entry)
        else:
            suspected |= _reached(entry, calls)
    return frozenset(suspected - cleared)


def _reached(entry: str, calls: dict[str, frozenset[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in calls and name not in reached:
            reached.add(name)
            waiting += calls[name]
    return reached
