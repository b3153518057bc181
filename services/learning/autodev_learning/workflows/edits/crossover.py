"""Begin as one workflow and end as another."""

from collections.abc import Iterator
from random import Random

from autodev_learning.workflows.definition import steps_of, with_steps
from autodev_learning.workflows.edits import Change, Material


class Crossover:
    """The first steps of the workflow, then the last ones of its mate, but those whose id is there already."""

    def changes(self, material: Material, random: Random) -> Iterator[Change]:
        if material.mate is None:
            return
        ours, theirs = steps_of(material.workflow), steps_of(material.mate)
        cuts = [(head, tail) for head in range(1, len(ours) + 1) for tail in range(len(theirs))]
        for head, tail in random.sample(cuts, len(cuts)):
            taken = {step["id"] for step in ours[:head] if "id" in step}
            ending = [step for step in theirs[tail:] if step.get("id") not in taken]
            detail = f"steps 1 to {head}, then the other's from {tail + 1} on"
            yield Change(with_steps(material.workflow, [*ours[:head], *ending]), detail)
