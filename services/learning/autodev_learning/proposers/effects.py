"""What a piece of a program reads and binds, as far as its text tells."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import descendants


def names_read(node: cst.CSTNode) -> set[str]:
    """Every name in the node, attributes and keywords aside."""
    read: set[str] = set()
    for inner in descendants(node):
        if isinstance(inner, cst.Name):
            read.add(inner.value)
        if isinstance(inner, cst.Attribute):
            read.discard(inner.attr.value)
    # A name may be both an attribute's and a variable's.
    attributes = (inner for inner in descendants(node) if isinstance(inner, cst.Attribute))
    return read | {inner.value.value for inner in attributes if isinstance(inner.value, cst.Name)}


def names_bound(node: cst.CSTNode) -> set[str]:
    """The names that the node assigns, loops over, deletes or defines."""
    bound: set[str] = set()
    for inner in descendants(node):
        if isinstance(inner, cst.AssignTarget | cst.AugAssign | cst.AnnAssign | cst.For | cst.CompFor | cst.NamedExpr):
            bound |= {name.value for name in _targets(inner.target)}
        elif isinstance(inner, cst.AsName):
            bound |= {name.value for name in _targets(inner.name)}
        elif isinstance(inner, cst.FunctionDef | cst.ClassDef | cst.Param):
            bound.add(inner.name.value)
        elif isinstance(inner, cst.Del):
            bound |= names_read(inner)
    return bound


def _targets(target: cst.CSTNode) -> Iterator[cst.Name]:
    if isinstance(target, cst.Name):
        yield target
    elif isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _targets(element.value)
