"""Runs code on what no proposer saw, in the sandbox: generated inputs beside a reference, and a skill's suite."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from autodev_learning.examples import Example
from autodev_learning.proof.agreement import GeneratedCheck, checked
from autodev_learning.proof.generating import generated_calls
from autodev_learning.proof.observing import OBSERVER, Doing, doing_of, observed
from autodev_learning.trial import CallOutcome, Execute, SandboxTester
from autodev_sdk.ending import results_of

log = logging.getLogger(__name__)

TIMES = 2
"""Executions of each program on generated inputs: texts hash otherwise in each, so what hangs on that shows."""
SUITE_CALLS_PER_EXECUTION = 25
LONGEST_S = 45.0
MOST_REASON = 500


@dataclass(frozen=True)
class ProofLimits:
    """Generated inputs of one proof (0: none), and how long one program may take on them, and on a part of a suite."""

    inputs: int = 24
    seconds: float = 4.0
    suite_seconds: float = 20.0


@dataclass(frozen=True)
class Prover:
    """Runs in the sandbox only. Raises what the sandbox raises when there is none to be had."""

    execute: Execute
    limits: ProofLimits = ProofLimits()

    async def generated(
        self, code: str, references: Sequence[str], preamble: str, calls: Sequence[str], seed: str, reference: str
    ) -> GeneratedCheck | None:
        """Hold code to its references on inputs made from the calls; None where the calls have nothing to vary."""
        try:
            # In a thread: long examples take seconds to be read and written.
            made = await asyncio.to_thread(generated_calls, calls, seed, self.limits.inputs)
        except Exception as error:
            # Examples may be anything. What breaks on them breaks each time, and the other parts of the proof stand.
            log.exception("no inputs are made by seed %s", seed)
            return GeneratedCheck(0, 0, 0, 0, "", seed, not_made=f"{type(error).__name__}: {error}"[:MOST_REASON])
        if not made:
            return None
        doings = await self._doings([code, *references], preamble, [observed(each.call) for each in made])
        return checked(made, doings[0], doings[1:], reference, seed)

    async def passing(self, code: str, preamble: str, examples: Sequence[Example]) -> list[CallOutcome]:
        """What code gives on examples, some in an execution; what was lost with that gets an execution of its own."""
        outcomes: list[CallOutcome] = []
        for start in range(0, len(examples), SUITE_CALLS_PER_EXECUTION):
            calls = [each.call for each in examples[start : start + SUITE_CALLS_PER_EXECUTION]]
            outcomes += await self._outcomes(code, preamble, calls, self.limits.suite_seconds)
        for place, outcome in enumerate(outcomes):
            if outcome.lost:
                outcomes[place] = (await self._outcomes(code, preamble, [examples[place].call], LONGEST_S))[0]
        return outcomes

    async def _outcomes(self, code: str, preamble: str, calls: Sequence[str], seconds: float) -> Sequence[CallOutcome]:
        tester = SandboxTester(self.execute, seconds_per_program=seconds, programs_per_execution=1)
        return (await tester.run([code], preamble, calls))[0]

    async def _doings(self, programs: Sequence[str], preamble: str, calls: Sequence[str]) -> list[list[Doing]]:
        tester = SandboxTester(self.execute, seconds_per_program=self.limits.seconds, programs_per_execution=2)
        times = await results_of(*(tester.run(programs, preamble + OBSERVER, calls) for _ in range(TIMES)))
        return [
            [doing_of([each[program][place] for each in times]) for place in range(len(calls))]
            for program in range(len(programs))
        ]
