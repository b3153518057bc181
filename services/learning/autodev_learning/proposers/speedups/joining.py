"""Text that grows."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Change, Code, names_bound_by, names_of
from autodev_learning.proposers.analysis.effects import is_plain
from autodev_learning.proposers.analysis.loops import is_pure_expression, loops_around
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name


class Joining(Speedup):
    """Join at the end: `text = piece + text` within a loop copies all the text each time, `text += piece` may.

         def f(xs):
             text = "."
        +    text_pieces = []
             for x in xs:
        -        text = x + text
        +        text_pieces.append(x + "")
        +    text = "".join(text_pieces[::-1]) + text
             return text

    >>> f(["a", "b", ""]), f("xyz"), f([]), f(["a", 1, "b"]), f([None]), f([b"a"])
    """

    name = "join pieces of text after the loop"
    gain = 10.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for loop in code.all(ast.For):
            if any(isinstance(node, ast.Return | ast.Try) for node in ast.walk(loop)) or loops_around(code, loop):
                continue
            for name in sorted({each for node in ast.walk(loop) for each in names_bound_by(node)}):
                grown = _grown(code, loop, name)
                if grown is None or not _is_text(code, loop, name):
                    continue
                pieces = code.fresh(f"{name}_pieces")
                yield Edit(
                    f"{_function(code, loop)}: join the pieces of `{name}` after the loop",
                    _changes(code, loop, name, grown, pieces),
                )


def _function(code: Code, node: ast.AST) -> str:
    function = code.function_around(node)
    return function.name if function else "module"


def _changes(
    code: Code, loop: ast.For, name: str, grown: tuple[bool, list[tuple[ast.stmt, ast.expr]]], pieces: str
) -> list[Change]:
    at_front, additions = grown
    joined = f'"".join({pieces}[::-1]) + {name}' if at_front else f'{name} + "".join({pieces})'
    checked = '{} + ""' if at_front else '"" + {}'
    return [
        code.before(loop, f"{pieces} = []"),
        *(
            code.replace(statement, f"{pieces}.append({checked.format(_piece(code, piece))})")
            for statement, piece in additions
        ),
        code.after(loop, f"{name} = {joined}"),
    ]


def _piece(code: Code, piece: ast.expr) -> str:
    text = code.source(piece)
    plain = isinstance(piece, ast.Name | ast.Constant | ast.JoinedStr | ast.Call | ast.Subscript | ast.Attribute)
    return text if plain else f"({text})"


def _is_text(code: Code, loop: ast.For, name: str) -> bool:
    """Whether it is bound to text right before the loop, in the same block, and is the function's own."""
    function = code.function_around(loop)
    parent = code.parent(loop)
    # Where the loop is left by an exception, the text would be as it was before.
    if function is None or parent is None or any(isinstance(node, ast.Try) for node in ast.walk(function)):
        return False
    # Somebody else could read it meanwhile.
    lazy = [node for node in ast.walk(function) if isinstance(node, ast.Lambda | ast.GeneratorExp)]
    if not is_plain(function) or any(name in names_of(node) for node in lazy):
        return False
    body = next((each for each in (getattr(parent, "body", []), getattr(parent, "orelse", [])) if loop in each), [])
    for statement in reversed(body[: body.index(loop)] if body else []):
        if isinstance(statement, ast.Assign) and any(is_name(target, name) for target in statement.targets):
            return isinstance(statement.value, ast.JoinedStr) or (
                isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
            )
        if any(name in names_bound_by(node) for node in ast.walk(statement)):
            return False
    return False


def _grown(code: Code, loop: ast.For, name: str) -> tuple[bool, list[tuple[ast.stmt, ast.expr]]] | None:
    """Whether the text grows at its front, and where: None if it is used in another way within the loop."""
    additions: list[tuple[ast.stmt, ast.expr]] = []
    sides: set[bool] = set()
    counted = 0
    for node in ast.walk(loop):
        added = _added(node, name)
        if added is not None:
            at_front, piece, uses = added
            sides.add(at_front)
            counted += uses
            assert isinstance(node, ast.stmt)
            additions.append((node, piece))
            if not is_pure_expression(code, piece) and any(is_name(each, name) for each in ast.walk(piece)):
                return None
    uses_in_all = sum(is_name(node, name) for node in ast.walk(loop))
    return (sides.pop(), additions) if len(sides) == 1 and counted == uses_in_all else None


def _added(node: ast.AST, name: str) -> tuple[bool, ast.expr, int] | None:
    """(at the front, what is added, how often the statement names the text)"""
    match node:
        case ast.AugAssign(target=ast.Name(id=target), op=ast.Add(), value=value) if target == name:
            return False, value, 1
        case ast.Assign(targets=[ast.Name(id=target)], value=ast.BinOp(op=ast.Add(), left=left, right=right)):
            if target == name and is_name(left, name):
                return False, right, 2
            if target == name and is_name(right, name):
                return True, left, 2
    return None
