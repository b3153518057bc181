"""Count one further or one less, add instead of taking away, divide as integers."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, replace_expression, source

NAME = "change an arithmetic operation"
PRIOR = 2.0

_BINARY: dict[type[cst.BaseBinaryOp], tuple[type[cst.BaseBinaryOp], ...]] = {
    cst.Add: (cst.Subtract,),
    cst.Subtract: (cst.Add,),
    cst.Multiply: (cst.Divide, cst.FloorDivide, cst.Power),
    cst.Divide: (cst.FloorDivide, cst.Multiply),
    cst.FloorDivide: (cst.Divide, cst.Modulo),
    cst.Modulo: (cst.FloorDivide,),
}
_AUGMENTED: dict[type[cst.BaseAugOp], type[cst.BaseAugOp]] = {
    cst.AddAssign: cst.SubtractAssign,
    cst.SubtractAssign: cst.AddAssign,
    cst.MultiplyAssign: cst.AddAssign,
    cst.DivideAssign: cst.FloorDivideAssign,
}
_COUNTED = ("index", "slice", "lower", "upper", "value", "right", "left")


def edits(program: Program) -> Iterator[Edit]:
    for site, binary in program.find(cst.BinaryOperation):
        for other in _BINARY.get(type(binary.operator), ()):
            changed = binary.with_changes(operator=other())
            yield Edit(f"{site.where}: replace `{source(binary)}` by `{source(changed)}`", site, changed)
        yield replace_expression(site, source(binary.left))
        yield replace_expression(site, source(binary.right))
    for site, step in program.find(cst.AugAssign):
        if type(step.operator) in _AUGMENTED:
            changed_step = step.with_changes(operator=_AUGMENTED[type(step.operator)]())
            yield Edit(f"{site.where}: replace `{source(step)}` by `{source(changed_step)}`", site, changed_step)
    for site, node in program.expressions():
        if _is_counted(program, site.field, node):
            yield replace_expression(site, f"{source(node)} + 1")
            yield replace_expression(site, f"{source(node)} - 1")


def _is_counted(program: Program, field: str, node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.Call):
        return source(node.func) == "len"
    return isinstance(node, cst.Name) and field in _COUNTED and node.value not in ("True", "False", "None")
