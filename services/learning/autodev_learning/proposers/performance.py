"""Faster programs that do the same: candidate mutations of a slow one.

Speed-ups keep what the program does, by what its text says. Which of them are worth it, only a clock tells: see
`evolution/rewriting.py`, which makes the best by measured time, and then what that gives again.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from autodev_learning.proposers.analysis.code import CannotChange, Code
from autodev_learning.proposers.speedups import Edit, Speedup, speedups
from autodev_learning.proposers.trials import is_python

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mutation:
    """A changed program: the kind of change (`name`), and what was changed where, in words."""

    name: str
    description: str
    code: str


def performance_mutations(text: str) -> Iterator[Mutation]:
    """Give mutations of the code, those first that gain most where they apply; none for code that is no Python.

    Each is one edit. Every mutation parses.
    """
    try:
        code = Code(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    seen = {text}
    for speedup in speedups():
        for edit in _edits(speedup, code):
            made = _made(code, edit)
            if made is not None and made not in seen:
                seen.add(made)
                yield Mutation(speedup.name, edit.description, made)


def _edits(speedup: Speedup, code: Code) -> Iterator[Edit]:
    try:
        yield from speedup.edits(code)
    except Exception:
        # It edits programs that nobody has read: one that breaks it must not end a search.
        log.exception("speed-up %s broke", type(speedup).__name__)


def _made(code: Code, edit: Edit) -> str | None:
    try:
        made = code.changed(edit.changes, edit.support)
    except (CannotChange, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return made if is_python(made) else None
