"""How far apart two programs are, by their syntax trees.

The distance is that of bags of label pairs, parent over child and left beside right: the pq-gram distance (Augsten,
Böhlen and Gamper, 2005) with the smallest grams that tell both levels and order. It is computed in linear time, 0 for
equal trees, symmetric, and 1 for trees that share nothing. Layout, comments and docstrings are no part of a tree.
"""

import ast
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


class NotPython(ValueError):
    """Text that is no program, or one without a statement. Its message says why."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A syntax tree as a bag of label pairs. `size` counts its nodes; equal digests are equal trees."""

    grams: Mapping[tuple[str, str], int]
    total: int
    size: int
    digest: str


def profile_of(code: str) -> Profile:
    """Read a program. Raises NotPython."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotPython(f"no valid Python: {type(error).__name__}: {error}") from None
    if not tree.body:
        raise NotPython("no code")
    try:
        return _profile(code, tree)
    except ValueError as error:  # A number in it is too long to be written.
        raise NotPython(f"no code that can be told: {error}") from None


def _profile(code: str, tree: ast.Module) -> Profile:
    if '"' in code or "'" in code:
        _leave_out_docstrings(tree)
    pairs: list[tuple[str, str]] = []
    shape: list[str] = []
    waiting: list[tuple[str, ast.AST, int]] = [("", tree, 0)]
    while waiting:
        above, node, depth = waiting.pop()
        label = _label(node)
        pairs.append((above, label))
        shape.append(f"{depth}{label}")
        beside = "|"
        for child in _children(node):
            child_label = _label(child)
            pairs.append((f"{beside}>", child_label))
            beside = child_label
            waiting.append((label, child, depth + 1))
    digest = hashlib.blake2b("\n".join(shape).encode(), digest_size=12).hexdigest()
    return Profile(Counter(pairs), len(pairs), len(shape), digest)


def distance(left: Profile, right: Profile) -> float:
    """How much two trees differ, in [0, 1]."""
    if left.digest == right.digest:
        return 0.0
    few, many = sorted((left, right), key=lambda each: len(each.grams))
    shared = sum(min(count, many.grams.get(gram, 0)) for gram, count in few.grams.items())
    return 1 - 2 * shared / (left.total + right.total)


def _label(node: ast.AST) -> str:
    """A node's kind with what it says itself, a name, a constant, and which of its parts are there."""
    return f"{type(node).__name__}:{','.join([_said(getattr(node, field, None)) for field in node._fields])}"


def _said(value: object) -> str:
    if isinstance(value, ast.AST):
        return "@"
    if isinstance(value, list):
        return f"[{','.join(['@' if isinstance(each, ast.AST) else repr(each) for each in value])}]"
    return repr(value)


def _children(node: ast.AST) -> list[ast.AST]:
    children = []
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, list):
            children += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
            children.append(value)
    return children


def _leave_out_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                del node.body[0]
