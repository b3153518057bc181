"""Move a statement into the loop or branch before it: a step that was meant to be repeated."""

from collections.abc import Iterator, Sequence

import libcst as cst

from autodev_learning.proposers.tree import Compound, Edit, Program, source

NAME = "move a statement into the block before it"
PRIOR = 5.0


def edits(program: Program) -> Iterator[Edit]:
    for site, block in program.find(cst.IndentedBlock):
        for index in range(1, len(block.body)):
            before, moved = block.body[index - 1], block.body[index]
            if not isinstance(before, Compound):
                continue
            for inside in _with_inside(before, moved):
                body = [*block.body[: index - 1], inside, *block.body[index + 1 :]]
                first_line, heading = source(moved).splitlines()[0], source(before).splitlines()[0]
                yield Edit(f"{site.where}: move `{first_line}` into `{heading}`", site, block.with_changes(body=body))


def _with_inside(before: cst.BaseStatement, moved: cst.BaseStatement) -> Iterator[cst.BaseStatement]:
    block = before.body if isinstance(before, Compound) else None
    if not isinstance(block, cst.IndentedBlock):
        return
    body: Sequence[cst.BaseStatement] = block.body
    yield before.with_changes(body=block.with_changes(body=[*body, moved]))
    yield before.with_changes(body=block.with_changes(body=[moved, *body]))
    for deeper in _with_inside(body[-1], moved):
        yield before.with_changes(body=block.with_changes(body=[*body[:-1], deeper]))
