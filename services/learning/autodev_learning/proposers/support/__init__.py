"""What speed-ups put into the programs that they edit: one module a piece, found by its name.

A piece does what the code it stands for did, for whatever it is given: where hashing, sorting or adding up would not
give the same (something without a hash, not a number, an iterator that is used up), it does it the slow way. Its text
goes into programs as it stands, so it needs nothing but Python, and nothing of ours.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources


@cache
def support_text(name: str) -> str:
    """The text of a piece without its module's docstring, and without what is said to linters."""
    text = resources.files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")
    docstring = ast.parse(text).body[0]
    assert docstring.end_lineno is not None
    lines = [re.sub(r"  # (noqa|type: ignore).*", "", line) for line in text.splitlines()[docstring.end_lineno :]]
    return "\n".join(lines).strip() + "\n"


@dataclass(frozen=True)
class Piece:
    """A piece of support, ready to be put in: its imports a line each, the rest, and every name that it brings.

    `statements` are those of the rest, each as `ast.dump` gives it.
    """

    imports: tuple[str, ...]
    rest: str
    names: frozenset[str]
    statements: frozenset[str]


@cache
def support(name: str) -> Piece:
    """A piece by its name."""
    text = support_text(name)
    tree = ast.parse(text)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    after = max((node.end_lineno or 0 for node in imports), default=0)
    names = {alias.asname or alias.name for node in imports for alias in node.names}
    statements = frozenset(ast.dump(node) for node in tree.body if node not in imports)
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.add(node.targets[0].id)
    return Piece(
        tuple(map(ast.unparse, imports)), "\n".join(text.splitlines()[after:]).strip(), frozenset(names), statements
    )


@cache
def pieces() -> tuple[Piece, ...]:
    """Every piece."""
    names = [resource.name.removesuffix(".py") for resource in resources.files(__name__).iterdir()]
    return tuple(support(name) for name in sorted(names) if name.isidentifier() and not name.startswith("_"))
