"""Return something else, or return where the end of the function was simply reached."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Function, Program, expression, source, statement

NAME = "return another value"
PRIOR = 4.0


def edits(program: Program) -> Iterator[Edit]:
    for site, node in program.find(cst.Return):
        value = source(node.value) if node.value else ""
        for other in candidates(site.function):
            if other != value:
                new = cst.Return(expression(other))
                yield Edit(f"{site.where}: `return {other}` instead of `{source(node)}`", site, new)
    for site, block in program.find(cst.IndentedBlock):
        if not site.parent or not isinstance(site.parent.node, cst.FunctionDef) or ends_in_return(block):
            continue
        for other in candidates(site.function):
            body = [*block.body, statement(f"return {other}")]
            yield Edit(f"{site.where}: end with `return {other}`", site, block.with_changes(body=body))


def candidates(function: Function | None) -> Iterator[str]:
    """What a function might return, likeliest first."""
    names = function.names if function else ()
    params = function.params if function else ()
    yield from names
    for param in params:
        yield f"len({param})"
    yield from ("True", "False", "0", "[]", "()", "None")
    for name in names:
        if name not in params:
            yield from (f"{name} + 1", f"{name} - 1", f"{name} == 1", f"{name} > 0")
            yield from (f"list({name})", f"tuple({name})", f"len({name})", f"[{name}]")
    for param in params:
        yield from (f"list({param})", f"tuple({param})")


def ends_in_return(block: cst.IndentedBlock) -> bool:
    last = block.body[-1]
    return isinstance(last, cst.SimpleStatementLine) and isinstance(last.body[-1], cst.Return | cst.Raise)
