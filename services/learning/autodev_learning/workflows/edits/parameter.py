"""Change a parameter of a step, within what was seen."""

import json
from collections.abc import Iterator
from random import Random

from autodev_learning.workflows.definition import steps_of, title, with_steps
from autodev_learning.workflows.edits import Change, Material
from autodev_learning.workflows.seen import leaves, replaced, same

SHOWN = 60


class Parameter:
    """One parameter, as a relative has it or between what relatives have."""

    def changes(self, material: Material, random: Random) -> Iterator[Change]:
        steps = steps_of(material.workflow)
        places = [(index, path, value) for index, step in enumerate(steps) for path, value in leaves(step)]
        for index, path, value in random.sample(places, len(places)):
            other = material.seen.other(steps[index]["tool"], path, value, random)
            if same(other, value):
                continue
            changed = [*steps[:index], replaced(steps[index], path, other), *steps[index + 1 :]]
            detail = f"{title(steps, index)}: {'.'.join(path)} {_shown(value)} -> {_shown(other)}"
            yield Change(with_steps(material.workflow, changed), detail)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
