"""Ask a set, not a list: `x in items` within a loop looks through all the items each time."""

from collections.abc import Iterator
from functools import partial

import libcst as cst

from autodev_learning.proposers.effects import fresh_name, harmless_functions, names_changed, outermost_loops
from autodev_learning.proposers.tree import (
    Edit,
    Program,
    Replacement,
    descendants,
    expression,
    mapped,
    source,
    statement,
)

NAME = "look up members in a set"
GAIN = 50.0


def edits(program: Program) -> Iterator[Edit]:
    for site, loop in outermost_loops(program):
        for name in _asked(loop):
            if name not in names_changed(loop, harmless_functions(program)) and not _is_fast(program, name):
                members = fresh_name(program, f"{name}_members")
                changed = mapped(loop, partial(_asking, name=name, members=members))
                made = statement(f"{members} = set({name})")
                yield Edit(f"{site.where}: look up in a set of `{name}`", site, (made, changed))
    for site, block in program.find(cst.IndentedBlock):
        if site.parent and isinstance(site.parent.node, cst.FunctionDef):
            for name in _grown(block):
                members = fresh_name(program, f"{name}_members")
                changed_block = mapped(block, partial(_growing, name=name, members=members))
                yield Edit(f"{site.where}: keep a set of what is in `{name}`", site, changed_block)


def _asked(node: cst.CSTNode) -> list[str]:
    """The names that something is looked up in, in order."""
    return list(
        dict.fromkeys(
            inner.comparator.value
            for inner in descendants(node)
            if isinstance(inner, cst.ComparisonTarget)
            and isinstance(inner.operator, cst.In | cst.NotIn)
            and isinstance(inner.comparator, cst.Name)
        )
    )


def _is_fast(program: Program, name: str) -> bool:
    """Whether the program makes the name a set, a dict or text: those are quick already, or are no collection."""
    values = [
        node.value
        for node in descendants(program.module)
        if isinstance(node, cst.Assign) and source(node.targets[0].target) == name
    ]
    return any(
        isinstance(value, cst.Dict | cst.Set | cst.DictComp | cst.SetComp | cst.SimpleString)
        or (
            isinstance(value, cst.Call)
            and source(value.func) in ("set", "frozenset", "dict", "str", "collections.deque")
        )
        for value in values
    )


def _asking(node: cst.CSTNode, name: str, members: str) -> Replacement | None:
    if not isinstance(node, cst.ComparisonTarget) or not isinstance(node.operator, cst.In | cst.NotIn):
        return None
    return node.with_changes(comparator=expression(members)) if source(node.comparator) == name else None


def _grown(block: cst.IndentedBlock) -> list[str]:
    """The lists that the function itself starts and that are only appended to, read and looked up in."""
    return [name for name in _asked(block) if _is_only_appended(block, name)]


def _is_only_appended(block: cst.IndentedBlock, name: str) -> bool:
    starts = [line for line in block.body if _starts(line, name)]
    if len(starts) != 1:
        return False
    rest = mapped(block, lambda node: () if node is starts[0] else _without_appends(node, name))
    return name not in names_changed(rest)


def _starts(node: cst.CSTNode, name: str) -> bool:
    """Whether the statement binds the name to a list made there."""
    if not isinstance(node, cst.SimpleStatementLine) or not isinstance(node.body[0], cst.Assign):
        return False
    value = node.body[0].value
    makes_list = isinstance(value, cst.List) or (isinstance(value, cst.Call) and source(value.func) == "list")
    return makes_list and source(node.body[0].targets[0].target) == name


def _without_appends(node: cst.CSTNode, name: str) -> Replacement | None:
    return () if _appended(node, name) is not None else None


def _appended(node: cst.CSTNode, name: str) -> cst.BaseExpression | None:
    """What the statement appends to the list, if that is all it does."""
    if not isinstance(node, cst.SimpleStatementLine) or len(node.body) != 1:
        return None
    line = node.body[0]
    if isinstance(line, cst.Expr) and isinstance(line.value, cst.Call) and len(line.value.args) == 1:
        return line.value.args[0].value if source(line.value.func) == f"{name}.append" else None
    if isinstance(line, cst.AugAssign) and isinstance(line.operator, cst.AddAssign) and source(line.target) == name:
        value = line.value
        if isinstance(value, cst.List) and len(value.elements) == 1 and isinstance(value.elements[0], cst.Element):
            return value.elements[0].value
    return None


def _growing(node: cst.CSTNode, name: str, members: str) -> Replacement | None:
    if _starts(node, name):
        return (node, statement(f"{members} = set({name})"))
    appended = _appended(node, name)
    if appended is not None:
        return (node, statement(f"{members}.add({source(appended)})"))
    return _asking(node, name, members)
