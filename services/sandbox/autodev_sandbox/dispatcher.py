"""Takes an execution through the service: its name, its level, its turn, its sandbox, its outcome."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from enum import Enum
from typing import Protocol

from autodev_runtime.errors import DeadlineExceeded
from autodev_runtime.turns import Place, Turns
from autodev_sandbox.backends import Sandbox
from autodev_sandbox.cancelling import EndedByName, Names
from autodev_sandbox.execution import (
    BackendUnavailable,
    CallOutcome,
    Calls,
    Execution,
    IsolationLevel,
    Limits,
    Outcome,
    Status,
    Stream,
)
from autodev_sandbox.levels import Levels
from autodev_sandbox.observing import Observation, observed
from autodev_sandbox.running import LOST_EXIT_CODE, Heard, run, run_calls

CANCELLED = "cancelled"
Answered = Callable[[CallOutcome], Awaitable[None]]


class Reader(Protocol):
    """Who gets the outcomes of a batch."""

    async def give(self, call: CallOutcome) -> None:
        """Have it. An outcome whose giving is cancelled was not given."""

    async def room(self) -> None:
        """Wait until the next one is welcome."""


class Sharing(Enum):
    """What the inputs of a batch share."""

    NOTHING = "nothing"
    INTERPRETER = "interpreter"


class Transcript:
    """What an execution printed, kept where it is still there after the execution was ended from outside."""

    def __init__(self) -> None:
        self._said = {stream: bytearray() for stream in Stream}

    def hear(self, stream: Stream, data: bytes) -> None:
        self._said[stream] += data

    def of(self, stream: Stream) -> str:
        return self._said[stream].decode(errors="replace")


class Dispatcher:
    """Runs executions on the strongest level that works, as many at a time as there are turns."""

    def __init__(self, levels: Levels, turns: Turns, max_batch_s: float) -> None:
        self.levels = levels
        self.turns = turns
        self._max_batch_s = max_batch_s
        self._names = Names()

    async def execute(
        self,
        execution: Execution,
        tenant: str,
        name: str = "",
        heard: Heard | None = None,
        accepted: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Run it in its turn.

        With `heard`, output is given to that as it comes, and not in the outcome. `accepted` is called once `cancel`
        finds it. Raises FailedPrecondition (ISOLATION_UNAVAILABLE), ResourceExhausted (QUEUE_FULL), AlreadyExists.
        """
        if name and heard is None:
            # What may be ended at any moment must have its output by then.
            said = Transcript()
            outcome = await self.execute(execution, tenant, name, said.hear, accepted)
            return replace(outcome, stdout=said.of(Stream.STDOUT), stderr=said.of(Stream.STDERR))
        with observed("sandbox.execute", tenant) as seen:
            try:
                with self._names.named(tenant, name):
                    least = await self.levels.required(execution.minimum)
                    accepted()
                    async with self.turns.turn(tenant):
                        seen.queued()
                        outcome = await self._run(execution, least, heard, seen)
                    seen.ended(outcome)
            except EndedByName:
                outcome = self._cancelled(seen)
                seen.ended(outcome, CANCELLED)
            return outcome

    async def batch(
        self,
        calls: Calls,
        tenant: str,
        sharing: Sharing,
        reader: Reader,
        name: str = "",
    ) -> None:
        """Run every input in its turn and give its outcome, in order. Inputs that share an interpreter share a turn.

        Every input is answered once, by KILLED where `cancel` came before its outcome was given. Raises as `execute`,
        and DeadlineExceeded after the outcomes so far.
        """
        with observed("sandbox.execute_batch", tenant) as seen:
            try:
                async with asyncio.timeout(self._max_batch_s):
                    await self._batch(calls, tenant, sharing, reader, name, seen)
            except TimeoutError:
                told = f"the batch took longer than {self._max_batch_s:g} s: send fewer inputs"
                raise DeadlineExceeded(told) from None

    async def _batch(
        self,
        calls: Calls,
        tenant: str,
        sharing: Sharing,
        reader: Reader,
        name: str,
        seen: Observation,
    ) -> None:
        answered, total = 0, len(calls.inputs)

        async def answer(each: CallOutcome, cause: str = "") -> None:
            nonlocal answered
            await reader.give(each)
            # What comes from here on finds it given: a cancel in between would leave it out, or give it twice.
            answered += 1
            seen.ended(each.outcome, cause)
            await reader.room()

        try:
            with self._names.named(tenant, name):
                least = await self.levels.required(calls.minimum)
                place = Place.LAST
                while answered < total:
                    end = answered + 1 if sharing is Sharing.NOTHING else total
                    part = replace(calls, inputs=calls.inputs[:end])
                    async with self.turns.turn(tenant, place):
                        seen.queued()
                        await self._run_part(part, answered, least, answer, seen)
                    place = Place.KEPT
        except EndedByName:
            for index in range(answered, total):
                await answer(CallOutcome(index, self._cancelled(seen)), CANCELLED)

    def cancel(self, tenant: str, name: str) -> None:
        """End the tenant's execution of that name. Raises NotFound."""
        self._names.cancel(tenant, name)

    async def close(self) -> None:
        """End every sandbox; when this returns, nothing is left."""
        await self.levels.close()

    async def _run(
        self, execution: Execution, least: IsolationLevel, heard: Heard | None, seen: Observation
    ) -> Outcome:
        while True:
            try:
                async with self._sandbox(least, execution.limits, seen) as sandbox:
                    return await run(sandbox, execution, heard)
            except BackendUnavailable:
                # Nothing began: another sandbox may be there.
                continue

    async def _run_part(
        self, part: Calls, start: int, least: IsolationLevel, answer: Answered, seen: Observation
    ) -> None:
        """Run the inputs from `start` on in one sandbox, and answer them, as far as it was there."""
        try:
            async with (
                self._sandbox(least, part.limits, seen) as sandbox,
                aclosing(run_calls(sandbox, part, start)) as outcomes,
            ):
                async for each in outcomes:
                    await answer(each)
        except BackendUnavailable:
            # The next input never began: another sandbox begins with it.
            return

    @asynccontextmanager
    async def _sandbox(self, least: IsolationLevel, limits: Limits, seen: Observation) -> AsyncIterator[Sandbox]:
        """A sandbox for the block. Raises BackendUnavailable where nothing began in it, because it was not there."""
        backend, sandbox = await self.levels.take(least, limits)
        try:
            seen.taken(sandbox.level)
            yield sandbox
            self.levels.worked(sandbox.level)
        except BackendUnavailable as error:
            self.levels.lost(backend, error)
            raise
        finally:
            backend.retire(sandbox)

    def _cancelled(self, seen: Observation) -> Outcome:
        level = seen.level or self.levels.best(self.levels.minimum) or self.levels.minimum
        return Outcome(Status.KILLED, level, exit_code=LOST_EXIT_CODE)
