"""What generated inputs say of code: how often it does as the reference does, and where it does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from autodev_learning.proof.domains import Kind
from autodev_learning.proof.generating import GeneratedCall
from autodev_learning.proof.observing import Doing

SHOWN = 8
SHOWN_CHARACTERS = 4096


class Overfit(StrEnum):
    """Whether code fits what its proposer saw, and little else."""

    NONE = ""
    SUSPECTED = "suspected"
    FOUND = "found"


@dataclass(frozen=True)
class Difference:
    """An input on which code does otherwise than its reference."""

    call: str
    kind: Kind
    expected: str
    actual: str
    expects_value: bool = True
    gives_value: bool = True

    @property
    def breaks(self) -> bool:
        """Whether the code gives nothing where the reference gives a value."""
        return self.expects_value and not self.gives_value


@dataclass(frozen=True)
class GeneratedCheck:
    """How code did on generated inputs. `failed`: those on which it raised or did not end; see the contract.

    `not_made`: what went wrong where none could be made.
    """

    inputs: int
    compared: int
    agreed: int
    failed: int
    reference: str
    seed: str
    differing: tuple[Difference, ...] = ()
    not_made: str = ""


def checked(
    calls: Sequence[GeneratedCall],
    code: Sequence[Doing],
    references: Sequence[Sequence[Doing]],
    reference: str,
    seed: str,
) -> GeneratedCheck:
    """Hold code to what the references do, where all of them that say anything do the same."""
    compared = agreed = 0
    differing: list[Difference] = []
    for place, (generated, mine) in enumerate(zip(calls, code, strict=True)):
        said = [each[place] for each in references if each[place].is_reference]
        if not said or not all(said[0].same_as(each) for each in said[1:]):
            continue
        compared += 1
        if said[0].same_as(mine):
            agreed += 1
        elif len(differing) < SHOWN:
            differing.append(_difference(generated, said, mine))
    return GeneratedCheck(
        inputs=len(calls),
        compared=compared,
        agreed=agreed,
        failed=sum(each.raised or each.timed_out for each in code),
        reference=reference if references else "",
        seed=seed,
        differing=tuple(differing),
    )


def evidence_of_check(check: GeneratedCheck) -> tuple[str, ...]:
    """What generated inputs say, a line each, for who reviews."""
    lines = []
    if check.not_made:
        lines.append(f"no inputs that nobody gave could be made: {check.not_made}")
    if check.reference:
        lines.append(
            f"does as {check.reference} on {check.agreed} of {check.compared} inputs that nobody gave"
            f" ({check.inputs} made)"
        )
    if check.failed:
        lines.append(f"raises or does not end on {check.failed} of {check.inputs} inputs that nobody gave")
    lines += [difference_text(each, check.reference) for each in check.differing[:3]]
    return tuple(lines)


def difference_text(difference: Difference, reference: str) -> str:
    """A difference in a sentence."""
    return (
        f"on {difference.call[:200]} ({difference.kind} what examples give) it does {difference.actual[:200]}; "
        f"{reference} {difference.expected[:200]}"
    )


def _difference(generated: GeneratedCall, said: Sequence[Doing], mine: Doing) -> Difference:
    return Difference(
        call=generated.call,
        kind=generated.kind,
        expected=said[0].shown[:SHOWN_CHARACTERS],
        actual=mine.shown[:SHOWN_CHARACTERS],
        expects_value=not said[0].raised,
        gives_value=mine.is_settled and not mine.raised,
    )
