"""Examples of a task: what may be asked of a program, and the literal that it must answer."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from autodev_sdk.literals import matches

__all__ = ["Example", "called_names", "matches", "split_held_out"]


@dataclass(frozen=True)
class Example:
    """One thing a correct program does: `call` is a Python expression, `expected` the literal it must equal."""

    call: str
    expected: str


def split_held_out(examples: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Split into (visible, held out): every third example is held out, none where there are fewer than three."""
    visible = tuple(example for index, example in enumerate(examples) if index % 3 != 2)
    held_out = tuple(example for index, example in enumerate(examples) if index % 3 == 2)
    return visible, held_out


def called_names(calls: Sequence[str]) -> tuple[str, ...]:
    """Name the functions that the calls ask for, in order of appearance; a call that does not parse names none."""
    names: dict[str, None] = {}
    for call in calls:
        try:
            tree = ast.parse(call, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names.setdefault(node.func.id)
    return tuple(names)
