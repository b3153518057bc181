"""A statement at the top of a program, as text with a syntax tree over it: what repair operators edit.

An edit is text put into places of the text, so that making one costs microseconds, and everything that it is not about
(comments, layout, quotes) stays as it was.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from autodev_learning.lines import lines_of

Node = TypeVar("Node", bound=ast.AST)
Splice = tuple[int, int, str]

_BINDS_TIGHTER = (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.Attribute, ast.Subscript, ast.Call, ast.Await)
_ATOM = re.compile(r"[\w.]+(\([^()]*\)|\[[^\[\]]*\])*|'[^']*'|\"[^\"]*\"|\[[^\[\]]*\]|\([^()]*\)")
_BLOCKS = ("body", "orelse", "finalbody")
Compound = ast.For | ast.While | ast.If | ast.With | ast.Try
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Scope:
    """A function or method: its parameters, and the names that it or a function in it binds, its parameters first."""

    name: str
    params: tuple[str, ...]
    names: tuple[str, ...]
    node: Function

    @property
    def locals(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in self.params)


@dataclass(frozen=True, eq=False)
class Place:
    """A node where it stands: in which field of which parent, and in which function."""

    node: ast.AST
    parent: "Place | None"
    field: str
    index: int | None
    scope: Scope | None
    loops: int = 0

    @property
    def ancestors(self) -> Iterator["Place"]:
        """The places around this one, innermost first."""
        place = self.parent
        while place is not None:
            yield place
            place = place.parent

    @property
    def statement(self) -> "Place":
        """The innermost statement that this is, or is in."""
        return next(place for place in (self, *self.ancestors) if isinstance(place.node, ast.stmt))

    @property
    def siblings(self) -> Sequence[ast.stmt]:
        """The block that a statement stands in."""
        block: Sequence[ast.stmt] = getattr(self.parent.node, self.field) if self.parent else ()
        return block


@dataclass(frozen=True)
class Edit:
    """Texts to put into a piece's text, each from an offset to an offset, in order; what it does, in words.

    `bits` is what it costs beyond its operator's other edits, being less likely.
    """

    description: str
    splices: tuple[Splice, ...]
    bits: float = 0.0


@dataclass(frozen=True)
class Surroundings:
    """What a piece may use of the rest of its program: functions by name with parameters and sources, other names."""

    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


class Piece:
    """A function (or class, or other statement) as text and tree."""

    def __init__(self, text: str, around: Surroundings | None = None) -> None:
        """Raises SyntaxError, ValueError, RecursionError or MemoryError for text that is no Python."""
        tree = ast.parse(text)
        if not _one_statement_a_line(text, tree):
            text = ast.unparse(tree) + "\n"
            tree = ast.parse(text)
        self.text = text if text.endswith("\n") else text + "\n"
        self.tree = tree
        self.around = around or Surroundings()
        self._lines = lines_of(self.text)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._sources: dict[int, str] = {}

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every place within a function, in source order."""
        return tuple(place for place in _walk(Place(self.tree, None, "", None, None)) if place.scope)

    def of(self, *kinds: type[Node]) -> Iterator[tuple[Place, Node]]:
        """The places of these kinds."""
        for place in self.places:
            if isinstance(place.node, kinds):
                yield place, place.node

    @cached_property
    def expressions(self) -> tuple[Place, ...]:
        """The expressions that are read: where another could stand."""
        return tuple(
            place
            for place in self.places
            if isinstance(place.node, ast.expr)
            and isinstance(getattr(place.node, "ctx", None), ast.Load | None)
            and place.parent is not None
            and not isinstance(place.parent.node, ast.FormattedValue | ast.JoinedStr | ast.keyword)
            and place.field not in ("annotation", "returns", "decorator_list")
            and not isinstance(place.node, ast.JoinedStr | ast.Starred | ast.Slice)
            and not _is_docstring(place.parent.node)
        )

    @cached_property
    def statements(self) -> tuple[Place, ...]:
        """The statements of functions' bodies, docstrings and definitions aside."""
        return tuple(
            place
            for place in self.places
            if isinstance(place.node, ast.stmt)
            and place.field in _BLOCKS
            and not isinstance(place.node, Definition)
            and not _is_docstring(place.node)
            and not self.is_elif(place)
        )

    def is_elif(self, place: Place) -> bool:
        """Whether the place is an `if` written as another's `elif`."""
        return (
            isinstance(place.node, ast.If)
            and place.field == "orelse"
            and place.parent is not None
            and isinstance(place.parent.node, ast.If)
            and self.source(place.node).startswith("elif")
        )

    def offset(self, line: int, column: int) -> int:
        text = self._lines[line - 1]
        characters = column if text.isascii() else len(text.encode()[:column].decode(errors="ignore"))
        return self._starts[line - 1] + characters

    def nearest_names(self, place: Place, scope: Scope, most: int) -> tuple[str, ...]:
        """A scope's names; where it has more than `most`, those that are used nearest to the place, in their order."""
        if len(scope.names) <= most:
            return scope.names
        line = self.line_of(self.span(place.node)[0])
        by_distance = sorted(scope.names, key=lambda name: min(abs(line - used) for used in self._uses[name]))
        nearest = set(by_distance[:most])
        return tuple(name for name in scope.names if name in nearest)

    @cached_property
    def _uses(self) -> Mapping[str, Sequence[int]]:
        """The lines that each name is on."""
        uses: dict[str, list[int]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                uses.setdefault(node.id, []).append(node.lineno)
            elif isinstance(node, ast.arg):
                uses.setdefault(node.arg, []).append(node.lineno)
        return uses

    def line_of(self, offset: int) -> int:
        """The line, from 1, that an offset is in."""
        low, high = 0, len(self._starts) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._starts[middle] <= offset else (low, middle - 1)
        return low + 1

    def span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt | ast.arg | ast.keyword | ast.excepthandler)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def source(self, node: ast.AST) -> str:
        """The text of a node."""
        text = self._sources.get(id(node))
        if text is None:
            start, end = self.span(node)
            text = self._sources[id(node)] = self.text[start:end]
        return text

    def first_line(self, node: ast.AST) -> str:
        return self.source(node).split("\n", 1)[0].strip()

    def rows(self, node: ast.stmt) -> tuple[int, int]:
        """From the start of a statement's first line to the end of its last."""
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        assert node.end_lineno is not None
        return self._starts[first - 1], self._starts[node.end_lineno]

    def indent(self, node: ast.stmt) -> str:
        line = self._lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    @cached_property
    def unit(self) -> str:
        """One level of indentation, as this piece has it."""
        for node in ast.walk(self.tree):
            if isinstance(node, Definition) and node.body:
                outer, inner = self.indent(node), self.indent(node.body[0])
                if inner.startswith(outer) and inner != outer:
                    return inner[len(outer) :]
        return "    "

    def block(self, statements: Sequence[ast.stmt], indent: str) -> str:
        """The text of statements, whole lines, at an indentation; comments between them come along."""
        if not statements:
            return ""
        text = self.text[self.rows(statements[0])[0] : self.rows(statements[-1])[1]]
        old = self.indent(statements[0])
        return "".join(
            indent + line[len(old) :] if line.startswith(old) and line.strip() else line for line in lines_of(text)
        )

    def replace(self, place: Place, text: str, description: str = "") -> Edit:
        """Put an expression's text at the place, in brackets where what is around binds tighter."""
        start, end = self.span(place.node)
        parent = place.parent.node if place.parent else None
        inside = isinstance(parent, ast.Subscript | ast.Call) and place.field not in ("value", "func")
        if isinstance(parent, _BINDS_TIGHTER) and not inside and not _ATOM.fullmatch(text):
            text = f"({text})"
        where = place.scope.name if place.scope else "module"
        return Edit(
            description or f"{where}: replace `{_short(self.text[start:end])}` by `{_short(text)}`",
            ((start, end, text),),
        )

    def rewrite(self, place: Place, text: str, description: str) -> Edit:
        """Put whole lines, or nothing, where the statement's lines are; a block left empty gets `pass`."""
        assert isinstance(place.node, ast.stmt)
        start, end = self.rows(place.node)
        if not text and len(place.siblings) == 1:
            text = f"{self.indent(place.node)}pass\n"
        return Edit(self._where(place, description), ((start, end, text),))

    def before(self, place: Place, text: str, description: str) -> Edit:
        """Put whole lines before the statement."""
        assert isinstance(place.node, ast.stmt)
        start = self.rows(place.node)[0]
        return Edit(self._where(place, description), ((start, start, text),))

    def after(self, place: Place, text: str, description: str) -> Edit:
        """Put whole lines behind the statement."""
        assert isinstance(place.node, ast.stmt)
        end = self.rows(place.node)[1]
        return Edit(self._where(place, description), ((end, end, text),))

    def together(self, description: str, place: Place, *edits: Edit) -> Edit:
        """Several edits as one."""
        return Edit(self._where(place, description), tuple(sorted(splice for edit in edits for splice in edit.splices)))

    def apply(self, edit: Edit) -> str:
        parts: list[str] = []
        at = 0
        for start, end, text in edit.splices:
            parts += [self.text[at:start], text]
            at = max(at, end)
        return _apart([*parts, self.text[at:]])

    def _where(self, place: Place, description: str) -> str:
        return f"{place.scope.name if place.scope else 'module'}: {description}"


def _apart(parts: Sequence[str]) -> str:
    """The parts joined, with a space between two words that would become one: `in[1]` with `1` in the list's place."""
    joined: list[str] = []
    last = ""
    for part in filter(None, parts):
        if (last.isalnum() or last == "_") and (part[0].isalnum() or part[0] == "_"):
            joined.append(" ")
        joined.append(part)
        last = part[-1]
    return "".join(joined)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _one_statement_a_line(text: str, tree: ast.Module) -> bool:
    """Whether each statement has its lines for itself, so that statements can be moved as lines."""
    lines = lines_of(text)
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt):
            continue
        before = lines[node.lineno - 1].encode()[: node.col_offset].decode(errors="ignore")
        behind = lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset :].decode(errors="ignore").strip()
        if before.strip() or (behind and not behind.startswith("#")) or "\f" in before:
            return False
        if not isinstance(node, Definition) and getattr(node, "decorator_list", None):
            return False
    return True


def _walk(place: Place) -> Iterator[Place]:
    for name, value in ast.iter_fields(place.node):
        many = isinstance(value, list)
        for index, child in enumerate(value if many else [value]):
            if isinstance(child, ast.AST) and not isinstance(child, ast.expr_context | ast.operator | ast.cmpop):
                scope, loops = place.scope, place.loops
                if isinstance(child, Function) and (scope is None or isinstance(place.node, ast.ClassDef)):
                    scope = scope_of(child)
                if isinstance(place.node, ast.For | ast.While) and name == "body":
                    loops += 1
                inner = Place(child, place, name, index if many else None, scope, loops)
                yield inner
                yield from _walk(inner)


def scope_of(node: Function) -> Scope:
    """Describe a function."""
    arguments = node.args
    params = [arg.arg for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    params += [arg.arg for arg in (arguments.vararg, arguments.kwarg) if arg]
    names = dict.fromkeys(params)
    for inner in _in_order(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            names.setdefault(inner.id)
        elif isinstance(inner, ast.arg):
            names.setdefault(inner.arg)
    return Scope(node.name, tuple(params), tuple(names), node)


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)
