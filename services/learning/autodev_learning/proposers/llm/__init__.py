"""The proposer that asks a language model. No address is called, and no library loaded, unless one is configured.

A model's answer is untrusted text like any other: it is parsed, bounded, and its code is only ever run in the sandbox.
This module is light; what imports the providers' libraries is imported where the first question is asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from autodev_learning.proposers import Budget, NoProposal, Problem, Proposal, Proposer
from autodev_learning.proposers.llm.choice import NAME as NAME
from autodev_learning.proposers.llm.choice import Choice
from autodev_learning.proposers.llm.prices import pricing_of
from autodev_learning.proposers.llm.spending import Ledger, Purse
from autodev_learning.trial import Tester


@dataclass(frozen=True)
class LlmProposer:
    """Asks the chosen model; the day's money is in the purse."""

    tester: Tester
    choice: Choice
    purse: Purse

    @property
    def name(self) -> str:
        return self.choice.proposer

    async def propose(self, problem: Problem, budget: Budget) -> Proposal | NoProposal:
        """As the protocol says. The time is the choice's own: a model takes longer than an edit."""
        # The providers' libraries take more than a second to import: only who asks a model pays for it.
        from autodev_learning.proposers.llm.asking import ask

        return await ask(self.tester, self.choice, self.purse, problem, budget)


def llm_makers(choices: Sequence[Choice], ledger: Ledger) -> dict[str, Callable[[Tester], Proposer]]:
    """A proposer for each model, by its name. Call it in the event loop of the ledger's database.

    Raises ChoiceRefused for a model whose price nobody knows: its budget could not be kept.
    """
    for choice in choices:
        pricing_of(choice)
    purse = Purse.of(ledger)
    return {choice.proposer: partial(LlmProposer, choice=choice, purse=purse) for choice in choices}
