"""What generated inputs say of code, by what it and the programs that worked did on them."""

import pytest

from autodev_learning.examples import Example
from autodev_learning.proof.agreement import Difference, GeneratedCheck, checked, evidence_of_check
from autodev_learning.proof.domains import Kind
from autodev_learning.proof.generating import GeneratedCall
from autodev_learning.proof.observing import Doing
from autodev_learning.proof.suites import MOST_CALL_CHARACTERS, MOST_EXPECTED_CHARACTERS, is_keepable

RAISED, OTHERWISE, ENDLESS = Doing("('raised', 'ValueError')"), Doing(""), Doing("", timed_out=True)


def gave(value: int) -> Doing:
    return Doing(f"('returned', {value}, (), {{}})")


def check_of(code: list[Doing], *references: list[Doing]) -> GeneratedCheck:
    calls = [GeneratedCall(f"f({place})", Kind.EDGE) for place in range(len(code))]
    return checked(calls, code, references, "the parent", "seed")


def test_code_agrees_where_it_does_what_all_that_say_anything_do() -> None:
    code = [gave(1), gave(2), gave(3), RAISED, gave(5)]
    one = [gave(1), gave(2), OTHERWISE, RAISED, ENDLESS]
    other = [gave(1), gave(9), gave(3), RAISED, Doing("('raised', 'RecursionError')")]
    found = check_of(code, one, other)
    assert (found.inputs, found.compared, found.agreed, found.differing) == (5, 3, 3, ())


@pytest.mark.parametrize(
    ("expected", "actual", "breaks"),
    [
        (gave(1), gave(2), False),
        (gave(1), RAISED, True),
        (gave(1), OTHERWISE, True),
        (gave(1), ENDLESS, True),
        (RAISED, gave(1), False),
        (RAISED, OTHERWISE, False),
    ],
)
def test_code_breaks_where_it_gives_nothing_and_its_reference_a_value(
    expected: Doing, actual: Doing, breaks: bool
) -> None:
    (difference,) = check_of([actual], [expected]).differing
    assert difference.breaks is breaks


def test_what_raises_and_what_does_not_end_has_failed() -> None:
    assert check_of([gave(1), RAISED, ENDLESS, OTHERWISE]).failed == 2


def test_the_first_eight_differences_are_kept_and_all_are_counted() -> None:
    found = check_of([gave(1)] * 10, [gave(2)] * 9 + [gave(1)])
    assert (found.compared, found.agreed) == (10, 1)
    assert [each.call for each in found.differing] == [f"f({place})" for place in range(8)]


def test_a_reviewer_is_shown_three_differences() -> None:
    differing = tuple(Difference(f"f({place})", Kind.EDGE, "1", "2") for place in range(5))
    lines = evidence_of_check(GeneratedCheck(9, 8, 3, 0, "the parent", "seed", differing))
    assert lines == (
        "does as the parent on 3 of 8 inputs that nobody gave (9 made)",
        *(f"on f({place}) (edge what examples give) it does 2; the parent 1" for place in range(3)),
    )


@pytest.mark.parametrize(
    ("call", "expected", "keepable"),
    [
        ("f()", "1", True),
        ("f", "1", True),
        ("", "1", False),
        ("f()", "", False),
        ("f()", "<object at 0x1>", False),
        ("f" * MOST_CALL_CHARACTERS, "1", True),
        ("f" * (MOST_CALL_CHARACTERS + 1), "1", False),
        ("f()", repr("x" * (MOST_EXPECTED_CHARACTERS - 2)), True),
        ("f()", repr("x" * (MOST_EXPECTED_CHARACTERS - 1)), False),
    ],
)
def test_a_suite_keeps_calls_of_which_the_whole_value_is_known(call: str, expected: str, keepable: bool) -> None:
    assert is_keepable(Example(call, expected)) is keepable
