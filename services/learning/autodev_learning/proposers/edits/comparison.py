"""Compare otherwise: `<` for `<=`, `not in` for `in`, and the rest of their families."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, source

NAME = "change a comparison"
PRIOR = 6.0

_ORDER: tuple[type[cst.BaseCompOp], ...] = (
    cst.LessThan,
    cst.LessThanEqual,
    cst.GreaterThan,
    cst.GreaterThanEqual,
    cst.Equal,
    cst.NotEqual,
)
_OPPOSITES: dict[type[cst.BaseCompOp], type[cst.BaseCompOp]] = {
    cst.In: cst.NotIn,
    cst.NotIn: cst.In,
    cst.Is: cst.Equal,
    cst.IsNot: cst.NotEqual,
}


def edits(program: Program) -> Iterator[Edit]:
    for site, node in program.find(cst.ComparisonTarget):
        kind = type(node.operator)
        others = tuple(other for other in _ORDER if other is not kind) if kind in _ORDER else ()
        for other in others or (_OPPOSITES[kind],):
            changed = node.with_changes(operator=other())
            comparison = site.parent.node if site.parent else node
            yield Edit(f"{site.where}: compare by `{source(changed)}` in `{source(comparison)}`", site, changed)
