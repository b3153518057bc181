"""Turn a condition round, or join, drop and regroup its parts."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, replace_expression, source

NAME = "change a condition"
PRIOR = 2.0


def edits(program: Program) -> Iterator[Edit]:
    for site, branch in program.find(cst.If):
        test = next(inner for inner in program.sites if inner.parent is site and inner.field == "test")
        text = source(branch.test)
        yield replace_expression(test, f"not ({text})")
        for other in dict.fromkeys(
            source(node.test) for where, node in program.find(cst.If) if where.function is site.function
        ):
            if other != text:
                yield replace_expression(test, f"({text}) and ({other})")
                yield replace_expression(test, f"({text}) or ({other})")
    for site, boolean in program.find(cst.BooleanOperation):
        swapped = cst.Or() if isinstance(boolean.operator, cst.And) else cst.And()
        changed = boolean.with_changes(operator=swapped)
        yield Edit(f"{site.where}: replace `{source(boolean)}` by `{source(changed)}`", site, changed)
        yield replace_expression(site, source(boolean.left))
        yield replace_expression(site, source(boolean.right))
    for site, unary in program.find(cst.UnaryOperation):
        if isinstance(unary.operator, cst.Not):
            yield replace_expression(site, source(unary.expression))
