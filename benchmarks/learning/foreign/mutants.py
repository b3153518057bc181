"""Programs with one small mistake, made as mutation testing makes them.

The operators are those of the literature (Offutt et al., *An Experimental Determination of Sufficient Mutant
Operators*, 1996; for Python, MutPy's), not the inverse of the repair operators: statements are left out, loops run once
or backwards.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from autodev_learning.proposers.analysis.code import Code

_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.FloorDiv, ast.Pow, ast.Add),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Mod: (ast.Mult, ast.FloorDiv),
    ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr, ast.BitXor),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitAnd,),
}
_COMPARISON: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.GtE, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.LtE, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}


@dataclass(frozen=True)
class Mutant:
    """A program with a mistake of a kind."""

    kind: str
    code: str


@dataclass(frozen=True)
class _Change:
    kind: str
    node: ast.expr | ast.stmt
    text: str


def mutants(code: str) -> list[Mutant]:
    """Every program that differs from this one by one mistake, in source order."""
    program = Code(code)
    same, found = ast.dump(program.tree), []
    for change in _changes(program.tree):
        mutated = program.spliced([program.replace(change.node, change.text)])
        try:
            if ast.dump(ast.parse(mutated)) != same:
                found.append(Mutant(change.kind, mutated))
        except SyntaxError:
            continue
    return found


def _changes(tree: ast.Module) -> Iterator[_Change]:
    names = sorted({node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | _stored(tree))
    documents = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None
        for inner in ast.walk(node.body[0])
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and node not in documents:
            yield from _of_expression(node, names)
        elif isinstance(node, ast.stmt) and node not in documents:
            yield from _of_statement(node)


def _stored(tree: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _of_expression(node: ast.expr, names: list[str]) -> Iterator[_Change]:
    match node:
        case ast.BinOp(op=operator):
            for other in _ARITHMETIC.get(type(operator), ()):
                yield _Change("arithmetic operator", node, f"({_with(node, op=other())})")
        case ast.Compare(ops=[operator]):
            for another in _COMPARISON.get(type(operator), ()):
                yield _Change("comparison", node, _with(node, ops=[another()]))
        case ast.BoolOp(op=operator):
            other_one = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield _Change("and, or", node, f"({_with(node, op=other_one)})")
        case ast.UnaryOp(operand=operand):
            yield _Change("unary operator left out", node, ast.unparse(operand))
        case ast.IfExp(test=test):
            yield _Change("condition negated", test, f"(not ({ast.unparse(test)}))")
        case ast.Constant(value=bool(value)):
            yield _Change("constant", node, str(not value))
        case ast.Constant(value=int(value)):
            yield from (_Change("constant", node, str(number)) for number in (value + 1, value - 1))
        case ast.Subscript(slice=ast.Slice() as bounds):
            for part in ("lower", "upper", "step"):
                if getattr(bounds, part) is not None:
                    yield _Change("bound of a slice left out", bounds, _with(bounds, **{part: None}))
        case ast.Call(args=[first, second], keywords=[]):
            yield _Change("arguments swapped", node, _with(node, args=[second, first]))
        case ast.Name(id=name, ctx=ast.Load()) if name in names:
            yield from (_Change("another variable", node, other) for other in names if other != name)


def _of_statement(node: ast.stmt) -> Iterator[_Change]:
    match node:
        case ast.If(test=test):
            yield _Change("condition negated", test, f"not ({ast.unparse(test)})")
        case ast.While(test=test, body=[*_, last]):
            yield _Change("condition negated", test, f"not ({ast.unparse(test)})")
            yield _Change("loop runs once", last, _then_break(last))
        case ast.For(iter=values, body=[*_, last]):
            yield _Change("loop runs backwards", values, f"reversed(list({ast.unparse(values)}))")
            yield _Change("loop runs once", last, _then_break(last))
        case ast.Break():
            yield _Change("break, continue", node, "continue")
        case ast.Continue():
            yield _Change("break, continue", node, "break")
        case ast.Assign() | ast.AugAssign() | ast.Expr():
            yield _Change("statement left out", node, "pass")


def _with(node: ast.expr, **parts: object) -> str:
    other = copy.copy(node)
    for name, value in parts.items():
        setattr(other, name, value)
    return ast.unparse(other)


def _then_break(last: ast.stmt) -> str:
    line = "\n" + " " * last.col_offset
    return f"{ast.unparse(last)}\nbreak".replace("\n", line)
