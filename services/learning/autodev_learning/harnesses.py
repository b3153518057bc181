"""The texts that run inside the sandbox, each put together from modules here."""

import ast
from functools import cache
from importlib import resources

CALLS, TRIAL, SCREEN = "calls_harness", "trial_harness", "screen_harness"


@cache
def harness(*modules: str) -> str:
    """The texts of these modules, one behind the other, as one that stands alone: nothing of ours is installed there.

    A module is named by its path within this package, without its ending. Each may use what those before it define.
    """
    return "\n\n".join([_text(CALLS), *map(_standing_alone, modules)])


def _text(module: str) -> str:
    return resources.files("autodev_learning").joinpath(f"{module}.py").read_text(encoding="utf-8")


def _standing_alone(module: str) -> str:
    """The text without the imports that say where its names are defined."""
    tree = ast.parse(_text(module))
    tree.body = [
        statement
        for statement in tree.body
        if not (isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("autodev_learning"))
    ]
    return f"{ast.unparse(tree)}\n"
