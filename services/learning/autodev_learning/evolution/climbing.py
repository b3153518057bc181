"""Making a program faster step by step: of all speed-ups the best by measured time, then of what that gives again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

LEAST_GAIN = 0.03
"""A speed-up that saves less than this share of the time is not worth its lines."""


class Mutated(Protocol):
    """A changed program, and what was changed."""

    @property
    def description(self) -> str: ...

    @property
    def code(self) -> str: ...


@dataclass(frozen=True)
class Climb:
    """The fastest program found, its seconds, the steps to it, and how many were tried."""

    code: str
    seconds: float
    steps: tuple[str, ...] = ()
    tried: int = 0


@dataclass(frozen=True)
class Climber:
    """`mutations` gives a program's speed-ups; `seconds` a program's time, None where it does not do the same.

    `more` says whether another program may be tried.
    """

    mutations: Callable[[str], Awaitable[Sequence[Mutated]]]
    seconds: Callable[[str], Awaitable[float | None]]
    more: Callable[[int], bool]

    async def climb(self, code: str, seconds: float) -> Climb:
        """Climb from a program that takes so many seconds."""
        best = Climb(code, seconds)
        wrong: set[str] = set()
        while True:
            step = await self._step(best, wrong)
            if step.code == best.code:
                return step
            best = step

    async def _step(self, best: Climb, wrong: set[str]) -> Climb:
        """The best of a program's speed-ups; the program itself where none is worth it."""
        found, least, tried = best, best.seconds * (1 - LEAST_GAIN), best.tried
        for mutation in await self.mutations(best.code):
            if mutation.description in wrong:
                continue
            if not self.more(tried):
                break
            tried += 1
            seconds = await self.seconds(mutation.code)
            if seconds is None:
                # It will not do the same after another step either.
                wrong.add(mutation.description)
            elif seconds < least:
                found, least = Climb(mutation.code, seconds, (*best.steps, mutation.description)), seconds
        return Climb(found.code, found.seconds, found.steps, tried)
