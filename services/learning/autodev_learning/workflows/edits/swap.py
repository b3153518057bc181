"""Do two steps in the other order."""

from collections.abc import Iterator
from itertools import combinations
from random import Random

from autodev_learning.workflows.definition import steps_of, title, with_steps
from autodev_learning.workflows.edits import Change, Material


class Swap:
    """Two steps, each in the other's place."""

    def changes(self, material: Material, random: Random) -> Iterator[Change]:
        steps = steps_of(material.workflow)
        pairs = list(combinations(range(len(steps)), 2))
        for first, second in random.sample(pairs, len(pairs)):
            other = list(steps)
            other[first], other[second] = other[second], other[first]
            detail = f"{title(steps, first)} and {title(steps, second)} swapped"
            yield Change(with_steps(material.workflow, other), detail)
