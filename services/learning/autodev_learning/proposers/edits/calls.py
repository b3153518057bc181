"""Ask a function of the same program: where a decision is made, and where none was written yet."""

from collections.abc import Iterator
from itertools import permutations

import libcst as cst

from autodev_learning.proposers.tree import Edit, Function, Program, Site, replace_expression, source

NAME = "ask another function of the program"
PRIOR = 2.0
# The arguments are every choice of so many names: a long function would have tens of thousands of edits.
MOST_NAMES = 5


def edits(program: Program) -> Iterator[Edit]:
    for site in program.sites:
        if site.function is None:
            continue
        parent = site.parent.node if site.parent else None
        if isinstance(site.node, cst.BaseExpression) and isinstance(parent, cst.If) and site.field == "test":
            for call in _calls(program, site.function):
                yield replace_expression(site, call)
                yield replace_expression(site, f"{source(site.node)} and {call}")
        if isinstance(site.node, cst.Call) and isinstance(site.node.func, cst.Name):
            yield from _same_call_otherwise(program, site, site.node)


def _same_call_otherwise(program: Program, site: Site, call: cst.Call) -> Iterator[Edit]:
    arguments = ", ".join(source(argument.value) for argument in call.args)
    for name in program.functions:
        if source(call.func) in program.functions and name != source(call.func):
            yield replace_expression(site, f"{name}({arguments})")
    if len(call.args) == 2:
        yield replace_expression(
            site, f"{source(call.func)}({source(call.args[1].value)}, {source(call.args[0].value)})"
        )


def _calls(program: Program, function: Function) -> Iterator[str]:
    for name, definition in program.functions.items():
        count = len(definition.params.params)
        if name != function.name and count <= 2:
            for arguments in permutations(function.names[:MOST_NAMES], count):
                yield f"{name}({', '.join(arguments)})"
                for index in ("0", "1"):
                    yield (
                        f"{name}({', '.join((f'{arguments[0]}[{index}]', *arguments[1:]))})"
                        if arguments
                        else f"{name}()"
                    )
