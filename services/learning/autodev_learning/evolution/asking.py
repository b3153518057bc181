"""A proposer as an operator: what it is asked, and what it is told of what went wrong."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.operators import Aim, Brief, Order
from autodev_learning.proposers import Aim as ProposersAim
from autodev_learning.proposers import FailedProgram, NoProposal, Problem, Proposal
from autodev_learning.proposers.allowance import Allowance
from autodev_sdk.ending import results_of

Propose = Callable[[Problem, Allowance | None], Awaitable[Proposal | NoProposal]]

WISHES = {
    Aim.FASTER: "Write it so that it gives exactly the same on every input in less time.",
    Aim.MEND: "Write it so that more of the examples are as they must be.",
    Aim.SCORE: "Write it so that its result scores higher.",
}
MOST_OTHERS = 3


@dataclass(frozen=True)
class Asked:
    """Asks a proposer, once an order, and at most `most` times a step."""

    name: str
    propose: Propose
    most: int

    async def offers(self, orders: Sequence[Order], brief: Brief) -> Sequence[Offer | None]:
        problems = [problem_for(order, brief) for order in orders[: self.most]]
        answers = await results_of(*(self.propose(problem, brief.allowance) for problem in problems))
        return [*map(_offer, answers), *[None] * (len(orders) - len(answers))]


def problem_for(order: Order, brief: Brief) -> Problem:
    """The parent as a program to be changed, with what went wrong with it and with what was made of it."""
    told = (f"Its fitness is {order.parent.fitness:.6g}.", *order.feedback)
    return Problem(
        task_description="\n\n".join(filter(None, (brief.description, WISHES[brief.aim]))),
        entry_points=brief.entry_points,
        failures=(FailedProgram(order.parent.code, "\n".join(told)),),
        visible=brief.visible,
        preamble=brief.preamble,
        variants=tuple(each.code for each in order.others[:MOST_OTHERS]),
        seed=order.chance.getrandbits(32),
        aim=ProposersAim.IMPROVE,
    )


def _offer(answer: Proposal | NoProposal) -> Offer:
    """What a proposer gave; of one that gave nothing, what it used all the same."""
    code = answer.code if isinstance(answer, Proposal) else ""
    note = "; ".join(answer.edits) if isinstance(answer, Proposal) else answer.reason
    return Offer(code, note, answer.tokens, answer.cost_usd, answer.prompt_hash)
