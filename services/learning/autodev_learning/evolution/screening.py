"""Running many programs: over several sandboxes at once, alone or many to a process."""

import ast
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from autodev_learning.trial import HARNESS as TRIAL_HARNESS
from autodev_learning.trial import CallOutcome, Execute, Runner, SandboxTester

ENTRY_POINT = "screen_programs"


def _harness() -> str:
    """The trial harness's text and behind it the shared one's, without the import that says it is there."""
    text = resources.files("autodev_learning.evolution").joinpath("shared_harness.py").read_text(encoding="utf-8")
    module = ast.parse(text)
    module.body = [
        statement
        for statement in module.body
        if not (isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("autodev_learning"))
    ]
    return f"{TRIAL_HARNESS}\n\n{ast.unparse(module)}\n"


HARNESS = _harness()


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

        tasks = [asyncio.ensure_future(some(start)) for start in range(0, len(programs), size)]
        try:
            found = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return [outcomes for part in found for outcomes in part]


def alone(execute: Execute, seconds: float, lanes: int) -> Lanes:
    """Each program in a sandbox of its own."""
    return Lanes(SandboxTester(execute, seconds, programs_per_execution=1), lanes, at_once=1)


def together(execute: Execute, seconds: float, lanes: int, at_once: int = 256) -> Lanes:
    """Many programs to a sandbox, and to a process of it."""
    tester = SandboxTester(execute, seconds, at_once, harness=HARNESS, entry_point=ENTRY_POINT)
    return Lanes(tester, lanes, at_once)
