"""A program as a tree of sites that edits replace.

An edit names a site by its path from the root, so that applying it rebuilds the site's ancestors only; libcst's own
visitors walk the whole tree for each change, which costs more than trying the program.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import TypeVar

import libcst as cst

Path = tuple[tuple[str, int | None], ...]
Node = TypeVar("Node", bound=cst.CSTNode)
Replacement = cst.CSTNode | tuple[cst.CSTNode, ...]

_LAYOUT = (
    cst.BaseParenthesizableWhitespace,
    cst.TrailingWhitespace,
    cst.EmptyLine,
    cst.Newline,
    cst.Comment,
    cst.Comma,
    cst.Semicolon,
    cst.LeftParen,
    cst.RightParen,
    cst.LeftSquareBracket,
    cst.RightSquareBracket,
    cst.Annotation,
)
_COMPOUND = (cst.BinaryOperation, cst.BooleanOperation, cst.Comparison, cst.UnaryOperation, cst.IfExp, cst.Lambda)
_BINDING = (*_COMPOUND, cst.Attribute, cst.Call, cst.Subscript, cst.ComparisonTarget)
Compound = cst.For | cst.While | cst.If | cst.With | cst.Try
"""Statements that hold statements, functions and classes aside."""


@dataclass(frozen=True)
class Function:
    """A function of the program: its name, parameters, and the names it binds, parameters first."""

    name: str
    params: tuple[str, ...]
    names: tuple[str, ...]
    calls: frozenset[str]


@dataclass(frozen=True, eq=False)
class Site:
    """A node where it stands. `parent` is None for the root, `function` the outermost function around it, if any."""

    node: cst.CSTNode
    path: Path
    parent: "Site | None"
    function: Function | None

    @property
    def ancestors(self) -> Iterator["Site"]:
        """The sites around this one, innermost first."""
        site = self.parent
        while site is not None:
            yield site
            site = site.parent

    @property
    def field(self) -> str:
        """The field of the parent that holds this node."""
        return self.path[-1][0] if self.path else ""

    @property
    def index(self) -> int | None:
        """The place in the parent's sequence, None where the field holds one node."""
        return self.path[-1][1] if self.path else None

    @property
    def is_target(self) -> bool:
        """Whether something is bound to the expression: not any other could stand here."""
        site: Site = self
        while site.parent is not None and isinstance(
            site.parent.node, cst.Element | cst.StarredElement | cst.Tuple | cst.List
        ):
            site = site.parent
        return site.field in ("target", "asname")

    @property
    def where(self) -> str:
        return self.function.name if self.function else "module"

    def path_from(self, ancestor: "Site") -> Path:
        return self.path[len(ancestor.path) :]


@dataclass(frozen=True, eq=False)
class Edit:
    """Put `replacement` where `site` is: an expression as text, one node, or, in a sequence, any number of nodes."""

    description: str
    site: Site
    replacement: Replacement | str


class CannotEdit(Exception):
    """The edit would make something that is no Python."""


class Program:
    """A parsed program and its sites, in source order."""

    def __init__(self, code: str) -> None:
        """Raises libcst.ParserSyntaxError for text that is no Python."""
        self.code = code
        self.module = cst.parse_module(code)
        self._focus: frozenset[str] | None = None

    def focused_on(self, functions: Iterable[str]) -> "Program":
        """The same program, whose sites are those inside the functions (by name) and their defining statements."""
        program = Program(self.code)
        program._focus = frozenset(functions)
        return program

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        return tuple(self._walk(Site(self.module, (), None, None)))

    def _walk(self, site: Site) -> Iterator[Site]:
        if site.parent is not None and self._in_focus(site):
            yield site
        for path, child in children(site.node):
            function = site.function
            if function is None and isinstance(child, cst.FunctionDef):
                function = describe_function(child)
            yield from self._walk(Site(child, (*site.path, path), site, function))

    def _in_focus(self, site: Site) -> bool:
        return self._focus is None or (site.function is not None and site.function.name in self._focus)

    def find(self, kind: type[Node]) -> Iterator[tuple[Site, Node]]:
        for site in self.sites:
            if isinstance(site.node, kind):
                yield site, site.node

    def expressions(self) -> Iterator[tuple[Site, cst.BaseExpression]]:
        """The expressions that another could stand for."""
        for site in self.sites:
            if isinstance(site.node, cst.BaseExpression) and not site.is_target:
                yield site, site.node

    @cached_property
    def functions(self) -> dict[str, cst.FunctionDef]:
        """The functions at the top of the module, by name."""
        return {node.name.value: node for node in self.module.body if isinstance(node, cst.FunctionDef)}

    def apply(self, edit: Edit) -> str:
        """Give the code with the edit made. Raises CannotEdit."""
        try:
            replacement = edit.replacement
            if isinstance(replacement, str):
                replacement = expression(replacement)
            if isinstance(replacement, cst.BaseExpression):
                replacement = bound_as(replacement, edit.site.parent)
            changed = rebuilt(self.module, edit.site.path, replacement)
        except (cst.ParserSyntaxError, cst.CSTValidationError) as error:
            raise CannotEdit(edit.description) from error
        assert isinstance(changed, cst.Module)
        return changed.code


def describe_function(node: cst.FunctionDef) -> Function:
    params = tuple(param.name.value for param in (*node.params.params, *node.params.kwonly_params))
    bound: dict[str, None] = dict.fromkeys(params)
    calls: set[str] = set()
    for inner in descendants(node.body):
        if isinstance(inner, cst.AssignTarget | cst.AugAssign | cst.For | cst.CompFor):
            for target in descendants(inner.target):
                if isinstance(target, cst.Name):
                    bound.setdefault(target.value)
                if isinstance(target, cst.Subscript | cst.Attribute):
                    break
        elif isinstance(inner, cst.Name):
            calls.add(inner.value)
    return Function(node.name.value, params, tuple(bound), frozenset(calls))


def children(node: cst.CSTNode) -> Iterator[tuple[tuple[str, int | None], cst.CSTNode]]:
    for name in _fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            if not isinstance(value, _LAYOUT):
                yield (name, None), value
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                if isinstance(item, cst.CSTNode) and not isinstance(item, _LAYOUT):
                    yield (name, index), item


@cache
def _fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind) if "whitespace" not in field.name)


def descendants(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The node and all below it, in source order."""
    yield node
    for _, child in children(node):
        yield from descendants(child)


def rebuilt(node: cst.CSTNode, path: Path, replacement: Replacement) -> cst.CSTNode:
    """Copy `node` with what stands at `path` replaced; a block left empty gets `pass`, an empty `else` goes."""
    if not path:
        assert isinstance(replacement, cst.CSTNode)
        return replacement
    (field, index), rest = path[0], path[1:]
    value = getattr(node, field)
    if index is None:
        return node.with_changes(**{field: _inner(value, rest, replacement)})
    items = _inner_items(value[index], rest, replacement)
    body = [*value[:index], *items, *value[index + 1 :]]
    if not body and isinstance(node, cst.IndentedBlock | cst.SimpleStatementLine | cst.SimpleStatementSuite):
        body = [statement("pass") if isinstance(node, cst.IndentedBlock) else cst.Pass()]
    return node.with_changes(**{field: body})


def mapped(node: cst.CSTNode, change: Callable[[cst.CSTNode], Replacement | None]) -> cst.CSTNode:
    """Copy `node` with each node below it replaced by what `change` gives for it; None keeps it and looks inside."""
    changes: dict[str, object] = {}
    for (field, index), child in children(node):
        given = change(child)
        replacement = mapped(child, change) if given is None else given
        if replacement is child:
            continue
        if index is None:
            changes[field] = replacement
        else:
            items = changes.setdefault(field, [(item,) for item in getattr(node, field)])
            assert isinstance(items, list)
            items[index] = replacement if isinstance(replacement, tuple) else (replacement,)
    flat = {
        field: [item for items in value for item in items] if isinstance(value, list) else value
        for field, value in changes.items()
    }
    return node.with_changes(**flat) if flat else node


def swapped(node: cst.CSTNode, old: cst.CSTNode, new: Replacement) -> cst.CSTNode:
    """Copy `node` with the very node `old` replaced."""
    return mapped(node, lambda inner: new if inner is old else None)


def _inner(value: cst.CSTNode, rest: Path, replacement: Replacement) -> cst.CSTNode | None:
    if not rest and replacement == ():
        return None
    inner = rebuilt(value, rest, replacement)
    emptied = isinstance(inner, cst.Else) and replacement == () and _only_passes(inner.body)
    return None if emptied else inner


def _inner_items(value: cst.CSTNode, rest: Path, replacement: Replacement) -> tuple[cst.CSTNode, ...]:
    if rest:
        return (rebuilt(value, rest, replacement),)
    return replacement if isinstance(replacement, tuple) else (replacement,)


def _only_passes(body: cst.BaseSuite) -> bool:
    return source(body).strip() == "pass"


def bound_as(node: cst.BaseExpression, parent: Site | None) -> cst.BaseExpression:
    """Parenthesize an expression where its surroundings would bind tighter than it does."""
    if parent is None or not isinstance(parent.node, _BINDING) or not isinstance(node, _COMPOUND) or node.lpar:
        return node
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def source(node: cst.CSTNode) -> str:
    """The text of a node, stripped."""
    return _EMPTY.code_for_node(node).strip()


_EMPTY = cst.Module([])


@lru_cache(maxsize=4096)
def expression(text: str) -> cst.BaseExpression:
    """Parse an expression; one that came from within brackets may have several lines, or be a bare generator."""
    try:
        return cst.parse_expression(text)
    except cst.ParserSyntaxError:
        return cst.parse_expression(f"(\n{text}\n)")


@lru_cache(maxsize=1024)
def statement(text: str) -> cst.BaseStatement:
    parsed = cst.parse_statement(text)
    assert isinstance(parsed, cst.BaseStatement)
    return parsed


def body_of(block: cst.BaseSuite) -> Sequence[cst.BaseStatement | cst.BaseSmallStatement]:
    body: Sequence[cst.BaseStatement | cst.BaseSmallStatement] = block.body
    return body


def replace_expression(site: Site, text: str) -> Edit:
    """The edit that puts the expression `text` at the site."""
    return Edit(f"{site.where}: replace `{source(site.node)}` by `{text}`", site, text)
