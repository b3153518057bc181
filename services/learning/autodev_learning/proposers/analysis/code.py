"""A program's text and tree, and changes of the text that leave everything else as it stands."""

import ast
import builtins
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TypeVar

from autodev_learning.lines import lines_of
from autodev_learning.proposers.support import Piece, pieces, support

Node = TypeVar("Node", bound=ast.AST)
Function = ast.FunctionDef
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True)
class Change:
    """Text that takes the place of the bytes from `start` to `end`."""

    start: int
    end: int
    text: str


IMPOSSIBLE = Change(-1, -1, "")
"""A change that cannot be made line by line: what it is part of is not made either."""


class Code:
    """A parsed program."""

    def __init__(self, text: str) -> None:
        """Raises SyntaxError (ValueError, RecursionError, MemoryError) for text that is no Python."""
        self.text = text
        self.tree = ast.parse(text)
        self._bytes = text.encode()
        self._starts = [0, *accumulate(len(line.encode()) for line in lines_of(text))]
        self._support = {
            id(node)
            for definition in self.tree.body
            if isinstance(definition, ast.ClassDef | ast.FunctionDef) and definition.name in self.support
            for node in ast.walk(definition)
        }
        self._parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self._parents.get(node)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around one, innermost first."""
        around = self.parent(node)
        while around is not None:
            yield around
            around = self.parent(around)

    def function_around(self, node: ast.AST) -> Function | None:
        return next((each for each in self.ancestors(node) if isinstance(each, ast.FunctionDef)), None)

    def statement_around(self, node: ast.AST) -> ast.stmt:
        """The statement that the node is, or stands in."""
        while not isinstance(node, ast.stmt):
            node = self._parents[node]
        return node

    def source(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self._bytes[start:end].decode()

    def span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt | ast.arg | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    @cached_property
    def functions(self) -> dict[str, Function]:
        """The functions at the top of the program that are what their name means everywhere, support aside."""
        bound = [name for node in ast.walk(self.tree) for name in names_bound_by(node)]
        return {
            node.name: node
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef) and id(node) not in self._support and bound.count(node.name) == 1
        }

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that the program binds or reads."""
        read = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        return frozenset(read | self.bound)

    @cached_property
    def bound(self) -> frozenset[str]:
        """Every name that the program binds, anywhere."""
        return frozenset(name for node in ast.walk(self.tree) for name in names_bound_by(node))

    @cached_property
    def support(self) -> frozenset[str]:
        """The names that pieces of support have brought: a program may have others of its own by the same names."""
        return frozenset(name for piece in pieces() if self.has(piece) for name in piece.names)

    def has(self, piece: Piece) -> bool:
        """Whether the program holds what the piece defines, as it was put in, and binds its names to nothing else."""
        if not piece.statements:
            return False
        stated = Counter(
            ast.dump(node) for node in self.tree.body if not piece.names.isdisjoint(names_bound_at_top(node))
        )
        return all(stated[each] == 1 for each in piece.statements) and self.have_one_meaning(piece.names)

    def have_one_meaning(self, names: Collection[str]) -> bool:
        """Whether each name is bound at one place at most, or imported at the top, always the same."""
        return all(
            self._bindings[name] <= 1
            or (self._bindings[name] == len(self._imported[name]) and len(set(self._imported[name])) == 1)
            for name in names
        )

    @cached_property
    def _bindings(self) -> Counter[str]:
        return Counter(name for node in ast.walk(self.tree) for name in names_bound_by(node))

    @cached_property
    def _imported(self) -> dict[str, list[tuple[str, str]]]:
        """From where each name is imported at the top: module, and name in it."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for node in self.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = "." * node.level + (node.module or "") if isinstance(node, ast.ImportFrom) else ""
                for alias in node.names:
                    found[next(names_bound_by(alias))].append((module, alias.name))
        return found

    def is_builtin(self, name: str) -> bool:
        return hasattr(builtins, name) and name not in self.bound

    @cached_property
    def modules(self) -> dict[str, str]:
        """The modules that are imported at the top and bound nowhere else: what they are called here, and in truth."""
        found: dict[str, str] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Import):
                found |= {alias.asname or alias.name: alias.name for alias in node.names}
        count = [name for node in ast.walk(self.tree) for name in names_bound_by(node)].count
        return {name: module for name, module in found.items() if count(name) == 1}

    def fresh(self, base: str) -> str:
        """A name that the program does not use, beginning with `base`."""
        name, number = base, 1
        while name in self.names or hasattr(builtins, name):
            number += 1
            name = f"{base}_{number}"
        return name

    def all(self, kind: type[Node]) -> Iterator[Node]:
        """The nodes of a kind, in source order, those of support aside."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, kind) and id(node) not in self._support]
        return iter(sorted(found, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))))

    # Changes.

    def replace(self, node: ast.AST, text: str) -> Change:
        """Put an expression (a name, a call, or something in brackets) in place of another; or a statement."""
        return Change(*self.span(node), text)

    def before(self, statement: ast.stmt, *lines: str) -> Change:
        """Put statements before one."""
        indent = self.indent(statement)
        if indent is None:
            return IMPOSSIBLE
        start = self._starts[statement.lineno - 1]
        return Change(start, start, "".join(f"{indent}{line}\n" for line in lines))

    def after(self, statement: ast.stmt, *lines: str) -> Change:
        """Put statements after one."""
        indent, end = self.indent(statement), self._end_of_line(statement)
        if indent is None or end is None:
            return IMPOSSIBLE
        text = "".join(f"{indent}{line}\n" for line in lines)
        is_last = not self._bytes[:end].endswith((b"\n", b"\r"))
        return Change(end, end, f"\n{text}" if is_last else text)

    def without(self, statement: ast.stmt) -> Change:
        """Take out a statement that has its lines for itself."""
        end = self._end_of_line(statement)
        if self.indent(statement) is None or end is None:
            return IMPOSSIBLE
        return Change(self._starts[statement.lineno - 1], end, "")

    def indent(self, statement: ast.stmt) -> str | None:
        """What is before a statement on its line, if that is but space."""
        start, _ = self.span(statement)
        before = self._bytes[self._starts[statement.lineno - 1] : start].decode()
        return None if before.strip() else before

    def _end_of_line(self, statement: ast.stmt) -> int | None:
        """Where the line after a statement begins, if there is but a comment behind it."""
        _, end = self.span(statement)
        assert statement.end_lineno is not None
        end_of_line = self._starts[statement.end_lineno]
        behind = self._bytes[end:end_of_line].strip()
        return None if behind and not behind.startswith(b"#") else end_of_line

    def spliced(self, changes: Sequence[Change]) -> str:
        """The text with the changes made, whatever they do to its meaning. Raises CannotChange where two overlap."""
        ordered = sorted(changes, key=lambda change: (change.start, change.end))
        if IMPOSSIBLE in ordered or any(left.end > right.start for left, right in pairwise(ordered)):
            raise CannotChange
        text = self._bytes
        for change in reversed(ordered):
            text = text[: change.start] + change.text.encode() + text[change.end :]
        return text.decode()

    def changed(self, changes: Sequence[Change], pieces: Sequence[str] = ()) -> str:
        """The text with the changes made, and pieces of support put in.

        Raises CannotChange, also where what is put in would read a name of Python's own that the program binds.
        """
        made = _with_support(self.spliced(changes), self, pieces)
        if self._hidden and _count_of(self._hidden, ast.parse(made)) - _count_of(self._hidden, self.tree):
            raise CannotChange
        return made

    @cached_property
    def _hidden(self) -> frozenset[str]:
        """The names of Python's own that the program gives another meaning somewhere."""
        return frozenset(name for name in self.bound if hasattr(builtins, name))


class CannotChange(Exception):
    """The text does not let the changes be made."""


def _with_support(text: str, code: Code, names: Sequence[str]) -> str:
    """The text with the pieces that it has not yet, behind its imports. Raises CannotChange for names that clash."""
    wanted = [support(name) for name in names]
    imported = {ast.unparse(node) for node in code.tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    imports: list[str] = []
    texts: list[str] = []
    for piece in wanted:
        missing = [line for line in piece.imports if line not in imported]
        rest = "" if code.has(piece) else piece.rest
        brought = piece.names if rest else frozenset(line.split()[-1] for line in missing)
        known = {line.split()[-1] for line in piece.imports if line in imported}
        if (brought - known) & code.names or not code.have_one_meaning(known):
            raise CannotChange
        imports += missing
        texts += [rest] if rest else []
    if not imports and not texts:
        return text
    place, lines = 0, lines_of(text)
    for index, node in enumerate(ast.parse(text).body):
        is_docstring = index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_docstring and not isinstance(node, ast.Import | ast.ImportFrom):
            break
        assert node.end_lineno is not None
        place = node.end_lineno
    first = "".join(lines[:place]).removesuffix("\n").removesuffix("\r")
    head = "\n".join([*([first] if place else []), *imports])
    return "\n\n\n".join(part for part in (head, *texts, "".join(lines[place:]).lstrip("\r\n")) if part)


def _count_of(names: Collection[str], tree: ast.AST) -> Counter[str]:
    """How often the tree reads each of the names."""
    read = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return Counter(name for name in read if name in names)


def names_bound_by(node: ast.AST) -> Iterator[str]:
    """The names that this very node binds."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.arg():
            yield node.arg
        case ast.alias():
            yield (node.asname or node.name).partition(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Global() | ast.Nonlocal():
            yield from node.names


def names_bound_at_top(statement: ast.stmt) -> set[str]:
    """The names that a statement of the module itself binds."""
    bound = set(names_bound_by(statement))
    if isinstance(statement, ast.Assign):
        bound |= {name for target in statement.targets for name in names_of(target)}
    return bound


def names_of(target: ast.AST) -> set[str]:
    """Every name in a target or an expression."""
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def free_names(node: ast.AST) -> set[str]:
    """The names that an expression reads and does not bind in itself."""
    inner = {name for each in ast.walk(node) for name in names_bound_by(each)}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} - inner


def idle_statements(code: str) -> int:
    """How many statements follow, in their block, one that goes elsewhere. Raises SyntaxError."""
    idle = 0
    for node in ast.walk(ast.parse(code)):
        for name in ("body", "orelse", "finalbody"):
            found = getattr(node, name, None)
            block = found if isinstance(found, list) else []
            for place, statement in enumerate(block):
                if isinstance(statement, ast.Return | ast.Raise | ast.Break | ast.Continue):
                    idle += len(block) - place - 1
                    break
    return idle
