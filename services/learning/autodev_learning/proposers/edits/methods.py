"""Call another method or function, call what was only named, call what was subscripted."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, Site, expression, replace_expression, source

NAME = "call otherwise"
PRIOR = 5.0

_FAMILIES = (
    ("append", "extend", "add", "insert", "remove"),
    ("remove", "discard", "pop", "append"),
    ("index", "count", "find"),
    ("lower", "upper", "strip", "title"),
    ("split", "splitlines", "strip"),
    ("keys", "values", "items"),
    ("startswith", "endswith"),
    ("sort", "reverse"),
)
_FUNCTIONS = (
    ("min", "max"),
    ("any", "all"),
    ("sum", "len"),
    ("list", "tuple", "set", "sorted"),
    ("int", "float", "str", "round"),
)


def edits(program: Program) -> Iterator[Edit]:
    for site, call in program.find(cst.Call):
        yield from _other_callee(site, call)
    for site, assign in program.find(cst.Assign):
        yield from _kept_in_place(site, assign)
    for site, subscript in program.find(cst.Subscript):
        if not site.is_target:
            yield from _called_not_subscripted(site, subscript)
    for site, line in program.find(cst.Expr):
        value = line.value
        if isinstance(value, cst.Attribute | cst.Name):
            changed = line.with_changes(value=cst.Call(value))
            yield Edit(f"{site.where}: call `{source(value)}`", site, changed)


def _other_callee(site: Site, call: cst.Call) -> Iterator[Edit]:
    if isinstance(call.func, cst.Attribute):
        for family in _FAMILIES:
            name = call.func.attr.value
            for other in family if name in family else ():
                if other != name:
                    changed = call.with_changes(func=call.func.with_changes(attr=cst.Name(other)))
                    yield Edit(f"{site.where}: replace `{source(call)}` by `{source(changed)}`", site, changed)
    elif isinstance(call.func, cst.Name):
        for family in _FUNCTIONS:
            for other in family if call.func.value in family else ():
                if other != call.func.value:
                    changed = call.with_changes(func=cst.Name(other))
                    yield Edit(f"{site.where}: replace `{source(call)}` by `{source(changed)}`", site, changed)
        if len(call.args) == 1:
            yield replace_expression(site, source(call.args[0].value))


def _kept_in_place(site: Site, assign: cst.Assign) -> Iterator[Edit]:
    """`x = x.append(y)` keeps None: the call alone was meant, or the sum."""
    call = assign.value
    if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute):
        return
    yield Edit(f"{site.where}: `{source(call)}` without the assignment", site, cst.Expr(call))
    if call.func.attr.value in ("append", "add") and len(call.args) == 1:
        summed = f"{source(call.func.value)} + [{source(call.args[0].value)}]"
        yield Edit(f"{site.where}: assign `{summed}`", site, assign.with_changes(value=expression(summed)))


def _called_not_subscripted(site: Site, subscript: cst.Subscript) -> Iterator[Edit]:
    element = subscript.slice[0].slice if len(subscript.slice) == 1 else None
    if isinstance(element, cst.Index):
        yield replace_expression(site, f"{source(subscript.value)}({source(element.value)})")
