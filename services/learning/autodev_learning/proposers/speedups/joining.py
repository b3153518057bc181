"""Join at the end: `text += piece` within a loop may copy all the text each time."""

from collections.abc import Iterator
from functools import partial

import libcst as cst

from autodev_learning.proposers.effects import fresh_name, names_bound, names_read, outermost_loops
from autodev_learning.proposers.tree import Edit, Program, Replacement, descendants, mapped, source, statement

NAME = "join pieces of text after the loop"
GAIN = 10.0


def edits(program: Program) -> Iterator[Edit]:
    for site, loop in outermost_loops(program):
        for name in sorted(names_bound(loop)):
            if not _starts_as_text(program, name) or not _is_only_added_to(loop, name):
                continue
            pieces = fresh_name(program, f"{name}_pieces")
            changed = mapped(loop, partial(_collecting, name=name, pieces=pieces))
            made, joined = statement(f"{pieces} = [{name}]"), statement(f'{name} = "".join({pieces})')
            yield Edit(f"{site.where}: join the pieces of `{name}` after the loop", site, (made, changed, joined))


def _starts_as_text(program: Program, name: str) -> bool:
    return any(
        isinstance(node, cst.Assign)
        and source(node.targets[0].target) == name
        and isinstance(node.value, cst.SimpleString)
        for node in descendants(program.module)
    )


def _is_only_added_to(loop: cst.CSTNode, name: str) -> bool:
    if any(isinstance(node, cst.Return) for node in descendants(loop)):
        return False
    rest = mapped(loop, lambda node: () if _added(node, name) is not None else None)
    return name not in names_read(rest)


def _added(node: cst.CSTNode, name: str) -> cst.BaseExpression | None:
    if not isinstance(node, cst.SimpleStatementLine) or len(node.body) != 1:
        return None
    line = node.body[0]
    if isinstance(line, cst.AugAssign) and isinstance(line.operator, cst.AddAssign) and source(line.target) == name:
        return line.value
    if isinstance(line, cst.Assign) and source(line.targets[0].target) == name:
        value = line.value
        if (
            isinstance(value, cst.BinaryOperation)
            and isinstance(value.operator, cst.Add)
            and source(value.left) == name
        ):
            return value.right
    return None


def _collecting(node: cst.CSTNode, name: str, pieces: str) -> Replacement | None:
    piece = _added(node, name)
    return None if piece is None else statement(f"{pieces}.append({source(piece)})")
