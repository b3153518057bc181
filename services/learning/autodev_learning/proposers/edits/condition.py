"""Parts of a condition."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place


class Condition(Operator):
    """Join, drop or regroup the parts of a condition.

     def f(x, y):
    -    return x and y
    +    return x or y
    """

    name = "change a condition"
    prior = 2.5

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place, boolean in piece.of(ast.BoolOp):
            texts = [piece.source(value) for value in boolean.values]
            yield piece.replace(place, (" or " if isinstance(boolean.op, ast.And) else " and ").join(texts))
            for index in range(len(texts)):
                rest = texts[:index] + texts[index + 1 :]
                yield piece.replace(place, (" and " if isinstance(boolean.op, ast.And) else " or ").join(rest))
        tests = [place for place in piece.expressions if place.field == "test"]
        for place in tests:
            text = _bracketed(piece, place.node)
            for part in _parts(piece, place, tests):
                if part != piece.source(place.node):
                    yield piece.replace(place, part)
                    for other in (part, f"not ({part})"):
                        yield piece.replace(place, f"{text} and {other}")
                        yield piece.replace(place, f"{text} or {other}")
        for place, compare in piece.of(ast.Compare):
            if len(compare.ops) == 2:
                (start, end), middle = piece.span(compare), piece.span(compare.comparators[0])
                yield piece.replace(place, piece.text[start : middle[1]])
                yield piece.replace(place, piece.text[middle[0] : end])


def _bracketed(piece: Piece, node: ast.AST) -> str:
    text = piece.source(node)
    return f"({text})" if isinstance(node, ast.BoolOp | ast.IfExp | ast.Lambda) else text


def _parts(piece: Piece, place: Place, tests: list[Place]) -> Iterator[str]:
    """The function's other conditions, and their parts."""
    seen: set[str] = set()
    for other in tests:
        if other.scope is not place.scope:
            continue
        values = other.node.values if isinstance(other.node, ast.BoolOp) else ()
        for node in (other.node, *values):
            text = _bracketed(piece, node)
            if text not in seen:
                seen.add(text)
                yield text
