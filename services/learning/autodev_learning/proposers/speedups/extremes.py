"""Take the least or the greatest without sorting all the others."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, replace_expression, source

NAME = "take the least or greatest without sorting"
GAIN = 8.0


def edits(program: Program) -> Iterator[Edit]:
    for site, subscript in program.find(cst.Subscript):
        call = subscript.value
        if not isinstance(call, cst.Call) or source(call.func) != "sorted" or len(subscript.slice) != 1:
            continue
        place = source(subscript.slice[0])
        others = [argument for argument in call.args[1:] if argument.keyword and argument.keyword.value == "key"]
        if place in ("0", "-1") and len(call.args) == 1 + len(others):
            arguments = ", ".join(source(argument).rstrip(", ") for argument in call.args)
            # Of equal ones sorted() keeps the order: its last is the last of them, and max() gives the first.
            if place == "0" or not others:
                yield replace_expression(site, f"{'min' if place == '0' else 'max'}({arguments})")
