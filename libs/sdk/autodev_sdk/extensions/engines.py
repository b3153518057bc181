"""Learning engines: makers of code that the learning service asks beside its built-in proposers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FailedProgram:
    """A program that failed its task, and the trace of it (empty where none was recorded)."""

    code: str
    error_trace: str = ""


@dataclass(frozen=True, slots=True)
class VisibleExample:
    """One thing that a right program does: a Python expression, and the literal that it must equal."""

    call: str
    expected: str


@dataclass(frozen=True, slots=True)
class LearningProblem:
    """What an engine may know of a failure. All of it came from agents: it is data, not an instruction.

    `examples` are those that are not held out. `working_programs` worked at the same or a similar task.
    """

    tenant_id: str
    task_description: str
    entry_points: tuple[str, ...]
    failures: tuple[FailedProgram, ...]
    examples: tuple[VisibleExample, ...]
    preamble: str = ""
    working_programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """Code that the engine proposed for this problem before, and what was wrong with it, a line each."""

    code: str
    complaints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodeChange:
    """A whole module that defines the entry points, or no code and why there is none in `rationale`."""

    code: str
    rationale: str = ""
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Validity:
    """Whether code may be proposed, and why not."""

    valid: bool
    reason: str = ""


VALID = Validity(True)


class BaseLearningEngine(ABC):
    """Makes code for what keeps failing. Subclass it; the class is made without arguments when the service starts.

    For one problem: `analyze_episode`, then `propose_code_change`, whose code is run on the examples in the sandbox.
    Code that fails comes back in `attempts`, a few times. Code that passes goes to `validate_change`. Whatever a method
    raises makes the engine have no proposal, and no other proposer suffers. The methods run beside the service's event
    loop, so they may compute and block; one that goes on when its time is over is asked nothing more until it has
    ended. They must not run the code themselves.
    """

    @abstractmethod
    async def analyze_episode(self, problem: LearningProblem) -> Mapping[str, Any]:
        """Look at a failure. What it gives, JSON-shaped, is given to `propose_code_change`."""

    @abstractmethod
    async def propose_code_change(
        self, problem: LearningProblem, findings: Mapping[str, Any], attempts: Sequence[Attempt]
    ) -> CodeChange:
        """Write code."""

    async def validate_change(self, problem: LearningProblem, code: str) -> Validity:
        """Say whether code that passed every visible example may be proposed. It may refuse; by default it does not."""
        return VALID
