"""Examples of a task: what may be asked of a program, and the literal that it must answer."""

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from autodev_sdk.literals import matches

__all__ = [
    "Example",
    "call_key",
    "called_names",
    "calls_one_of",
    "is_literal",
    "is_plain_call",
    "matches",
    "split_held_out",
]


@dataclass(frozen=True)
class Example:
    """One thing a correct program does: `call` is a Python expression, `expected` the literal it must equal."""

    call: str
    expected: str


def split_held_out(examples: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Split into (visible, held out): every third call is held out, none where there are fewer than three.

    Examples of one call go the same way, so that nothing which a proposer saw is held out.
    """
    places: dict[str, int] = {}
    is_held_out = [places.setdefault(call_key(example.call), len(places)) % 3 == 2 for example in examples]
    visible = tuple(example for example, held_out in zip(examples, is_held_out, strict=True) if not held_out)
    held_out = tuple(example for example, held_out in zip(examples, is_held_out, strict=True) if held_out)
    return visible, held_out


def call_key(call: str) -> str:
    """What calls that ask the same have in common, however they are written: spaces, quotes, brackets."""
    try:
        return ast.unparse(ast.parse(call.strip(), mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return call.strip()


def calls_one_of(call: str, names: Collection[str]) -> bool:
    """Whether an expression is a call of one of the names, or of a method of what such a call gives."""
    node = _parsed(call)
    while isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id in names
        node = node.func.value if isinstance(node.func, ast.Attribute) else None
    return False


def is_plain_call(call: str, names: Collection[str]) -> bool:
    """Whether an expression is a call of one of the names with literals as arguments, and so does nothing else."""
    node = _parsed(call)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names):
        return False
    return all(map(is_literal, (*node.args, *(keyword.value for keyword in node.keywords))))


def is_literal(node: ast.expr) -> bool:
    """Whether an expression is a literal."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True


def _parsed(call: str) -> ast.expr | None:
    try:
        return ast.parse(call.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def called_names(calls: Sequence[str]) -> tuple[str, ...]:
    """Name the functions that the calls ask for, in order of appearance; a call that does not parse names none."""
    names: dict[str, None] = {}
    for call in calls:
        try:
            tree = ast.parse(call, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names.setdefault(node.func.id)
    return tuple(names)
