"""Calls with holes: what the examples' calls have in common, and the values that stand where they differ."""

import ast
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_HOLES = 16
MOST_CALL_CHARACTERS = 16_384


@dataclass(frozen=True)
class Template:
    """A call whose literals are holes: `f(_, [..])` is a call of f with two. `samples`: the values of each example."""

    tree: ast.Expression
    samples: tuple[tuple[object, ...], ...]

    @property
    def holes(self) -> int:
        return len(self.samples[0])

    def filled(self, values: Sequence[object]) -> str:
        """The call with these values in its holes."""
        tree = _Filling(values).visit(copy.deepcopy(self.tree))
        return ast.unparse(ast.fix_missing_locations(tree))


def templates(calls: Sequence[str]) -> tuple[Template, ...]:
    """The templates of calls, those with most examples first; a call without a literal in it has none."""
    found: dict[str, tuple[ast.Expression, list[tuple[object, ...]]]] = {}
    for call in calls:
        parsed = _parsed(call)
        if parsed is None:
            continue
        emptying = _Emptying()
        tree = ast.Expression(emptying.visit(parsed.body))
        if emptying.values and len(emptying.values) <= MOST_HOLES:
            _, samples = found.setdefault(ast.dump(tree), (tree, []))
            samples.append(tuple(emptying.values))
    made = [Template(tree, tuple(samples)) for tree, samples in found.values()]
    return tuple(sorted(made, key=lambda each: -len(each.samples)))


def _parsed(call: str) -> ast.Expression | None:
    if len(call) > MOST_CALL_CHARACTERS:
        return None
    try:
        tree = ast.parse(call.strip(), mode="eval")
        # A number in it may be too long to be written again.
        ast.unparse(tree)
        return tree
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Emptying(ast.NodeTransformer):
    """Puts a hole in the place of each largest literal, and keeps their values in order."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr):
            try:
                value = ast.literal_eval(node)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                return self.generic_visit(node)
            if value is not Ellipsis:
                self.values.append(value)
                return _Hole()
        return self.generic_visit(node)


class _Hole(ast.expr):
    """Where a literal was."""


class _Filling(ast.NodeTransformer):
    def __init__(self, values: Sequence[object]) -> None:
        self._values = iter(values)

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, _Hole):
            return ast.parse(written(next(self._values)), mode="eval").body
        return self.generic_visit(node)


def written(value: object) -> str:
    """A value as Python writes it, also where its repr is no literal: floats without end."""
    if isinstance(value, float) and value != value:
        return "float('nan')"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f"float('{value}')"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(written, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{written(key)}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, set):
        # In an order that the hash of texts does not change from process to process.
        return f"{{{', '.join(sorted(map(written, value)))}}}" if value else "set()"
    return repr(value)
