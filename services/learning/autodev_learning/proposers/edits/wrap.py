"""Put a value into a container, convert one, or take an element of it."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, Site, replace_expression, source

NAME = "wrap or unwrap a value"
PRIOR = 4.0

_ADDED = ("[{}]", "({},)", "list({})", "str({})")
_USED = ("{}[0]", "{}[1]", "{}[-1]", "list({})", "tuple({})", "len({})", "sorted({})", "set({})", "str({})", "int({})")


def edits(program: Program) -> Iterator[Edit]:
    for site, node in program.expressions():
        if _is_added(site):
            for form in _ADDED:
                yield replace_expression(site, form.format(source(node)))
        elif isinstance(node, cst.Name) and site.field in (
            "value",
            "left",
            "right",
            "comparator",
            "iter",
            "expression",
        ):
            parent = site.parent.node if site.parent else None
            if not isinstance(parent, cst.Attribute) and node.value not in ("True", "False", "None"):
                for form in _USED:
                    yield replace_expression(site, form.format(node.value))
    for site, subscript in program.find(cst.Subscript):
        if not site.is_target:
            yield replace_expression(site, source(subscript.value))
    for site, sequence in program.expressions():
        if isinstance(sequence, cst.List | cst.Tuple) and len(sequence.elements) == 1:
            yield replace_expression(site, source(sequence.elements[0].value))


def _is_added(site: Site) -> bool:
    parent = site.parent.node if site.parent else None
    if isinstance(parent, cst.AugAssign):
        return site.field == "value"
    return isinstance(parent, cst.BinaryOperation) and site.field in ("left", "right")
