"""Programs in a search: pieces of text, what was done to them, and what they gave on the examples."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from autodev_learning.lines import lines_of
from autodev_learning.proposers.pieces import Definition, Piece, Surroundings
from autodev_learning.screening import Pieces
from autodev_learning.trial import CallOutcome


@dataclass(frozen=True)
class Candidate:
    """A program, what was done to come by it, and how each example went.

    `cost` grows with each edit, the likelier the edit the less. `near` is per example how near the value came to what
    was expected: 1 only if it is that.
    """

    pieces: Pieces
    edits: tuple[str, ...] = ()
    cost: float = 0.0
    outcomes: tuple[CallOutcome, ...] = ()
    near: tuple[float, ...] = ()

    @property
    def code(self) -> str:
        return "".join(self.pieces)

    @property
    def is_rewritten(self) -> bool:
        """Whether the last thing done was to write a function anew."""
        return bool(self.edits) and self.edits[-1].endswith(" for all")

    @property
    def depth(self) -> int:
        return len(self.edits)

    def passes(self, places: Sequence[int]) -> bool:
        return all(self.near[place] == 1.0 for place in places)

    def score(self, places: Sequence[int]) -> float:
        """The share of examples passed, near misses counting a little."""
        return sum(1.0 if self.near[at] == 1.0 else 0.3 * self.near[at] for at in places) / max(1, len(places))


def split(code: str) -> Pieces:
    """A program's top statements, each with the lines up to the next. Raises SyntaxError or ValueError."""
    body = ast.parse(code).body
    if not body:
        return ()
    lines = lines_of(code)
    firsts = [min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))]) for node in body]
    if len(set(firsts)) != len(firsts):
        return tuple(f"{ast.unparse(node)}\n" for node in body)
    starts = [0, *(first - 1 for first in firsts[1:])]
    ends = [*starts[1:], len(lines)]
    return tuple(Piece("".join(lines[start:end])).text for start, end in zip(starts, ends, strict=True))


@dataclass(frozen=True)
class Outline:
    """What the pieces of a program define: by piece the function's name, and what it reads."""

    names: tuple[str, ...]
    around: Surroundings
    reads: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, pieces: Pieces) -> "Outline":
        names: list[str] = []
        reads: list[frozenset[str]] = []
        functions: dict[str, tuple[str, ...]] = {}
        sources: dict[str, str] = {}
        others: set[str] = set()
        for piece in pieces:
            body = ast.parse(piece).body
            node = body[0] if body else None
            names.append(node.name if isinstance(node, Definition) else "")
            reads.append(
                frozenset(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)) if node else frozenset()
            )
            if isinstance(node, ast.FunctionDef):
                functions[node.name] = tuple(arg.arg for arg in node.args.args)
                sources[node.name] = piece
            elif node:
                others |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
                others |= {
                    (inner.asname or inner.name).partition(".")[0]
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.alias)
                }
        return cls(tuple(names), Surroundings(functions, sources, frozenset(others)), tuple(reads))

    def reached(self, names: Sequence[str]) -> frozenset[int]:
        """The pieces that functions reach, themselves included."""
        reached: set[int] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            for place, own in enumerate(self.names):
                if own == name and place not in reached:
                    reached.add(place)
                    waiting += self.reads[place]
        return frozenset(reached)
