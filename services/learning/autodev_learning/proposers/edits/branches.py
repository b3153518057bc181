"""Let a branch's two sides change places, make two `if`s one decision, or one decision two `if`s."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, source

NAME = "rearrange branches"
PRIOR = 2.0


def edits(program: Program) -> Iterator[Edit]:
    for site, node in program.find(cst.If):
        heading = source(node).splitlines()[0]
        if isinstance(node.orelse, cst.Else):
            swapped = node.with_changes(body=node.orelse.body, orelse=node.orelse.with_changes(body=node.body))
            yield Edit(f"{site.where}: swap the sides of `{heading}`", site, swapped)
        if isinstance(node.orelse, cst.If) and site.index is not None:
            apart = (node.with_changes(orelse=None), node.orelse)
            yield Edit(f"{site.where}: decide `el{source(node.orelse).splitlines()[0]}` for itself", site, apart)
    for site, block in program.find(cst.IndentedBlock):
        for index in range(1, len(block.body)):
            first, second = block.body[index - 1], block.body[index]
            body = [*block.body[: index - 1], second, first, *block.body[index + 1 :]]
            line = source(second).splitlines()[0]
            yield Edit(f"{site.where}: do `{line}` one step earlier", site, block.with_changes(body=body))
            if isinstance(first, cst.If) and isinstance(second, cst.If) and first.orelse is None:
                joined = [*block.body[: index - 1], first.with_changes(orelse=second), *block.body[index + 1 :]]
                yield Edit(f"{site.where}: make `{line}` an `elif`", site, block.with_changes(body=joined))
