"""Asking the proposers that a workspace has switched on, a bounded number of problems at a time."""

import ast
import builtins
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from autodev_learning import metrics
from autodev_learning.apart import apart, from_afar
from autodev_learning.examples import called_names
from autodev_learning.proposers import Aim, Budget, NoProposal, Problem, Proposal, Proposer, propose_first
from autodev_learning.proposers.allowance import Allowance
from autodev_learning.proposers.builtin import BUILTIN
from autodev_learning.proposers.llm.choice import NAME as LLM
from autodev_learning.proposers.llm.choice import asks_a_model
from autodev_learning.trial import Execute, SandboxTester, Tester
from autodev_runtime.errors import AutoDevError, ResourceExhausted
from autodev_runtime.identity import current_tenant
from autodev_runtime.turns import Turns

log = logging.getLogger(__name__)

RETRY_AFTER = timedelta(seconds=5)
ANY_NUMBER = sys.maxsize
"""Who may wait is bounded where it comes from: calls, events' workers, an experiment's step."""

Maker = Callable[[Tester], Proposer]


@dataclass(frozen=True)
class Known:
    """A proposer by its name, and whether it can be asked."""

    name: str
    available: bool


@dataclass(frozen=True)
class ProposalLimits:
    """What proposals may use. `budget` is each proposer's on each problem, `trial_seconds` each program's."""

    at_a_time: int = 2
    budget: Budget = field(default_factory=Budget)
    trial_seconds: float = 0.4


class Workshop:
    """Makes proposals, a bounded number at a time.

    `makers` are proposers besides the built-in ones, by name; they are asked before those, where a workspace states no
    order of its own.
    """

    def __init__(self, execute: Execute, limits: ProposalLimits, makers: Mapping[str, Maker] | None = None) -> None:
        self._execute = execute
        self._makers: dict[str, Maker] = {**(makers or {}), **BUILTIN}
        self._limits = limits
        self._turns = Turns(limits.at_a_time, spare=0, max_waiting=ANY_NUMBER)

    def proposers(self) -> list[Known]:
        """Those that a workspace may name, in the order in which they are asked where it names none."""
        known = [Known(name, available=True) for name in self._makers]
        return known if LLM in self._makers else [Known(LLM, available=False), *known]

    def named(self, switched_on: Sequence[str]) -> tuple[str, ...]:
        """The proposers that a workspace has, in the order in which they are asked; none switched on: all."""
        return tuple(name for name in switched_on or self._makers if name in self._makers)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the places at work, waiting for it: tenants that wait get them in turns."""
        async with self._turns.turn(current_tenant()):
            yield

    def refuse_if_full(self) -> None:
        """Raise ResourceExhausted (PROPOSALS_FULL) unless a place is free: for a caller that should not wait."""
        if self._turns.running >= self._limits.at_a_time:
            raise ResourceExhausted(
                f"{self._limits.at_a_time} proposals are at work", reason="PROPOSALS_FULL", retry_after=RETRY_AFTER
            )

    async def propose(
        self, problem: Problem, switched_on: Sequence[str], allowance: Allowance | None = None
    ) -> Proposal | NoProposal:
        """Ask the proposers by name (none named: all), in order. Call it within a `slot`.

        A program that is to be made faster is put to language models alone: the others only mend. No more is used of an
        allowance than it has, by those that know beforehand what they may use; others are not asked once nothing is
        left of it. Raises what the sandbox raises; a proposer that breaks is answered by NoProposal.
        """
        started = time.perf_counter()
        names = self.named(switched_on)
        unknown = [name for name in switched_on if name not in self._makers]
        if problem.aim is Aim.OPTIMISE:
            names = tuple(filter(asks_a_model, names))
            if not names:
                return NoProposal("", "no proposer that makes programs faster is switched on")
        execute = from_afar(self._execute)
        try:
            answer = await apart(partial(self._ask, names, problem, execute, allowance))
        except AutoDevError:
            raise
        except Exception as error:
            # Proposers edit programs that nobody has read: one that breaks them must not stop the loop.
            log.exception("a proposer broke")
            answer = NoProposal(", ".join(names), f"a proposer broke: {type(error).__name__}")
        if isinstance(answer, NoProposal) and unknown:
            answer = replace(answer, reason=f"{answer.reason}; {_missing(unknown)}")
        outcome = "proposal" if isinstance(answer, Proposal) else "none"
        metrics.PROPOSAL_SECONDS.labels(outcome).observe(time.perf_counter() - started)
        return answer

    async def _ask(
        self, names: Sequence[str], problem: Problem, execute: Execute, allowance: Allowance | None
    ) -> Proposal | NoProposal:
        tester = SandboxTester(execute, self._limits.trial_seconds)
        proposers = [self._makers[name](tester) for name in names]
        answer = await propose_first(proposers, problem, replace(self._limits.budget, allowance=allowance))
        if isinstance(answer, Proposal) and (fault := fault_of(answer.code)):
            return NoProposal(
                answer.proposer,
                fault,
                answer.examples_passed,
                answer.tried,
                answer.seconds,
                prompt_hash=answer.prompt_hash,
                tokens=answer.tokens,
                cost_usd=answer.cost_usd,
            )
        return answer


def _missing(names: Sequence[str]) -> str:
    if list(names) == [LLM]:
        return "no language model is configured"
    return f"no proposer is named {', '.join(names)}"


def fault_of(code: str) -> str:
    """Why what a proposer gave is no program, empty for one."""
    fault = no_program(code)
    return f"the proposer gave {fault}" if fault else ""


def no_program(code: str) -> str:
    """What text is that is no program, empty for one. A placeholder (comments, texts, `pass`) is never kept as code."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"no valid Python: {type(error).__name__}"
    return "no code" if all(map(_does_nothing, body)) else ""


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def entry_points_of(calls: Sequence[str], preamble: str, programs: Sequence[str]) -> tuple[str, ...]:
    """The functions that a program must define: those called, less what the preamble or Python gives.

    A builtin's name counts where a program defines it.
    """
    defined = {name for program in programs for name in defined_names(program)}
    given = set(defined_names(preamble)) | (set(dir(builtins)) - defined)
    return tuple(name for name in called_names(calls) if name not in given)


def defined_names(code: str) -> tuple[str, ...]:
    """The functions and classes at the top of a module, in order; none of text that is no Python."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef))
