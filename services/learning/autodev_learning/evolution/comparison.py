"""Whether a rewrite behaves as its parent does, on every known input."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from autodev_learning.evolution.timing import Rounds, TimedOutcome, same_outcome
from autodev_learning.examples import matches
from autodev_learning.memento.candidates import ExampleResult

SHOWN_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class KnownInput:
    """A call that a skill is known to get; `expected` is the literal it must give, where that is known."""

    call: str
    expected: str = ""
    held_out: bool = False


class Purpose(StrEnum):
    """What a rewrite is for: it decides which difference is the fix."""

    FASTER = "faster"
    MEND = "mend"


class Verdict(StrEnum):
    """What one input says of a rewrite."""

    SAME = "same"
    """Right, as the parent is."""
    MENDED = "mended"
    """Right, where the parent is not: the fix."""
    DIFFERS = "differs"
    """Wrong, or not what the parent gives."""
    UNKNOWN = "unknown"
    """The parent does not give the same twice, so nothing can be said."""


@dataclass(frozen=True, slots=True)
class InputVerdict:
    """What one input says, and what both gave; None for a side that did not give the same every time."""

    known: KnownInput
    verdict: Verdict
    parent: TimedOutcome | None
    rewrite: TimedOutcome | None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What all known inputs say."""

    verdicts: tuple[InputVerdict, ...]

    @property
    def compared(self) -> int:
        """Inputs that say anything."""
        return sum(each.verdict is not Verdict.UNKNOWN for each in self.verdicts)

    @property
    def parent_correct(self) -> int:
        return sum(_parent_is_right(each) for each in self.verdicts if each.verdict is not Verdict.UNKNOWN)

    @property
    def rewrite_correct(self) -> int:
        return sum(each.verdict in (Verdict.SAME, Verdict.MENDED) for each in self.verdicts)

    @property
    def fault(self) -> str:
        """Why the rewrite is rejected, in a sentence; empty where it is not."""
        if not self.compared:
            return "nothing to compare on: no known input gives the same twice"
        first = next((each for each in self.verdicts if each.verdict is Verdict.DIFFERS), None)
        return "" if first is None else _difference(first)

    @property
    def results(self) -> tuple[ExampleResult, ...]:
        """The same, input by input, as it is kept and shown."""
        return tuple(_result(each) for each in self.verdicts if each.verdict is not Verdict.UNKNOWN)


def compare_behaviour(inputs: Sequence[KnownInput], parent: Rounds, rewrite: Rounds, purpose: Purpose) -> Behaviour:
    """Compare what both gave on the inputs, in their order."""
    return Behaviour(
        tuple(
            _verdict(known, parent.settled(index), rewrite.settled(index), purpose)
            for index, known in enumerate(inputs)
        )
    )


def meets(known: KnownInput, outcome: TimedOutcome | None) -> bool:
    """Tell whether an outcome is what the input is known to give."""
    return outcome is not None and outcome.value is not None and matches(outcome.value, known.expected)


def _verdict(
    known: KnownInput, parent: TimedOutcome | None, rewrite: TimedOutcome | None, purpose: Purpose
) -> InputVerdict:
    return InputVerdict(known, _judge(known, parent, rewrite, purpose), parent, rewrite)


def _judge(known: KnownInput, parent: TimedOutcome | None, rewrite: TimedOutcome | None, purpose: Purpose) -> Verdict:
    if known.expected:
        if not meets(known, rewrite):
            return Verdict.DIFFERS
        return Verdict.SAME if meets(known, parent) else Verdict.MENDED
    if parent is None:
        return Verdict.UNKNOWN
    if rewrite is None:
        return Verdict.DIFFERS
    if _is_fix(parent, rewrite, purpose):
        return Verdict.MENDED
    # Two calls that do not end are no behaviour to keep.
    if parent.timed_out and rewrite.timed_out:
        return Verdict.UNKNOWN
    return Verdict.SAME if same_outcome(parent, rewrite) else Verdict.DIFFERS


def _is_fix(parent: TimedOutcome, rewrite: TimedOutcome, purpose: Purpose) -> bool:
    """An end where there was none is a fix; a value instead of an error only where the error was to be mended."""
    if rewrite.value is None or parent.value is not None:
        return False
    return parent.timed_out or purpose is Purpose.MEND


def _parent_is_right(each: InputVerdict) -> bool:
    if each.known.expected:
        return meets(each.known, each.parent)
    return each.verdict is not Verdict.MENDED


def _difference(each: InputVerdict) -> str:
    wanted = each.known.expected or (_shown(each.parent) if each.parent else "")
    whose = "expected is" if each.known.expected else "the parent gives"
    return f"{each.known.call[:200]} gives {_shown(each.rewrite)[:200]}; {whose} {wanted[:200]}"


def _shown(outcome: TimedOutcome | None) -> str:
    if outcome is None:
        return "something else every time"
    return outcome.value if outcome.value is not None else outcome.error or ""


def _result(each: InputVerdict) -> ExampleResult:
    reference = each.parent.value if each.parent and each.parent.value is not None else ""
    rewrite = each.rewrite
    return ExampleResult(
        call=each.known.call,
        expected=(each.known.expected or reference)[:SHOWN_CHARACTERS],
        actual=(rewrite.value or "")[:SHOWN_CHARACTERS] if rewrite else "",
        error=(rewrite.error or "") if rewrite else "gives something else every time",
        passed=each.verdict is not Verdict.DIFFERS,
        held_out=each.known.held_out,
    )
