"""Insert where it belongs: a list that is sorted again for each new item."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.effects import with_import
from autodev_learning.proposers.tree import Edit, Program, Site, source, statement, swapped

NAME = "insert into the sorted list"
GAIN = 15.0


def edits(program: Program) -> Iterator[Edit]:
    for site, block in program.find(cst.IndentedBlock):
        for index in range(1, len(block.body)):
            append, sort = source(block.body[index - 1]), source(block.body[index])
            name = sort.removesuffix(".sort()")
            if sort != f"{name}.sort()" or not append.startswith(f"{name}.append(") or not append.endswith(")"):
                continue
            item = append.removeprefix(f"{name}.append(")[:-1]
            inserted = statement(f"bisect.insort({name}, {item})")
            body = [*block.body[: index - 1], inserted, *block.body[index + 1 :]]
            replaced = block.with_changes(body=body)
            module = swapped(program.module, block, replaced)
            assert isinstance(module, cst.Module)
            whole = Site(program.module, (), None, None)
            yield Edit(f"{site.where}: insert into sorted `{name}`", whole, with_import(module, "bisect"))
