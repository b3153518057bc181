"""Edits of the syntax tree."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.operators import Aim, Brief, Local, Order

if TYPE_CHECKING:
    from autodev_learning.proposers.tree import Edit, Program

TRIES = 4
PROGRAMS_KEPT = 64


class EditTree(Local):
    """Make one of the repair search's edits, drawn by lot: `<` for `<=`, another name, a statement left out."""

    NAME = "edit"
    AIMS = frozenset({Aim.MEND, Aim.SCORE})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        # libcst takes a while to import: only who edits pays for it.
        from autodev_learning.proposers.tree import CannotEdit

        program, edits = _edits_of(order.parent.code)
        for _ in range(TRIES if edits else 0):
            edit = order.chance.choice(edits)
            try:
                code = program.apply(edit)
            except CannotEdit:
                continue
            if not order.is_known(code):
                return Offer(code, edit.description)
        return None


@lru_cache(maxsize=PROGRAMS_KEPT)
def _edits_of(code: str) -> "tuple[Program, Sequence[Edit]]":
    from autodev_learning.proposers.edits import operators
    from autodev_learning.proposers.tree import Program

    program = Program(code)
    return program, [edit for operator in operators() for edit in operator.edits(program)]
