"""The texts that run inside the sandbox, each put together from modules here."""

import ast
from functools import cache
from importlib import resources

CALLS, LITERALS, TRIAL, SCREEN = "calls_harness", "literals_harness", "trial_harness", "screen_harness"


@cache
def harness(*modules: str) -> str:
    """The texts of these modules, one behind the other, as one that stands alone: nothing of ours is installed there.

    A module is named by its path within this package, without its ending. Each may use what those before it define.
    """
    return "\n".join(map(_bare, [CALLS, LITERALS, *modules]))


@cache
def quick_harness(module: str) -> str:
    """The same of one module that has `SELDOM` be compiled only where it is needed: the text of literals_harness.py."""
    return "\n".join([_bare(CALLS), _bare(module), f"SELDOM = {_bare(LITERALS)!r}\n"])


def _bare(module: str) -> str:
    """A module's text without what is for its readers: the sandbox would compile it each time.

    What says how annotations are meant is for them too, and has to go: programs that a text runs would inherit it.
    """
    text = resources.files("autodev_learning").joinpath(f"{module}.py").read_text(encoding="utf-8")
    return f"{ast.unparse(ast.fix_missing_locations(_Bare().visit(ast.parse(text))))}\n"


class _Bare(ast.NodeTransformer):
    """Takes out docstrings and annotations, and imports that say where names are defined or what annotations mean."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without_docstring(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._without_docstring(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return ast.Assign([node.target], node.value) if node.value is not None else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        for_readers = node.module in ("__future__", "typing") or (node.module or "").startswith("autodev_learning")
        return None if for_readers else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        self.generic_visit(node)
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node

    def _without_docstring(self, node: "ast.Module | ast.ClassDef | ast.FunctionDef") -> ast.AST:
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        node.body = node.body or [ast.Pass()]
        return node
