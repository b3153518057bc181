"""Writing a better version of a skill: faster by the speed-ups that are tried and timed, or mended by a proposer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from autodev_learning.evolution.climbing import LEAST_GAIN, Climb, Climber
from autodev_learning.evolution.comparison import KnownInput, Purpose, compare_behaviour, meets
from autodev_learning.evolution.opportunities import Trigger
from autodev_learning.evolution.timing import Rounds, TimedOutcome, Timer
from autodev_learning.examples import Example
from autodev_learning.memento.proposing import Workshop, fault_of
from autodev_learning.proposers import Aim, FailedProgram, NoProposal, Problem, Proposal
from autodev_learning.skills.provenance import Provenance

PERFORMANCE = "performance"
MOST_EDITS = 64
"""So many speed-ups of one program are looked at, those first that usually gain most."""
SLACK_S = 1.0
"""What a candidate may take above its parent: less would be a busy machine's doing."""
TOLD_CALLS, TOLD_CALL_CHARACTERS = 8, 300
ORACLE_CHARACTERS = 20_000
"""What the program gives is told to proposers where it is not longer than this."""
ORACLE_SECONDS = 0.1
"""So long may the calls take together that proposers try their programs on."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is to be rewritten, and the inputs it is known to get."""

    code: str
    preamble: str
    description: str
    entry_points: tuple[str, ...]
    inputs: tuple[KnownInput, ...]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """New code with what it is for, or (`reason`) why there is none; then `code` is empty."""

    code: str
    purpose: Purpose
    provenance: Provenance
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RewriteLimits:
    """What writing one rewrite may use."""

    candidates: int = 48
    budget_s: float = 60.0
    seconds_per_call: float = 20.0


def purpose_for(trigger: Trigger | None, inputs: Sequence[KnownInput], outcomes: Sequence[TimedOutcome]) -> Purpose:
    """What a rewrite must do: a program that gives a wrong answer is mended before it is made faster.

    A failure that is one of time is mended by speed.
    """
    wrong = any(known.expected and not meets(known, outcome) for known, outcome in _pairs(inputs, outcomes))
    if wrong and not any(outcome.timed_out for outcome in outcomes):
        return Purpose.MEND
    if trigger is Trigger.FAILURE and not any(outcome.timed_out for outcome in outcomes):
        return Purpose.MEND
    return Purpose.FASTER


@dataclass(frozen=True)
class Rewriter:
    """Writes rewrites. Raises what the sandbox raises when there is none to be had."""

    timer: Timer
    workshop: Workshop
    limits: RewriteLimits = RewriteLimits()
    clock: Callable[[], float] = field(default=time.monotonic)

    async def rewrite(self, program: Program, trigger: Trigger | None, proposers: Sequence[str]) -> Rewrite:
        """Rewrite a program. `proposers` are those that may mend."""
        if not program.inputs:
            return Rewrite("", Purpose.FASTER, Provenance(), "no known input to run it on")
        started = self.clock()
        async with self.workshop.slot():
            outcomes = await self._time(program, program.code, None)
            purpose = purpose_for(trigger, program.inputs, outcomes)
            if purpose is Purpose.MEND:
                return await self._mended(program, outcomes, proposers)
            return await self._faster(program, outcomes, proposers, started)

    async def _time(self, program: Program, code: str, seconds: Sequence[float] | None) -> tuple[TimedOutcome, ...]:
        calls = [known.call for known in program.inputs]
        bounds = seconds if seconds is not None else [self.limits.seconds_per_call] * len(calls)
        return await self.timer.time(code, program.preamble, calls, bounds)

    async def _faster(
        self,
        program: Program,
        outcomes: tuple[TimedOutcome, ...],
        proposers: Sequence[str],
        started: float,
    ) -> Rewrite:
        """The fastest of the speed-ups that apply and of what the proposers that make programs faster write."""
        asked = await self.workshop.propose(slow_problem(program, outcomes), proposers)
        started += asked.seconds
        best = await self._climbed(program, outcomes, started)
        proposer, tried = PERFORMANCE, best.tried + asked.tried
        if isinstance(asked, Proposal):
            seconds = await self._seconds_if_same(program, outcomes, asked.code)
            if seconds is not None and seconds < best.seconds * (1 - LEAST_GAIN):
                proposer, best = asked.proposer, Climb(asked.code, seconds, asked.edits)
        provenance = Provenance(
            proposer=proposer,
            steps=best.steps,
            prompt_hash=asked.prompt_hash,
            tokens=asked.tokens,
            cost_usd=asked.cost_usd,
            seconds=self.clock() - started + asked.seconds,
            programs_tried=tried,
        )
        if not best.steps:
            reason = f"{best.tried} edits tried: none gives the same in less time" if best.tried else "no edit applies"
            if asked.tokens and isinstance(asked, NoProposal):
                reason += f"; {asked.proposer}: {asked.reason}"
            return Rewrite("", Purpose.FASTER, provenance, reason)
        return Rewrite(best.code, Purpose.FASTER, provenance)

    async def _climbed(self, program: Program, outcomes: tuple[TimedOutcome, ...], started: float) -> Climb:
        from autodev_learning.proposers.performance import Mutation, performance_mutations

        async def mutations(code: str) -> list[Mutation]:
            # Analysing a program takes a while, which is not for the event loop.
            return await asyncio.to_thread(lambda: list(islice(performance_mutations(code), MOST_EDITS)))

        climber = Climber(
            mutations,
            lambda code: self._seconds_if_same(program, outcomes, code),
            lambda tried: tried < self.limits.candidates and self.clock() - started < self.limits.budget_s,
        )
        return await climber.climb(program.code, sum(outcome.seconds for outcome in outcomes))

    async def _seconds_if_same(self, program: Program, parent: tuple[TimedOutcome, ...], code: str) -> float | None:
        """The candidate's seconds on all inputs; None where it does not behave as the program does."""
        bounds = [min(self.limits.seconds_per_call, outcome.seconds + SLACK_S) for outcome in parent]
        outcomes = await self._time(program, code, bounds)
        behaviour = compare_behaviour(program.inputs, Rounds((parent,)), Rounds((outcomes,)), Purpose.FASTER)
        return None if behaviour.fault else sum(outcome.seconds for outcome in outcomes)

    async def _mended(
        self,
        program: Program,
        outcomes: tuple[TimedOutcome, ...],
        proposers: Sequence[str],
    ) -> Rewrite:
        if not any(known.expected and not meets(known, outcome) for known, outcome in _pairs(program.inputs, outcomes)):
            reason = "it gives what every known example expects, and nothing says what the failing call must give"
            return Rewrite("", Purpose.MEND, Provenance(), reason)
        answer = await self.workshop.propose(repair_problem(program, outcomes), proposers)
        provenance = Provenance(
            proposer=answer.proposer,
            steps=() if isinstance(answer, NoProposal) else answer.edits,
            prompt_hash=answer.prompt_hash,
            tokens=answer.tokens,
            cost_usd=answer.cost_usd,
            seconds=answer.seconds,
            programs_tried=answer.tried,
        )
        if isinstance(answer, NoProposal):
            return Rewrite("", Purpose.MEND, provenance, answer.reason)
        if answer.code == program.code:
            return Rewrite("", Purpose.MEND, provenance, "the proposers gave what was there before")
        if fault := fault_of(answer.code):
            return Rewrite("", Purpose.MEND, provenance, fault)
        return Rewrite(answer.code, Purpose.MEND, provenance)


def repair_problem(program: Program, outcomes: Sequence[TimedOutcome]) -> Problem:
    """The failing program as proposers get it: with every example but those held out."""
    errors = [outcome.error for outcome in outcomes if outcome.error]
    return Problem(
        task_description=program.description,
        entry_points=program.entry_points,
        failures=(FailedProgram(program.code, errors[0] if errors else ""),),
        visible=tuple(
            Example(known.call, known.expected) for known in program.inputs if known.expected and not known.held_out
        ),
        preamble=program.preamble,
    )


def slow_problem(program: Program, outcomes: Sequence[TimedOutcome]) -> Problem:
    """The slow program as proposers get it: what it gives for quick calls, and which calls are slow; none held out."""
    known = [
        (each, outcome)
        for each, outcome in _pairs(program.inputs, outcomes)
        if not each.held_out and len(each.call) <= ORACLE_CHARACTERS
    ]
    known.sort(key=lambda pair: pair[1].seconds)
    visible: list[Example] = []
    seconds = 0.0
    for each, outcome in known:
        seconds += outcome.seconds
        if outcome.value is None or len(outcome.value) > ORACLE_CHARACTERS:
            continue
        if visible and seconds > ORACLE_SECONDS:
            break
        visible.append(Example(each.call, outcome.value))
    slow = "\n".join(
        f"{each.call[:TOLD_CALL_CHARACTERS]}  takes {outcome.seconds:.3f} s"
        for each, outcome in reversed(known[-TOLD_CALLS:])
    )
    return Problem(
        task_description=f"{program.description}\n\nIts slowest calls:\n{slow}",
        entry_points=program.entry_points,
        failures=(FailedProgram(program.code),),
        visible=tuple(visible),
        preamble=program.preamble,
        aim=Aim.OPTIMISE,
    )


def _pairs(inputs: Sequence[KnownInput], outcomes: Sequence[TimedOutcome]) -> list[tuple[KnownInput, TimedOutcome]]:
    return list(zip(inputs, outcomes, strict=True))
