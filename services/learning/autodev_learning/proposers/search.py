"""Repair search: edit the programs that failed, best first, until some pass every visible example; then choose.

A task of several functions is solved one function after the other, those first that others call: so edits to different
functions need not be found at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from autodev_learning.examples import called_names
from autodev_learning.proposers import Budget, NoProposal, Problem, Proposal
from autodev_learning.proposers.bench import Bench
from autodev_learning.proposers.candidates import Candidate, Outline, split
from autodev_learning.proposers.crossover import cross
from autodev_learning.proposers.frontier import BROKEN, Frontier, shape, with_piece
from autodev_learning.proposers.minimal import minimised
from autodev_learning.proposers.probes import probes
from autodev_learning.proposers.rewrites import rewritings
from autodev_learning.proposers.solutions import Solutions
from autodev_learning.proposers.trials import Draft, Trials
from autodev_learning.trial import Tester, check

BATCH = 400
VARIANTS_KEPT = 12
MOST_CALIBRATED = 3
REWRITE_BITS = 24.0
"""What a function written anew costs in the choice: as much as two likely edits."""


@dataclass(frozen=True)
class Stage:
    """One function's examples, and those of earlier ones that share its pieces; which functions are done."""

    entry: str
    about: tuple[int, ...]
    goal: tuple[int, ...]
    cleared: frozenset[str]


@dataclass(frozen=True)
class Search:
    """Proposes edited programs, deterministically by the problem's seed where the budget's seconds are no limit."""

    tester: Tester
    name: str = field(default="search", init=False)

    async def propose(self, problem: Problem, budget: Budget) -> Proposal | NoProposal:
        return await Run(self.name, problem, Bench(self.tester.screener(), problem, budget), self.tester).answer()


@dataclass
class Run:
    """One search: the programs at hand, and the best seen."""

    name: str
    problem: Problem
    bench: Bench
    tester: Tester
    seen: list[Candidate] = field(default_factory=list)

    async def answer(self) -> Proposal | NoProposal:
        starts = starting(self.problem)
        if not starts:
            return self.refusal("no failing program parses")
        await self.bench.calibrate([each.pieces for each in starts[:MOST_CALIBRATED]])
        pool = await self.measured([*starts, *await self.crossed()])
        self.seen += pool
        for stage in stages(self.problem, pool):
            solutions = await self.solve(stage, pool)
            pool = await self.measured(solutions.kept or solutions.best())
            if not pool:
                reason = "the budget is spent" if self.bench.exhausted else "every edit was tried"
                return self.refusal(f"no repair of `{stage.entry}` was found, {reason}")
            self.seen += pool
            if not solutions.kept and (doubt := solutions.doubt):
                return self.refusal(f"`{stage.entry}`: {doubt}")
        confirmed = await self.confirmed(pool)
        if confirmed is None:
            return self.refusal("what was found passes no second time, each call in a process of its own")
        code, edits = confirmed.code, list(confirmed.edits)
        smaller = await minimised(confirmed, starts, probes(self.problem.visible), self.bench)
        if smaller != code and await self.confirmed([Candidate((smaller,))]):
            code = smaller
            edits.append("leave out what changes nothing")
        return Proposal(code, self.name, tuple(edits), len(self.problem.visible), self.bench.tried, self.bench.seconds)

    async def measured(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates with their outcomes on every visible example, whatever is left of the budget."""
        return await self.bench.outcomes(candidates, range(len(self.problem.visible)))

    async def crossed(self) -> list[Candidate]:
        """Programs made of several attempts' functions."""
        codes = list(dict.fromkeys((*self.problem.variants, *(failure.code for failure in self.problem.failures))))
        if len(self.problem.entry_points) < 2 or len(codes) < 2:
            return []
        trials = Trials(self.tester, self.problem, self.bench.budget)
        made = await cross(self.problem, trials, await trials.run([Draft(code) for code in codes]))
        best = sorted(made, key=lambda trial: -trial.score)[:VARIANTS_KEPT]
        return [Candidate(split(trial.code), trial.edits) for trial in best if trial.edits]

    async def confirmed(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """The first that passes every example again, each call by itself."""
        examples = self.problem.visible
        for candidate in candidates:
            if (await check(self.tester.patient(), candidate.code, self.problem.preamble, examples)).passes_all:
                return candidate
        return None

    async def solve(self, stage: Stage, pool: Sequence[Candidate]) -> Solutions:
        """Look for programs that pass the stage's examples."""
        solutions = await Solutions.start(self.bench, stage.entry, stage.goal, pool)
        if solutions.kept:
            return solutions
        rewritten = [] if self.bench.exhausted else self.rewritten(stage, pool[0])
        rewritten = await self.bench.run(rewritten, stage.goal)
        await solutions.add([each for each in rewritten if each.passes(stage.goal)])
        frontier = Frontier(self.bench, stage.goal, [stage.entry], stage.cleared, self.mistakes(pool))
        for candidate in pool:
            frontier.add(candidate)
        least = min(candidate.score(stage.goal) for candidate in pool)
        while not self.bench.exhausted and not (solutions.enough and solutions.has_single):
            # Before several edits are believed, whatever one edit makes is tried.
            batch = await (frontier.single(BATCH) if solutions.enough else frontier.batch(BATCH))
            if not batch:
                break
            found = await self.bench.run(batch, stage.goal)
            for candidate, behaviour in await solutions.add([each for each in found if each.passes(stage.goal)]):
                frontier.add(candidate, behaviour)
            for candidate in found:
                if not candidate.passes(stage.goal) and candidate.score(stage.goal) >= least:
                    frontier.add(candidate)
        if not solutions.found:
            self.seen += await self.measured(frontier.best(VARIANTS_KEPT))
        return solutions

    def rewritten(self, stage: Stage, candidate: Candidate) -> list[Candidate]:
        """The program with the stage's function written anew, in as many ways as there are."""
        outline = Outline.of(candidate.pieces)
        params = outline.around.functions.get(stage.entry)
        if params is None:
            return []
        examples = [self.problem.visible[place] for place in stage.about]
        place = outline.names.index(stage.entry)
        texts = rewritings(stage.entry, params, examples, self.problem.preamble, outline.around.functions)
        written = []
        for number, text in enumerate(texts):
            pieces = with_piece(
                candidate.pieces, place, f"def {stage.entry}({', '.join(params)}):\n    return {text}\n"
            )
            cost = candidate.cost + REWRITE_BITS + math.log2(number + 1)
            written.append(Candidate(pieces, (*candidate.edits, f"{stage.entry}: `return {text}` for all"), cost))
        return written

    def mistakes(self, pool: Sequence[Candidate]) -> frozenset[str]:
        """What was mended in other functions: the same mistake may have been made again."""
        return frozenset(shape(edit) for candidate in pool for edit in candidate.edits)

    def refusal(self, reason: str) -> NoProposal:
        everything = range(len(self.problem.visible))
        best = sorted(self.seen, key=lambda candidate: -candidate.score(everything))
        passed = max((sum(near == 1.0 for near in candidate.near) for candidate in best), default=0)
        reason = f"{reason}; the best of {self.bench.tried} programs passes {passed} of {len(everything)} examples"
        variants = tuple(candidate.code for candidate in best[:VARIANTS_KEPT])
        return NoProposal(self.name, reason, passed, self.bench.tried, self.bench.seconds, variants)


def starting(problem: Problem) -> list[Candidate]:
    """The programs to start from, as candidates: those that parse."""
    candidates = []
    for code in dict.fromkeys((*problem.variants, *(failure.code for failure in problem.failures))):
        try:
            pieces = split(code)
        except BROKEN:
            continue
        if pieces:
            candidates.append(Candidate(pieces))
    return candidates


def stages(problem: Problem, pool: Sequence[Candidate]) -> list[Stage]:
    """The functions to mend one after the other, those first that others call."""
    everything = range(len(problem.visible))
    outline = Outline.of(max(pool, key=lambda candidate: candidate.score(everything)).pieces)
    reached = {entry: outline.reached([entry]) for entry in problem.entry_points}
    order = sorted(problem.entry_points, key=lambda entry: len(reached[entry]))
    place = {entry: at for at, entry in enumerate(order)}
    about: dict[str, list[int]] = {entry: [] for entry in order}
    for at, example in enumerate(problem.visible):
        called = [name for name in called_names([example.call]) if name in place]
        about[max(called, key=place.__getitem__, default=order[-1])].append(at)
    found: list[Stage] = []
    done: list[str] = []
    for entry in order:
        shared = [other for other in done if reached[other] & reached[entry] and other not in reached]
        goal = sorted({*about[entry], *(at for other in shared for at in about[other])})
        found.append(Stage(entry, tuple(about[entry]), tuple(goal), frozenset(done)))
        done.append(entry)
    return found
