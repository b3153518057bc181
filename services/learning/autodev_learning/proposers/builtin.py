"""The proposers that need no network, by name."""

from collections.abc import Callable, Sequence

from autodev_learning.proposers import Proposer
from autodev_learning.proposers.case_bank import CaseBank
from autodev_learning.trial import Tester


def builtin_proposers(names: Sequence[str], tester: Tester) -> list[Proposer]:
    """Build the named proposers, in order. Raises ValueError for a name that is none of theirs."""
    unknown = [name for name in names if name not in BUILTIN]
    if unknown:
        raise ValueError(f"no built-in proposer named {', '.join(unknown)}; there are {', '.join(BUILTIN)}")
    return [BUILTIN[name](tester) for name in names]


def _search(tester: Tester) -> Proposer:
    # The operators take a while to import: only who searches pays for it.
    from autodev_learning.proposers.search import Search

    return Search(tester)


def _crossover(tester: Tester) -> Proposer:
    from autodev_learning.proposers.crossover import Crossover

    return Crossover(tester)


BUILTIN: dict[str, Callable[[Tester], Proposer]] = {"case_bank": CaseBank, "search": _search, "crossover": _crossover}
