"""Operators: each makes programs from programs, and is one arm of an experiment's bandit.

An operator is a name and `offers`: one answer an order, in their order; None where it has none. One that computes
derives from `Local` and lives in a module of this folder; a model behind a network is a `Proposer`, and `Asked` makes
an operator of it. What an operator makes must depend on the order alone, its `chance` included, if an experiment is to
give the same again.
"""

import asyncio
import importlib
import logging
import pkgutil
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import ClassVar, Protocol

from autodev_learning.evolution.individuals import Individual, Offer
from autodev_learning.evolution.strategy import Distribution
from autodev_learning.examples import Example
from autodev_learning.proposers.allowance import Allowance

log = logging.getLogger(__name__)


class Aim(StrEnum):
    """What an experiment is after."""

    FASTER = "faster"
    MEND = "mend"
    SCORE = "score"


@dataclass(frozen=True)
class Brief:
    """What an experiment is about, for whoever proposes; and what a step of it may use, where it is bounded."""

    aim: Aim
    description: str
    entry_points: tuple[str, ...]
    visible: tuple[Example, ...] = ()
    preamble: str = ""
    allowance: Allowance | None = None


@dataclass(frozen=True)
class Order:
    """A wish for one program made from `parent`.

    `others` are the fittest of its island besides it, and some by lot; `feedback` is what went wrong with it and with
    what was made of it before, `chance` the only lot to draw from. `is_known` tells of a program whether it was there
    before. `distribution` is what is known of where the parent's fractions should lie, for who asks for it.
    """

    parent: Individual
    others: tuple[Individual, ...]
    feedback: tuple[str, ...]
    chance: random.Random
    is_known: Callable[[str], bool]
    distribution: Distribution | None = None


class Operator(Protocol):
    """Makes programs from programs."""

    @property
    def name(self) -> str: ...

    async def offers(self, orders: Sequence[Order], brief: Brief) -> Sequence[Offer | None]:
        """A program for each order, or None. Raises what the sandbox raises."""
        ...


class Local(ABC):
    """An operator that computes, in a thread beside the service's work."""

    NAME: ClassVar[str]
    AIMS: ClassVar[frozenset[Aim]]

    @property
    def name(self) -> str:
        return self.NAME

    @abstractmethod
    def offer(self, order: Order, brief: Brief) -> Offer | None:
        """A program for an order, or None."""

    async def offers(self, orders: Sequence[Order], brief: Brief) -> Sequence[Offer | None]:
        return await asyncio.to_thread(self._offers, orders, brief)

    def _offers(self, orders: Sequence[Order], brief: Brief) -> list[Offer | None]:
        """One parent's after the other's: what is worked out of a program is not remembered for long."""
        offers: list[Offer | None] = [None] * len(orders)
        for index in sorted(range(len(orders)), key=lambda index: orders[index].parent.number):
            offers[index] = self._offer(orders[index], brief)
        return offers

    def _offer(self, order: Order, brief: Brief) -> Offer | None:
        try:
            return self.offer(order, brief)
        except Exception:
            # It edits programs that nobody has read: one that breaks it must not end an experiment.
            log.exception("operator %s broke", self.NAME)
            return None


@cache
def local_operators() -> tuple[Local, ...]:
    """Every operator of this folder, by name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return tuple(sorted((kind() for kind in Local.__subclasses__() if kind.__module__.startswith(__name__)), key=_name))


def _name(operator: Local) -> str:
    return operator.NAME


def operators_for(aim: Aim) -> list[Operator]:
    """The operators that need no network, for an aim."""
    return [operator for operator in local_operators() if aim in operator.AIMS]
