"""Append to a list: `items = items + [x]` copies all the items each time."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, body_of, source

NAME = "append instead of copying"
GAIN = 30.0


def edits(program: Program) -> Iterator[Edit]:
    for site, assign in program.find(cst.Assign):
        name = source(assign.targets[0].target)
        value = assign.value
        if not isinstance(value, cst.BinaryOperation) or not isinstance(value.operator, cst.Add):
            continue
        if source(value.left) != name or not isinstance(value.right, cst.List) or not name.isidentifier():
            continue
        if (
            site.function is not None
            and name not in site.function.params
            and _starts_as_list(program, site.where, name)
        ):
            grown = cst.AugAssign(assign.targets[0].target, cst.AddAssign(), value.right)
            yield Edit(f"{site.where}: add to `{name}` in place", site, grown)


def _starts_as_list(program: Program, function: str, name: str) -> bool:
    """Whether the function makes the list itself: one that came from elsewhere may be somebody else's too."""
    definition = program.functions.get(function)
    lines = [source(line) for line in body_of(definition.body)] if definition else []
    return f"{name} = []" in lines or f"{name} = list()" in lines
