"""Look up in a constant set: `x in [...]` compares with each element."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, expression, source

NAME = "look up in a constant set"
GAIN = 2.0

_CONSTANT = (cst.Integer, cst.SimpleString)


def edits(program: Program) -> Iterator[Edit]:
    for site, target in program.find(cst.ComparisonTarget):
        listed = target.comparator
        if not isinstance(target.operator, cst.In | cst.NotIn) or not isinstance(listed, cst.List | cst.Tuple):
            continue
        if len(listed.elements) > 2 and all(isinstance(element.value, _CONSTANT) for element in listed.elements):
            elements = ", ".join(source(element.value) for element in listed.elements)
            changed = target.with_changes(comparator=expression(f"{{{elements}}}"))
            yield Edit(f"{site.where}: look up in the set {{{elements}}}", site, changed)
