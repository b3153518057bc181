"""Trying programs on calls, in the sandbox, many in one execution.

What is expected stays outside: the harness sends back what each call gave, and the comparison is made here.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from autodev_learning.examples import Example, matches
from autodev_learning.harnesses import TRIAL, harness

if TYPE_CHECKING:
    from autodev_learning.screening import Screener

ENTRY_POINT = "try_programs"
HARNESS_START_S = 5.0
PATIENT_S = 4.0
MOST_CHARACTERS = 500_000


LOST = ("timeout", "Exited: ", "Forged: ", "Sandbox: ")
"""How the errors begin that tell of a program's whole execution, and not of one call of it."""


@dataclass(frozen=True)
class CallOutcome:
    """What one call gave: the literal of its value, or an error as "Type: message" ("timeout" if it did not end)."""

    value: str | None = None
    error: str | None = None

    def meets(self, example: Example) -> bool:
        return self.value is not None and matches(self.value, example.expected)

    @property
    def lost(self) -> bool:
        """Whether another call of the same execution may be why this one gave nothing."""
        return self.error is not None and self.error.startswith(LOST)


@dataclass(frozen=True)
class Execution:
    """How one execution in the sandbox ended: with the entry point's result, or not, and then why (`detail`).

    `memory_bytes` is the most it held, 0 where that is not known.
    """

    ok: bool
    result: object = None
    detail: str = ""
    memory_bytes: int = 0


Execute = Callable[[str, str, Mapping[str, object], float], Awaitable[Execution]]
"""execute(code, entry_point, inputs, timeout_s): one execution in the sandbox. Raises if none can be had."""
ExecuteEach = Callable[[str, str, Sequence[Mapping[str, object]], float], Awaitable[Sequence[Execution]]]
"""The same of many inputs, each in a sandbox of its own, `timeout_s` each."""


class Runner(Protocol):
    """Runs programs on calls."""

    async def run(self, programs: Sequence[str], preamble: str, calls: Sequence[str]) -> list[tuple[CallOutcome, ...]]:
        """Give each program's outcomes, in the order of the calls."""
        ...


class Tester(Runner, Protocol):
    """Runs programs on calls, and knows how to run many more of them less carefully."""

    def screener(self) -> "Screener":
        """Runs many more programs, whose outcomes are not to be believed before `run` gave them."""
        ...

    def patient(self) -> "Tester":
        """The same with more time for a program: for the few that are to be believed."""
        ...


@dataclass(frozen=True)
class SandboxTester:
    """Tries programs in the sandbox, `programs_per_execution` at a time, each for at most `seconds_per_program`."""

    execute: Execute
    seconds_per_program: float = 0.4
    programs_per_execution: int = 64
    harness: str = harness(TRIAL)
    entry_point: str = ENTRY_POINT
    start_s: float = HARNESS_START_S

    async def run(self, programs: Sequence[str], preamble: str, calls: Sequence[str]) -> list[tuple[CallOutcome, ...]]:
        outcomes: list[tuple[CallOutcome, ...]] = []
        for chunk in chunks(programs, self.programs_per_execution):
            outcomes += await self._run_chunk(chunk, preamble, calls)
        return outcomes

    def screener(self) -> "Screener":
        from autodev_learning.screening import Screener

        return Screener(self.execute)

    def patient(self) -> "SandboxTester":
        return replace(self, seconds_per_program=max(self.seconds_per_program, PATIENT_S))

    async def _run_chunk(
        self, programs: Sequence[str], preamble: str, calls: Sequence[str]
    ) -> list[tuple[CallOutcome, ...]]:
        inputs = inputs_of(programs, preamble, calls, self.seconds_per_program)
        timeout_s = self.start_s + len(programs) * (self.seconds_per_program + 0.1)
        execution = await self.execute(self.harness, self.entry_point, inputs, timeout_s)
        if execution.ok or len(programs) == 1:
            return outcomes_of(execution, len(programs), len(calls))
        # One program took the whole execution down (memory, most likely): the halves find out which.
        middle = len(programs) // 2
        return [
            *await self._run_chunk(programs[:middle], preamble, calls),
            *await self._run_chunk(programs[middle:], preamble, calls),
        ]


def chunks(programs: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    """As many programs at a time as one call to the sandbox takes, by number and by size."""
    start = size = 0
    for end, program in enumerate(programs):
        if end > start and (end - start == most or size + len(program) > MOST_CHARACTERS):
            yield programs[start:end]
            start, size = end, 0
        size += len(program)
    if programs:
        yield programs[start:]


def inputs_of(
    programs: Sequence[str], preamble: str, calls: Sequence[str], seconds_per_program: float
) -> Mapping[str, object]:
    """What every harness's entry point is called with."""
    return {
        "programs": list(programs),
        "preamble": preamble,
        "calls": list(calls),
        "seconds_per_program": seconds_per_program,
    }


def outcomes_of(execution: Execution, programs: int, calls: int) -> list[tuple[CallOutcome, ...]]:
    """Read the harness's answer; what does not have its shape was tampered with and passes nothing."""
    if not execution.ok:
        return [(CallOutcome(error=f"Sandbox: {execution.detail}"),) * calls] * programs
    rows = execution.result if isinstance(execution.result, list) else []
    outcomes = [tuple(_outcome_from(cell) for cell in row) for row in rows if isinstance(row, list)]
    if len(outcomes) != programs or any(len(row) != calls for row in outcomes):
        return [(CallOutcome(error="Sandbox: the result has another shape"),) * calls] * programs
    return outcomes


def _outcome_from(cell: object) -> CallOutcome:
    if isinstance(cell, dict):
        value, error = cell.get("value"), cell.get("error")
        if isinstance(value, str) and error is None:
            return CallOutcome(value=value)
        if isinstance(error, str):
            return CallOutcome(error=error)
    return CallOutcome(error="Sandbox: the result has another shape")


@dataclass(frozen=True)
class Verdict:
    """What a program gave on examples, and which of them it passed."""

    outcomes: tuple[CallOutcome, ...]
    passed: tuple[bool, ...]

    @property
    def passes_all(self) -> bool:
        return all(self.passed)


async def check(tester: Tester, code: str, preamble: str, examples: Sequence[Example]) -> Verdict:
    """Run one program on all examples, in an execution of its own."""
    (outcomes,) = await tester.run([code], preamble, [example.call for example in examples])
    return Verdict(outcomes, tuple(outcome.meets(example) for outcome, example in zip(outcomes, examples, strict=True)))
