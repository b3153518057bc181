"""Start or step from another constant: an integer one off, True for False, [] for ()."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, replace_expression, source

NAME = "change a constant"
PRIOR = 3.0

_EMPTY = ("[]", "()", "{}", "set()", "''", "0", "1", "None")


def edits(program: Program) -> Iterator[Edit]:
    for site, integer in program.find(cst.Integer):
        value = int(integer.value, 0) if integer.value.isdigit() else None
        if value is not None:
            for other in dict.fromkeys((value + 1, value - 1, 0, 1)):
                if other != value:
                    yield replace_expression(site, str(other))
    for site, name in program.find(cst.Name):
        if name.value in ("True", "False"):
            yield replace_expression(site, "False" if name.value == "True" else "True")
        elif name.value in ("true", "false", "none"):
            yield replace_expression(site, name.value.capitalize())
    for site, node in program.expressions():
        text = source(node)
        if (
            site.field == "value"
            and text in _EMPTY
            and site.parent
            and isinstance(site.parent.node, cst.Assign | cst.Return)
        ):
            for other_text in _EMPTY:
                if other_text != text:
                    yield replace_expression(site, other_text)
