"""Running many programs: over several sandboxes at once, alone or many to a process."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from autodev_learning.harnesses import TRIAL, harness, quick_harness
from autodev_learning.trial import (
    MOST_CHARACTERS,
    CallOutcome,
    Execute,
    ExecuteEach,
    Runner,
    SandboxTester,
    chunks,
    inputs_of,
    outcomes_of,
)
from autodev_sdk.ending import results_of

SHARED, SINGLE = "evolution/shared_harness", "evolution/single_harness"
SINGLE_START_S = 0.6
SINGLE_AT_ONCE, MOST_AT_ONCE = 64, 256


@dataclass(frozen=True)
class Lanes:
    """Runs programs in at most `lanes` sandboxes at once, and gives the outcomes in the programs' order."""

    tester: Runner
    lanes: int
    at_once: int

    async def run(self, programs: Sequence[str], preamble: str, calls: Sequence[str]) -> list[tuple[CallOutcome, ...]]:
        """As a Runner does."""
        free = asyncio.Semaphore(self.lanes)
        size = max(1, min(self.at_once, -(-len(programs) // self.lanes)))

        async def some(start: int) -> list[tuple[CallOutcome, ...]]:
            async with free:
                return await self.tester.run(programs[start : start + size], preamble, calls)

        found = await results_of(*(some(start) for start in range(0, len(programs), size)))
        return [outcomes for part in found for outcomes in part]


@dataclass(frozen=True)
class SingleTester:
    """Runs each program in a sandbox of its own, many to a call, all of its calls in one process."""

    execute_each: ExecuteEach
    seconds_per_program: float

    async def run(self, programs: Sequence[str], preamble: str, calls: Sequence[str]) -> list[tuple[CallOutcome, ...]]:
        """As a Runner does."""
        outcomes: list[tuple[CallOutcome, ...]] = []
        # Each program is sent with the setting and the calls.
        beside = len(preamble) + sum(map(len, calls))
        for chunk in chunks(programs, max(1, min(SINGLE_AT_ONCE, MOST_CHARACTERS // max(1, beside)))):
            inputs = [inputs_of([program], preamble, calls, self.seconds_per_program) for program in chunk]
            timeout_s = SINGLE_START_S + self.seconds_per_program
            executions = await self.execute_each(quick_harness(SINGLE), "run_alone", inputs, timeout_s)
            outcomes += [found for each in executions for found in outcomes_of(each, 1, len(calls))]
        return outcomes


def alone(execute: Execute, seconds: float, lanes: int) -> Lanes:
    """Each program in a sandbox of its own."""
    return Lanes(SandboxTester(execute, seconds, programs_per_execution=1), lanes, at_once=1)


def single(execute_each: ExecuteEach, seconds: float, lanes: int) -> Lanes:
    """Each program in a sandbox of its own, and in no other process: a call that does not end ends those after it."""
    return Lanes(SingleTester(execute_each, seconds), lanes, SINGLE_AT_ONCE)


def together(execute: Execute, seconds: float, lanes: int, at_once: int = MOST_AT_ONCE) -> Lanes:
    """Many programs to a sandbox, and to a process of it."""
    tester = SandboxTester(execute, seconds, at_once, harness(TRIAL, SHARED), "screen_programs")
    return Lanes(tester, lanes, at_once)
