"""A function of Python's standard library as a program of its own, and what it needs beside it."""

import ast
import importlib
import inspect
import textwrap
from dataclasses import dataclass


class NotThere(Exception):
    """This Python has no such function, or not as Python."""


@dataclass(frozen=True)
class Lifted:
    """The function's source, and that of what else of its module it reads."""

    code: str
    preamble: str


def lifted(module: str, name: str) -> Lifted:
    """Take a function out of a module. Raises NotThere."""
    try:
        text = inspect.getsource(importlib.import_module(module))
    except (ImportError, OSError) as error:
        raise NotThere(f"{module}.{name}") from error
    tree = ast.parse(text)
    found = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)
    if found is None:
        raise NotThere(f"{module}.{name}")
    needed: set[ast.stmt] = set()
    waiting: list[ast.stmt] = [found]
    while waiting:
        read = _names(waiting.pop()) - {name}
        more = {each for each in tree.body if each is not found and _makes(each) & read} - needed
        needed |= more
        waiting += more
    ordered = sorted(needed, key=lambda node: node.lineno)
    return Lifted(_source(text, found), "".join(_source(text, node) for node in ordered))


def _makes(node: ast.stmt) -> set[str]:
    """The names that a top statement of a module binds, or whose values it changes."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.If | ast.Delete):
        return set()
    made: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.alias):
            made.add((inner.asname or inner.name).partition(".")[0])
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            made.add(inner.id)
        elif isinstance(inner, ast.Subscript) and isinstance(inner.ctx, ast.Store):
            made |= _names(inner.value)
        elif isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call):
            made |= _names(inner.value.func)
    return made


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _source(text: str, node: ast.stmt) -> str:
    return textwrap.dedent(ast.get_source_segment(text, node, padded=True) or "") + "\n"
