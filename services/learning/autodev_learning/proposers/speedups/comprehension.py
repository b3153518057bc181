"""Make a list by a comprehension: a loop that only appends pays for each call of `append`."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, body_of, expression, source

NAME = "make a list by a comprehension"
GAIN = 1.3


def edits(program: Program) -> Iterator[Edit]:
    for site, block in program.find(cst.IndentedBlock):
        for index in range(1, len(block.body)):
            start, loop = source(block.body[index - 1]), block.body[index]
            name = start.removesuffix(" = []")
            if start == name or not name.isidentifier() or not isinstance(loop, cst.For) or loop.orelse:
                continue
            text = _comprehension(loop, name)
            if text is not None:
                made = cst.Assign([cst.AssignTarget(cst.Name(name))], expression(text))
                body = [*block.body[: index - 1], cst.SimpleStatementLine([made]), *block.body[index + 1 :]]
                yield Edit(f"{site.where}: make `{name}` by a comprehension", site, block.with_changes(body=body))


def _comprehension(loop: cst.For, name: str) -> str | None:
    body = body_of(loop.body)
    condition = ""
    if len(body) == 1 and isinstance(body[0], cst.If) and not body[0].orelse:
        condition = f" if {source(body[0].test)}"
        body = body_of(body[0].body)
    line = source(body[0]) if len(body) == 1 else ""
    if not line.startswith(f"{name}.append(") or not line.endswith(")") or "\n" in line:
        return None
    item = line.removeprefix(f"{name}.append(")[:-1]
    if name in item or name in condition:
        return None
    return f"[{item} for {source(loop.target)} in {source(loop.iter)}{condition}]"
