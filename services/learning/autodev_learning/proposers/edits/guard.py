"""Answer for the empty input before anything else is done."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, statement

NAME = "guard against an empty input"
PRIOR = 3.0

_ANSWERS = ("0", "[]", "False", "None", "()", "True", "''", "{}", "1", "-1")


def edits(program: Program) -> Iterator[Edit]:
    for site, block in program.find(cst.IndentedBlock):
        if not site.parent or not isinstance(site.parent.node, cst.FunctionDef) or site.function is None:
            continue
        for param in site.function.params:
            for answer in (*_ANSWERS, param):
                guard = statement(f"if not {param}:\n    return {answer}\n")
                body = [guard, *block.body]
                yield Edit(f"{site.where}: return {answer} for an empty `{param}`", site, block.with_changes(body=body))
        for item in site.function.params:
            for group in site.function.params:
                if item != group:
                    for answer in ("0", "False", "None", f"len({group})"):
                        guard = statement(f"if {item} not in {group}:\n    return {answer}\n")
                        body = [guard, *block.body]
                        description = f"{site.where}: return {answer} if `{item}` is not in `{group}`"
                        yield Edit(description, site, block.with_changes(body=body))
