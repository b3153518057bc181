"""What parameters were seen to be, in a workflow's relatives: a mutation goes no further."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from autodev_learning.workflows.definition import Step, Workflow, steps_of

Path = tuple[str, ...]


def leaves(step: Step) -> Iterator[tuple[Path, Any]]:
    """A step's parameters that are no objects themselves, and where they are."""
    yield from _leaves(step.get("parameters", {}), ())


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for name in sorted(value):
            yield from _leaves(value[name], (*path, name))
    else:
        yield path, value


def replaced(step: Step, path: Path, value: Any) -> Step:
    """The step with one parameter changed."""
    return {**step, "parameters": _replaced(step["parameters"], path, value)}


def _replaced(holder: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    return {**holder, path[0]: _replaced(holder[path[0]], path[1:], value)}


class SeenParameters:
    """Every value of every parameter of every tool, in the workflows given."""

    def __init__(self, workflows: Iterable[Workflow]) -> None:
        self._values: dict[tuple[str, Path], list[Any]] = defaultdict(list)
        for workflow in workflows:
            for step in steps_of(workflow):
                for path, value in leaves(step):
                    values = self._values[step["tool"], path]
                    if not any(same(value, each) for each in values):
                        values.append(value)

    def other(self, tool: str, path: Path, current: Any, random: Random) -> Any:
        """Another value than the current one, from what was seen; `current` where there is none.

        Of numbers any between the least and the greatest seen, whole where all of them are; of anything else, one seen.
        """
        values = [value for value in self._values[tool, path] if not same(value, current)]
        if not values:
            return current
        if _is_number(current) and random.random() < 0.5:
            numbers = [value for value in (*values, current) if _is_number(value)]
            between = _between(numbers, random)
            if not same(between, current):
                return between
        return random.choice(values)


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same: true is not 1."""
    return type(left) is type(right) and bool(left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _between(numbers: list[Any], random: Random) -> Any:
    least, most = min(numbers), max(numbers)
    if all(isinstance(each, int) for each in numbers):
        return random.randint(least, most)
    return min(most, max(least, random.uniform(least, most)))
