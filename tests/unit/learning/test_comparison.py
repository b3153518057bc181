"""What a known input says of a rewrite: the same, the fix, or a difference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.evolution.comparison import KnownInput, Purpose, Verdict, compare_behaviour
from autodev_learning.evolution.timing import TIMEOUT, Rounds, TimedOutcome, same_outcome


def value(text: str, seconds: float = 0.1) -> TimedOutcome:
    return TimedOutcome(text, None, seconds)


def error(text: str) -> TimedOutcome:
    return TimedOutcome(None, text, 0.1)


def rounds(*outcomes: TimedOutcome) -> Rounds:
    """One input, a round an outcome."""
    return Rounds(tuple((outcome,) for outcome in outcomes))


def verdict(
    known: KnownInput, parent: TimedOutcome, rewrite: TimedOutcome, purpose: Purpose = Purpose.FASTER
) -> Verdict:
    return compare_behaviour([known], rounds(parent), rounds(rewrite), purpose).verdicts[0].verdict


CALL = KnownInput("f(1)")
EXAMPLE = KnownInput("f(1)", "2")
BAD, WORSE, SLOW = error("ValueError: bad"), error("KeyError: 1"), error(TIMEOUT)


@pytest.mark.parametrize(
    ("known", "parent", "rewrite", "purpose", "expected"),
    [
        (CALL, value("2"), value("2"), Purpose.FASTER, Verdict.SAME),
        (CALL, value("2"), value("2.0"), Purpose.FASTER, Verdict.SAME),
        (CALL, value("[1, 2]"), value("(1, 2)"), Purpose.FASTER, Verdict.DIFFERS),
        (CALL, value("2"), value("3"), Purpose.MEND, Verdict.DIFFERS),
        (CALL, value("2"), BAD, Purpose.MEND, Verdict.DIFFERS),
        (CALL, BAD, error("ValueError: other words"), Purpose.FASTER, Verdict.SAME),
        (CALL, BAD, WORSE, Purpose.FASTER, Verdict.DIFFERS),
        (CALL, BAD, value("2"), Purpose.FASTER, Verdict.DIFFERS),
        (CALL, BAD, value("2"), Purpose.MEND, Verdict.MENDED),
        (CALL, SLOW, value("2"), Purpose.FASTER, Verdict.MENDED),
        (CALL, value("2"), SLOW, Purpose.FASTER, Verdict.DIFFERS),
        (CALL, SLOW, SLOW, Purpose.FASTER, Verdict.UNKNOWN),
        (CALL, SLOW, BAD, Purpose.FASTER, Verdict.DIFFERS),
        (EXAMPLE, value("2"), value("2"), Purpose.FASTER, Verdict.SAME),
        (EXAMPLE, value("3"), value("2"), Purpose.FASTER, Verdict.MENDED),
        (EXAMPLE, value("3"), value("3"), Purpose.FASTER, Verdict.DIFFERS),
        (EXAMPLE, value("2"), value("3"), Purpose.MEND, Verdict.DIFFERS),
        (EXAMPLE, BAD, BAD, Purpose.FASTER, Verdict.DIFFERS),
        (EXAMPLE, BAD, value("2"), Purpose.MEND, Verdict.MENDED),
    ],
)
def test_verdicts(
    known: KnownInput, parent: TimedOutcome, rewrite: TimedOutcome, purpose: Purpose, expected: Verdict
) -> None:
    assert verdict(known, parent, rewrite, purpose) is expected


def test_a_parent_that_gives_something_else_every_time_says_nothing() -> None:
    behaviour = compare_behaviour(
        [CALL, EXAMPLE],
        Rounds(((value("1"), value("2")), (value("5"), value("2")))),
        Rounds(((value("7"), value("2")), (value("7"), value("2")))),
        Purpose.FASTER,
    )
    assert [each.verdict for each in behaviour.verdicts] == [Verdict.UNKNOWN, Verdict.SAME]
    assert (behaviour.fault, behaviour.compared, len(behaviour.results)) == ("", 1, 1)


def test_a_rewrite_that_gives_something_else_every_time_differs() -> None:
    behaviour = compare_behaviour(
        [CALL], rounds(value("1"), value("1")), rounds(value("1"), value("2")), Purpose.FASTER
    )
    assert "something else every time" in behaviour.fault


def test_a_timeout_among_rounds_that_ended_is_the_machines() -> None:
    assert rounds(value("1", 0.25), error(TIMEOUT), value("1", 0.75)).settled(0) == value("1", 0.5)


def test_without_anything_to_compare_a_rewrite_is_rejected() -> None:
    behaviour = compare_behaviour(
        [CALL], rounds(value("1"), value("2")), rounds(value("1"), value("1")), Purpose.FASTER
    )
    assert "nothing to compare" in behaviour.fault


def test_counts_are_what_the_fitness_service_compares() -> None:
    inputs = [KnownInput("a", "1"), KnownInput("b", "2"), KnownInput("c"), KnownInput("d", "4", held_out=True)]
    parent = Rounds(((value("1"), value("0"), value("3"), BAD),))
    rewrite = Rounds(((value("1"), value("2"), value("3"), value("4")),))
    behaviour = compare_behaviour(inputs, parent, rewrite, Purpose.MEND)
    assert (behaviour.parent_correct, behaviour.rewrite_correct, behaviour.compared) == (2, 4, 4)
    assert [each.verdict for each in behaviour.verdicts].count(Verdict.MENDED) == 2
    assert [each.expected for each in behaviour.results] == ["1", "2", "3", "4"]
    assert behaviour.results[3].held_out


@pytest.mark.parametrize(
    ("known", "parent", "rewrite", "parent_correct", "rewrite_correct"),
    [
        (EXAMPLE, value("2"), value("3"), 1, 0),
        (EXAMPLE, value("3"), value("3"), 0, 0),
        (CALL, value("2"), value("3"), 1, 0),
        (CALL, SLOW, value("2"), 0, 1),
        (CALL, SLOW, SLOW, 0, 0),
    ],
)
def test_who_is_right_on_an_input(
    known: KnownInput, parent: TimedOutcome, rewrite: TimedOutcome, parent_correct: int, rewrite_correct: int
) -> None:
    behaviour = compare_behaviour([known], rounds(parent), rounds(rewrite), Purpose.FASTER)
    assert (behaviour.parent_correct, behaviour.rewrite_correct) == (parent_correct, rewrite_correct)


@pytest.mark.parametrize(
    ("known", "parent", "rewrite", "fault"),
    [
        (EXAMPLE, value("2"), value("3"), "f(1) gives 3; expected is 2"),
        (EXAMPLE, value("2"), BAD, "f(1) gives ValueError: bad; expected is 2"),
        (CALL, value("2"), value("3"), "f(1) gives 3; the parent gives 2"),
        (CALL, BAD, value("3"), "f(1) gives 3; the parent gives ValueError: bad"),
        (CALL, value("2"), SLOW, "f(1) gives timeout; the parent gives 2"),
        (CALL, value("2"), value("2"), ""),
    ],
)
def test_the_first_difference_is_told_in_a_sentence(
    known: KnownInput, parent: TimedOutcome, rewrite: TimedOutcome, fault: str
) -> None:
    assert compare_behaviour([known], rounds(parent), rounds(rewrite), Purpose.FASTER).fault == fault


@pytest.mark.parametrize(
    ("known", "parent", "rewrite", "kept"),
    [
        (EXAMPLE, value("3"), value("2"), ("2", "2", "", True)),
        (CALL, value("3"), value("2"), ("3", "2", "", False)),
        (CALL, value("3"), BAD, ("3", "", "ValueError: bad", False)),
        (CALL, BAD, BAD, ("", "", "ValueError: bad", True)),
        (CALL, value("3"), None, ("3", "", "gives something else every time", False)),
    ],
)
def test_what_is_kept_of_an_input(
    known: KnownInput, parent: TimedOutcome, rewrite: TimedOutcome | None, kept: tuple[str, str, str, bool]
) -> None:
    every = rounds(rewrite) if rewrite is not None else rounds(value("1"), value("2"))
    (found,) = compare_behaviour([known], rounds(parent), every, Purpose.FASTER).results
    assert (found.expected, found.actual, found.error, found.passed) == kept


OUTCOMES = st.one_of(
    st.integers(-3, 3).map(lambda number: value(repr(number))),
    st.sampled_from(["'a'", "[1]", "<sha256 0, 9 characters>", "<object>"]).map(value),
    st.sampled_from(["ValueError: x", "ValueError: y", "KeyError: z", TIMEOUT]).map(error),
)


@given(OUTCOMES, OUTCOMES)
def test_one_behaviour_is_symmetric(left: TimedOutcome, right: TimedOutcome) -> None:
    assert same_outcome(left, right) == same_outcome(right, left)
    assert same_outcome(left, left)


@given(st.lists(OUTCOMES, min_size=1, max_size=6), st.sampled_from(Purpose))
def test_a_program_never_differs_from_itself(outcomes: list[TimedOutcome], purpose: Purpose) -> None:
    side = Rounds((tuple(outcomes), tuple(outcomes)))
    behaviour = compare_behaviour([KnownInput(f"f({n})") for n in range(len(outcomes))], side, side, purpose)
    assert all(each.verdict is not Verdict.DIFFERS for each in behaviour.verdicts)
    assert behaviour.rewrite_correct == behaviour.parent_correct == behaviour.compared
