"""Functions of two programs."""

import ast

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.operators import Aim, Brief, Local, Order


class Functions(Local):
    """Put functions of another program in place of the program's own of the same name."""

    NAME = "functions"
    AIMS = frozenset(Aim)

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        own = ast.parse(order.parent.code)
        for other in order.chance.sample(order.others, len(order.others)):
            theirs = {node.name: node for node in ast.parse(other.code).body if isinstance(node, ast.FunctionDef)}
            differing = [
                index
                for index, node in enumerate(own.body)
                if isinstance(node, ast.FunctionDef)
                and node.name in theirs
                and ast.dump(node) != ast.dump(theirs[node.name])
            ]
            # All of them would be the other program.
            if len(differing) > 1:
                taken = order.chance.sample(differing, order.chance.randint(1, len(differing) - 1))
                return _exchanged(own, theirs, taken, other.number)
        return None


def _exchanged(own: ast.Module, theirs: dict[str, ast.FunctionDef], taken: list[int], number: int) -> Offer:
    names = []
    for index in taken:
        node = own.body[index]
        assert isinstance(node, ast.FunctionDef)
        own.body[index] = theirs[node.name]
        names.append(node.name)
    return Offer(f"{ast.unparse(own)}\n", f"took {', '.join(names)} of program {number}")
