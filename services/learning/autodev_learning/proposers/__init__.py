"""Where new code comes from: one protocol, many makers.

A proposer gets a `Problem` (programs that failed, the examples it may see, code that worked elsewhere) and answers
with a `Proposal` that passes every visible example, or with `NoProposal` and the reason. It never sees held-out ones.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from autodev_learning.examples import Example
from autodev_learning.proposers.allowance import Allowance
from autodev_runtime.errors import AutoDevError

log = logging.getLogger(__name__)


class Aim(StrEnum):
    """What is asked for: code that does what the examples expect, the same in less time, or what scores higher."""

    REPAIR = "repair"
    OPTIMISE = "optimise"
    IMPROVE = "improve"


@dataclass(frozen=True)
class FailedProgram:
    """A program that failed its task, with the trace of the failure (empty where none was recorded)."""

    code: str
    error_trace: str = ""


@dataclass(frozen=True)
class Case:
    """A program that an agent's task succeeded with."""

    code: str
    task_description: str
    agent_id: str = ""


@dataclass(frozen=True)
class Problem:
    """What a proposer may know.

    `preamble` is code that the task gives and that runs before the program. `entry_points` are the functions that a
    program must define. `variants` are programs that earlier proposers made and that fail less than the failures.
    Where the aim is to optimise, the only failure is the program that is slow, and the examples are what it gives.
    Where it is to improve, the only failure is the program to change, its trace says how it and what was made of it
    did, the variants are others that do well, and the task says what is better.
    Two runs on equal problems, with budgets that neither exhausts in seconds, propose the same.
    """

    task_description: str
    entry_points: tuple[str, ...]
    failures: tuple[FailedProgram, ...]
    visible: tuple[Example, ...]
    preamble: str = ""
    cases: tuple[Case, ...] = ()
    variants: tuple[str, ...] = ()
    seed: int = 0
    aim: Aim = Aim.REPAIR


@dataclass(frozen=True)
class Budget:
    """What one proposer may spend: wall time, programs tried, and, with others, of an allowance, if there is one."""

    seconds: float = 15.0
    programs: int = 20_000
    allowance: Allowance | None = None


@dataclass(frozen=True)
class Proposal:
    """Code that parses and passes every visible example, and how it was come by.

    `edits` says in words what was done, in order. `examples_passed` counts visible examples, `tried` programs run,
    `seconds` wall time. `prompt_hash`, `tokens` and `cost_usd` stay empty for makers that ask no model.
    """

    code: str
    proposer: str
    edits: tuple[str, ...]
    examples_passed: int
    tried: int
    seconds: float
    prompt_hash: str = ""
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True)
class NoProposal:
    """Why there is no code, and how near the best attempt came.

    `variants` are the best programs found, for the next proposer to build on.
    """

    proposer: str
    reason: str
    examples_passed: int = 0
    tried: int = 0
    seconds: float = 0.0
    variants: tuple[str, ...] = field(default=(), repr=False)
    prompt_hash: str = ""
    tokens: int = 0
    cost_usd: float = 0.0


class Proposer(Protocol):
    """Makes code for a problem within a budget."""

    @property
    def name(self) -> str: ...

    async def propose(self, problem: Problem, budget: Budget) -> Proposal | NoProposal:
        """Answer with code that passes every visible example, or say why not. Raises what the sandbox raises."""
        ...


async def propose_first(proposers: Sequence[Proposer], problem: Problem, budget: Budget) -> Proposal | NoProposal:
    """Ask one proposer after another, each with the whole budget and the variants of those before it.

    The first proposal is the answer; what the refusals before it took in tokens and money is added to its own. Without
    one, the answer names every proposer's reason and the best count.
    """
    refusals: list[NoProposal] = []
    for proposer in proposers:
        answer = await _asked(proposer, problem, budget)
        if isinstance(answer, Proposal):
            return replace(
                answer,
                tokens=answer.tokens + sum(refusal.tokens for refusal in refusals),
                cost_usd=answer.cost_usd + sum(refusal.cost_usd for refusal in refusals),
            )
        refusals.append(answer)
        problem = replace(problem, variants=tuple(dict.fromkeys((*answer.variants, *problem.variants))))
    return _none_of(refusals)


async def _asked(proposer: Proposer, problem: Problem, budget: Budget) -> Proposal | NoProposal:
    """The proposer's answer. One that fails by a fault of its own has none, so that the next is asked all the same."""
    try:
        return await proposer.propose(problem, budget)
    except AutoDevError:
        raise
    except Exception as error:
        log.exception("the proposer %s failed", proposer.name)
        return NoProposal(proposer.name, f"failed by a fault of its own: {type(error).__name__}")


def _none_of(refusals: Sequence[NoProposal]) -> NoProposal:
    return NoProposal(
        proposer=", ".join(refusal.proposer for refusal in refusals),
        reason="; ".join(f"{refusal.proposer}: {refusal.reason}" for refusal in refusals)
        or "no proposer is switched on",
        examples_passed=max((refusal.examples_passed for refusal in refusals), default=0),
        tried=sum(refusal.tried for refusal in refusals),
        seconds=sum(refusal.seconds for refusal in refusals),
        variants=_variants(refusals),
        prompt_hash=next((refusal.prompt_hash for refusal in refusals if refusal.prompt_hash), ""),
        tokens=sum(refusal.tokens for refusal in refusals),
        cost_usd=sum(refusal.cost_usd for refusal in refusals),
    )


def _variants(refusals: Sequence[NoProposal]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(variant for refusal in reversed(refusals) for variant in refusal.variants))
