"""Leave a step out."""

from collections.abc import Iterator
from random import Random

from autodev_learning.workflows.definition import Step, steps_of, title, with_steps
from autodev_learning.workflows.edits import Change, Material, shuffled


class Drop:
    """One step less. What needed it needs what it needed: a, b needs a, c needs b; without b, c needs a."""

    def changes(self, material: Material, random: Random) -> Iterator[Change]:
        steps = steps_of(material.workflow)
        for index in shuffled(len(steps), random):
            dropped = steps[index]
            rest = [*steps[:index], *(_without(step, dropped) for step in steps[index + 1 :])]
            yield Change(with_steps(material.workflow, rest), f"{title(steps, index)} dropped")


def _without(step: Step, dropped: Step) -> Step:
    if "id" not in dropped or dropped["id"] not in step.get("needs", []):
        return step
    needs = [each for need in step["needs"] for each in (dropped.get("needs", []) if need == dropped["id"] else [need])]
    return {**step, "needs": list(dict.fromkeys(needs))}
