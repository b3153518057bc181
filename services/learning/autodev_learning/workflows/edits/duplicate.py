"""Do a step twice."""

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random

from autodev_learning.workflows.definition import Step, steps_of, title, with_steps
from autodev_learning.workflows.edits import Change, Material, shuffled


class Duplicate:
    """A step again, right behind itself, with an id of its own where it has one: "find", "find-2"."""

    def changes(self, material: Material, random: Random) -> Iterator[Change]:
        steps = steps_of(material.workflow)
        for index in shuffled(len(steps), random):
            again = [*steps[: index + 1], _renamed(steps[index], steps), *steps[index + 1 :]]
            yield Change(with_steps(material.workflow, again), f"{title(steps, index)} duplicated")


def _renamed(step: Step, steps: Sequence[Step]) -> Step:
    if "id" not in step:
        return step
    taken = {each.get("id") for each in steps}
    return {**step, "id": next(name for number in count(2) if (name := f"{step['id']}-{number}") not in taken)}
