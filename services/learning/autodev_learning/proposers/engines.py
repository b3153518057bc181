"""A learning engine of the user's own as a proposer: it writes, the sandbox judges."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from autodev_learning.apart import apart
from autodev_learning.memento.proposing import fault_of
from autodev_learning.proposers import Budget, NoProposal, Problem, Proposal
from autodev_learning.trial import Tester, Verdict, check
from autodev_runtime.errors import AutoDevError
from autodev_runtime.identity import current_tenant
from autodev_sdk.extensions import (
    Attempt,
    BaseLearningEngine,
    CodeChange,
    FailedProgram,
    LearningProblem,
    Validity,
    VisibleExample,
)

log = logging.getLogger(__name__)

ATTEMPTS = 3
MOST_CODE_CHARACTERS = 256 * 1024
MOST_RATIONALE_CHARACTERS = 4096
MOST_COMPLAINTS = 16
MOST_COMPLAINT_CHARACTERS = 500
GRACE_S = 1.0
"""How much longer than its time an engine has to come to its next step."""

Answer = TypeVar("Answer")


class EngineFailed(Exception):
    """The engine raised, did not answer, or gave what is no answer. The text says which."""


@dataclass
class _Account:
    """What one problem took so far."""

    started_s: float = field(default_factory=time.perf_counter)
    tried: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    best: str = ""
    best_passed: int = 0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started_s


class Overdue:
    """The threads in which one engine goes on although nobody waits for it any longer."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def add(self, thread: threading.Thread) -> None:
        self._threads = [*self._alive(), thread]

    @property
    def is_any(self) -> bool:
        return bool(self._alive())

    def _alive(self) -> list[threading.Thread]:
        return [thread for thread in self._threads if thread.is_alive()]


@dataclass(frozen=True)
class EngineProposer:
    """Asks an engine for code, shows it what was wrong, and asks again, a few times.

    The engine may compute or block: it has a thread to itself, which is left to it where it takes too long. While it is
    in such a one (`overdue`, shared by all of an engine's proposers) it is asked nothing, or threads would add up.
    """

    name: str
    engine: BaseLearningEngine
    tester: Tester
    overdue: Overdue = field(default_factory=Overdue)

    async def propose(self, problem: Problem, budget: Budget) -> Proposal | NoProposal:
        """Raises what the sandbox raises; whatever the engine does wrong is the reason of a NoProposal."""
        account = _Account()
        if self.overdue.is_any:
            return self._none("it is busy still with a problem whose time is over", account)
        try:
            async with asyncio.timeout(budget.seconds):
                return await apart(partial(self._propose, problem, budget, account), GRACE_S, self._leave)
        except TimeoutError:
            return self._none(f"it took longer than {budget.seconds:g} s", account)
        except EngineFailed as error:
            log.warning(
                "the engine %r gave no answer that can be used: %s", self.name, type(error.__cause__ or error).__name__
            )
            return self._none(str(error), account)

    def _leave(self, thread: threading.Thread) -> None:
        log.warning("the engine %r neither answers nor ends: it is asked again once it has", self.name)
        self.overdue.add(thread)

    async def _propose(self, problem: Problem, budget: Budget, account: _Account) -> Proposal | NoProposal:
        asked = asked_of(problem)
        findings = await answered(self.engine.analyze_episode(asked), Mapping)  # type: ignore[type-abstract]
        attempts: list[Attempt] = []
        for _ in range(ATTEMPTS):
            if budget.allowance is not None and budget.allowance.is_spent:
                return self._none("the experiment's budget is spent", account)
            change = await answered(self.engine.propose_code_change(asked, findings, tuple(attempts)), CodeChange)
            account.tokens += change.tokens
            account.cost_usd += change.cost_usd
            if budget.allowance is not None:
                budget.allowance.use(change.tokens, change.cost_usd)
            rationale = change.rationale[:MOST_RATIONALE_CHARACTERS]
            if not change.code.strip():
                return self._none(rationale or "it has no code", account)
            if len(change.code) > MOST_CODE_CHARACTERS:
                raise EngineFailed(f"its code is longer than {MOST_CODE_CHARACTERS} characters")
            account.tried += 1
            complaints = await self._complaints(change.code, problem, account)
            if not complaints:
                return await self._validated(asked, change.code, rationale, problem, account)
            attempts.append(Attempt(change.code, complaints))
        passed = f"the best of {ATTEMPTS} passed {account.best_passed} of {len(problem.visible)} examples"
        return self._none(passed, account)

    async def _complaints(self, code: str, problem: Problem, account: _Account) -> tuple[str, ...]:
        """What is wrong with code, a line each; nothing where it passes every visible example in the sandbox."""
        if fault := fault_of(code):
            return (fault,)
        verdict = await check(self.tester, code, problem.preamble, problem.visible)
        passed = sum(verdict.passed)
        if not account.best or passed > account.best_passed:
            account.best, account.best_passed = code, passed
        return complaints_of(verdict, problem)

    async def _validated(
        self, asked: LearningProblem, code: str, rationale: str, problem: Problem, account: _Account
    ) -> Proposal | NoProposal:
        validity = await answered(self.engine.validate_change(asked, code), Validity)
        if validity.valid is not True:
            why = validity.reason[:MOST_RATIONALE_CHARACTERS] or "it gives no reason"
            return self._none(f"it refuses its own code: {why}", account)
        return Proposal(
            code=code,
            proposer=self.name,
            edits=(rationale,) if rationale else (),
            examples_passed=len(problem.visible),
            tried=account.tried,
            seconds=account.seconds,
            tokens=account.tokens,
            cost_usd=account.cost_usd,
        )

    def _none(self, reason: str, account: _Account) -> NoProposal:
        return NoProposal(
            self.name,
            reason,
            examples_passed=account.best_passed,
            tried=account.tried,
            seconds=account.seconds,
            variants=(account.best,) if account.best else (),
            tokens=account.tokens,
            cost_usd=account.cost_usd,
        )


async def answered(asking: Awaitable[Answer], kind: type[Answer]) -> Answer:
    """What an engine answers. Raises EngineFailed for anything else than an answer of that kind."""
    try:
        answer = await asking
        # An engine that blocked in a thread that was left learns only here that nobody waits for it.
        await asyncio.sleep(0)
    except AutoDevError as error:
        raise EngineFailed(error.message) from error
    except Exception as error:
        # A user's engine may raise anything.
        raise EngineFailed(f"it raised {type(error).__name__}: {error}") from error
    if not isinstance(answer, kind):
        raise EngineFailed(f"it gave a {type(answer).__name__} where a {kind.__name__} was asked for")
    return answer


def asked_of(problem: Problem) -> LearningProblem:
    """The problem as an engine of the user's gets it: without held-out examples, as every proposer."""
    return LearningProblem(
        tenant_id=current_tenant(),
        task_description=problem.task_description,
        entry_points=problem.entry_points,
        failures=tuple(FailedProgram(each.code, each.error_trace) for each in problem.failures),
        examples=tuple(VisibleExample(each.call, each.expected) for each in problem.visible),
        preamble=problem.preamble,
        working_programs=tuple(each.code for each in problem.cases),
    )


def complaints_of(verdict: Verdict, problem: Problem) -> tuple[str, ...]:
    """What each failing example gave, the first ones."""
    told = [
        f"{example.call} {_gave(outcome.value, outcome.error)}, expected {example.expected}"[:MOST_COMPLAINT_CHARACTERS]
        for example, outcome, passed in zip(problem.visible, verdict.outcomes, verdict.passed, strict=True)
        if not passed
    ]
    return tuple(told[:MOST_COMPLAINTS])


def _gave(value: str | None, error: str | None) -> str:
    return f"raised {error}" if value is None else f"gave {value}"
