"""Evaluating programs in stages, the cheap ones first: what fails one comes to no later one.

A program that does not parse, or was there before, never comes here (islands.py). Whatever runs several programs to a
process is only a sieve: a program that it says is better than the best is run again in a sandbox of its own.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autodev_learning.evolution.climbing import LEAST_GAIN
from autodev_learning.evolution.comparison import Behaviour, KnownInput, Purpose, compare_behaviour
from autodev_learning.evolution.individuals import Evaluation, Stage
from autodev_learning.evolution.objectives import Objective, score_from, scored_value
from autodev_learning.evolution.operators import Aim
from autodev_learning.evolution.rewriting import SLACK_S, Program
from autodev_learning.evolution.screening import Lanes
from autodev_learning.evolution.timing import Rounds, TimedOutcome, Timer
from autodev_learning.trial import CallOutcome, Execute, Execution, Runner
from autodev_sdk.ending import results_of

ORIGINAL_TRIES = 3
QUICK_INPUTS = 3
QUICK_S = 0.02
"""An input is for the quick stage if the original takes no longer for it."""


class Evaluator(Protocol):
    """Finds out how good programs are. What it finds must depend on the programs alone, but for measured times."""

    async def original(self, code: str) -> Evaluation:
        """Evaluate the program that all are made from. Raises what the sandbox raises."""
        ...

    async def evaluate(self, codes: Sequence[str], best: float) -> Sequence[Evaluation]:
        """Evaluate programs, in their order. `best` is the best fitness so far. Raises what the sandbox raises."""
        ...


@dataclass(frozen=True)
class ScoreEvaluator:
    """Scores what programs give. `screening` runs them, `proof` again those that would be the best.

    The scorer runs in sandboxes of its own, and gets literals: no program can reach it.
    """

    objective: Objective
    screening: Runner
    proof: Runner
    scoring: Runner

    async def original(self, code: str) -> Evaluation:
        """A busy machine alone leaves it without a score only where it does so each time."""
        found = Evaluation(Stage.NONE)
        for _ in range(ORIGINAL_TRIES):
            (found,) = await self._scored(self.proof, [code])
            if found.stage is Stage.DONE:
                break
        return found

    async def evaluate(self, codes: Sequence[str], best: float) -> Sequence[Evaluation]:
        found = await self._scored(self.screening, codes)
        if self.screening is not self.proof:
            again = [index for index, each in enumerate(found) if each.stage is Stage.DONE and each.fitness > best]
            for index, proven in zip(again, await self._scored(self.proof, [codes[i] for i in again]), strict=True):
                found[index] = proven
        return found

    async def _scored(self, tester: Runner, codes: Sequence[str]) -> list[Evaluation]:
        if not codes:
            return []
        objective = self.objective
        rows = await tester.run(codes, objective.preamble, [objective.call])
        values = [scored_value(outcome.value) for (outcome,) in rows]
        calls = [f"score({value})" for value in dict.fromkeys(values) if value is not None]
        scored: Mapping[str, CallOutcome] = {}
        if calls:
            (outcomes,) = await self.scoring.run([objective.scorer], "", calls)
            scored = dict(zip(calls, outcomes, strict=True))
        return [
            self._evaluation(outcome, scored.get(f"score({value})"))
            for (outcome,), value in zip(rows, values, strict=True)
        ]

    def _evaluation(self, given: CallOutcome, scored: CallOutcome | None) -> Evaluation:
        if scored is None:
            return Evaluation(
                Stage.QUICK, feedback=f"{self.objective.call} gives {given.error or given.value}, no literal"[:500]
            )
        score = score_from(scored.value)
        if score is None:
            return Evaluation(Stage.QUICK, feedback=f"the scorer says {scored.error or scored.value}"[:500])
        fitness = self.objective.fitness(score)
        return Evaluation(Stage.DONE, fitness=fitness, quality=fitness)


@dataclass
class SkillEvaluator:
    """Runs rewrites of a skill on its known inputs, against the original: right first, then faster.

    The fitness is the share of inputs that are right while it is not all, and from 1 on how many times the time halved.
    Each rewrite has sandboxes of its own.
    """

    program: Program
    aim: Aim
    reference: tuple[TimedOutcome, ...]
    execute: Execute
    quick: Lanes
    seconds_per_call: float
    _timing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def original(self, code: str) -> Evaluation:
        outcomes, memory = await self._run(code, [self.seconds_per_call] * len(self.program.inputs))
        right = self._behaviour(self.program.inputs, self.reference, outcomes)
        quality = right.rewrite_correct / max(1, right.compared)
        stage = Stage.ALL if self.aim is Aim.MEND else Stage.TIMING
        return Evaluation(stage, quality, quality, self._original_s, memory, right.fault)

    @property
    def _original_s(self) -> float:
        return _seconds(self.reference)

    async def evaluate(self, codes: Sequence[str], best: float) -> Sequence[Evaluation]:
        free, faults = asyncio.Semaphore(self.quick.lanes), await self._quick_faults(codes)
        return await results_of(*(self._whole(code, fault, free) for code, fault in zip(codes, faults, strict=True)))

    async def _quick_faults(self, codes: Sequence[str]) -> list[str]:
        known, reference = self._quick_inputs()
        rows: Sequence[tuple[CallOutcome, ...]] = [()] * len(codes)
        if known:
            rows = await self.quick.run(codes, self.program.preamble, [each.call for each in known])
        return [self._quick_fault(known, reference, row) for row in rows]

    def _quick_inputs(self) -> tuple[list[KnownInput], list[TimedOutcome]]:
        """The inputs that the original is soonest done with, as far as it is soon."""
        pairs = zip(self.program.inputs, self.reference, strict=True)
        quick = sorted((pair for pair in pairs if pair[1].seconds <= QUICK_S), key=lambda pair: len(pair[0].call))
        return [known for known, _ in quick[:QUICK_INPUTS]], [outcome for _, outcome in quick[:QUICK_INPUTS]]

    def _quick_fault(
        self, known: Sequence[KnownInput], reference: Sequence[TimedOutcome], row: Sequence[CallOutcome]
    ) -> str:
        """What is wrong on the quick inputs, where the original is right on more of them."""
        outcomes = [TimedOutcome(each.value, each.error, 0.0) for each in row]
        behaviour = self._behaviour(known, reference, outcomes)
        originals = self._behaviour(known, reference, reference)
        return behaviour.fault if known and behaviour.rewrite_correct < originals.rewrite_correct else ""

    async def _whole(self, code: str, quick_fault: str, free: asyncio.Semaphore) -> Evaluation:
        if quick_fault:
            return Evaluation(Stage.QUICK, feedback=quick_fault)
        bounds = [min(self.seconds_per_call, outcome.seconds + SLACK_S) for outcome in self.reference]
        async with free:
            outcomes, memory = await self._run(code, bounds)
        behaviour = self._behaviour(self.program.inputs, self.reference, outcomes)
        quality = behaviour.rewrite_correct / max(1, behaviour.compared)
        seconds = _seconds(outcomes)
        if behaviour.fault:
            return Evaluation(Stage.ALL, min(quality, 0.99), quality, seconds, memory, behaviour.fault)
        if seconds >= self._original_s * (1 - LEAST_GAIN) and self.aim is Aim.FASTER:
            told = f"right, but takes {seconds:.3g} s on all inputs; the original takes {self._original_s:.3g} s"
            return Evaluation(Stage.TIMING, 1.0, quality, seconds, memory, told)
        # Others run beside the first measurement: the second is taken one at a time, and the shorter counts.
        async with self._timing:
            again, _ = await self._run(code, bounds)
        seconds = min(seconds, _seconds(again))
        return Evaluation(Stage.DONE, 1 + self._gain(seconds), quality, seconds, memory)

    def _gain(self, seconds: float) -> float:
        """How many times the time halved."""
        return max(0.0, round(math.log2(self._original_s / seconds), 3)) if seconds > 0 < self._original_s else 0.0

    def _behaviour(
        self, known: Sequence[KnownInput], reference: Sequence[TimedOutcome], outcomes: Sequence[TimedOutcome]
    ) -> Behaviour:
        purpose = Purpose.MEND if self.aim is Aim.MEND else Purpose.FASTER
        return compare_behaviour(known, Rounds((tuple(reference),)), Rounds((tuple(outcomes),)), purpose)

    async def _run(self, code: str, bounds: Sequence[float]) -> tuple[tuple[TimedOutcome, ...], int]:
        """The outcomes, and the most memory that an execution held."""
        held = [0]

        async def execute(text: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
            execution = await self.execute(text, entry_point, inputs, timeout_s)
            held.append(execution.memory_bytes)
            return execution

        calls = [known.call for known in self.program.inputs]
        return await Timer(execute).time(code, self.program.preamble, calls, bounds), max(held)


def _seconds(outcomes: Sequence[TimedOutcome]) -> float:
    return sum(outcome.seconds for outcome in outcomes)
