"""Structural mutations of workflows, one module each: a name, and the ways it can be applied."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

from autodev_learning.workflows.definition import Workflow
from autodev_learning.workflows.seen import SeenParameters


@dataclass(frozen=True, slots=True)
class Material:
    """What a mutation is made of: the workflow, one to take steps from, and what parameters were seen to be."""

    workflow: Workflow
    mate: Workflow | None
    seen: SeenParameters


@dataclass(frozen=True, slots=True)
class Change:
    """Another workflow, maybe an invalid one, and in words what was done."""

    workflow: Workflow
    detail: str


class Edit(Protocol):
    """One kind of structural mutation."""

    def changes(self, material: Material, random: Random) -> Iterator[Change]:
        """The ways to apply it, in an order by chance."""
        ...


def all_edits() -> Mapping[str, Edit]:
    """Every kind by its name."""
    from autodev_learning.workflows.edits.crossover import Crossover
    from autodev_learning.workflows.edits.drop import Drop
    from autodev_learning.workflows.edits.duplicate import Duplicate
    from autodev_learning.workflows.edits.parameter import Parameter
    from autodev_learning.workflows.edits.swap import Swap

    return {
        "crossover": Crossover(),
        "drop": Drop(),
        "duplicate": Duplicate(),
        "parameter": Parameter(),
        "swap": Swap(),
    }


def shuffled(count: int, random: Random) -> list[int]:
    """The numbers below `count`, in an order by chance."""
    return random.sample(range(count), count)
