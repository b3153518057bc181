"""Edits of single places."""

import ast
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.operators import Aim, Brief, Local, Order
from autodev_learning.proposers.candidates import Outline, split
from autodev_learning.proposers.edits import operators
from autodev_learning.proposers.pieces import Edit, Piece
from autodev_learning.remembering import MIB, remembered

TRIES = 4
MOST_BYTES_OF_EDITS = 64 * MIB
BYTES_A_CHOICE = 950
"""With its edit, and without the text around its statement."""


class EditPlace(Local):
    """Make one of the repair search's edits, drawn by lot: `<` for `<=`, another name, a statement left out."""

    NAME = "edit"
    AIMS = frozenset({Aim.MEND, Aim.SCORE})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        choices = _edits_of(order.parent.code)
        for _ in range(TRIES if choices else 0):
            chosen = order.chance.choice(choices)
            code = chosen.code
            if _is_program(code) and not order.is_known(code):
                return Offer(code, chosen.edit.description)
        return None


@dataclass(frozen=True, slots=True)
class _Choice:
    """An edit of one statement at the top of a program, and the text around that statement."""

    before: str
    piece: Piece
    edit: Edit
    after: str

    @property
    def code(self) -> str:
        return self.before + self.piece.apply(self.edit) + self.after


def _bytes_of(choices: Sequence[_Choice]) -> int:
    # The choices of one statement share its piece, and the text around it.
    around = {id(each.piece): sys.getsizeof(each.before) + sys.getsizeof(each.after) for each in choices}
    return sum(around.values()) + BYTES_A_CHOICE * len(choices)


@remembered(MOST_BYTES_OF_EDITS, _bytes_of)
def _edits_of(code: str) -> Sequence[_Choice]:
    texts = split(code)
    around = Outline.of(texts).around
    choices: list[_Choice] = []
    for place, text in enumerate(texts):
        piece = Piece(text, around)
        before, after = "".join(texts[:place]), "".join(texts[place + 1 :])
        choices += [_Choice(before, piece, edit, after) for operator in operators() for edit in operator.edits(piece)]
    return choices


def _is_program(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
