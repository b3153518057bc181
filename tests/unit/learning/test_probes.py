"""Probes: inputs that no example gives, and what attempts agree on."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.examples import Example
from autodev_learning.proposers.probes import MAX_PROBES, Poll, Voter, is_fraction, probes
from autodev_learning.trial import CallOutcome

arguments = st.recursive(
    st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)
calls = st.builds(
    lambda name, values: f"{name}({', '.join(map(repr, values))})",
    st.sampled_from(["f", "g"]),
    st.lists(arguments, max_size=3),
)


@given(st.lists(calls, max_size=6))
def test_probes_are_few_calls_of_the_same_functions_that_no_example_makes(calls: list[str]) -> None:
    made = probes([Example(call, "1") for call in calls])
    assert len(made) <= MAX_PROBES
    assert len(set(made)) == len(made)
    known = {ast.unparse(ast.parse(call)) for call in calls}
    for probe in made:
        assert probe.partition("(")[0] in {call.partition("(")[0] for call in calls}
        assert ast.unparse(ast.parse(probe)) not in known


def test_probes_empty_shorten_and_exchange_arguments() -> None:
    made = probes([Example("find(3, [1, 3, 5])", "1"), Example("find(9, [2])", "1")])
    assert {"find(3, [])", "find(3, [1, 3])", "find(9, [1, 3, 5])", "find(0, [2])"} <= set(made)
    assert not any(probe.endswith("[5, 3, 1])") for probe in made)


def test_what_calls_nothing_with_a_literal_gives_no_probe() -> None:
    assert probes([Example("f(", "1"), Example("f(x)", "1"), Example("1 + 1", "2"), Example("[3]", "[3]")]) == ()


def test_arguments_are_found_wherever_a_call_has_them() -> None:
    assert "f([1], key=lambda x: -x)" in probes([Example("f([1, 2], key=lambda x: -x)", "[2, 1]")])
    assert "(lambda h: (push(h, 4), h))([3])" in probes([Example("(lambda h: (push(h, 4), h))([3, 5])", "(4, [3])")])
    assert "Stack('é').push(0).top()" in probes([Example("Stack('é').push(7).top()", "7")])
    assert "f(x=-2)" in probes([Example("f(x=-3)", "3")])


def test_only_calls_of_one_shape_exchange_arguments() -> None:
    made = probes([Example("f(2, n=8)", "1"), Example("f(3)", "1"), Example("f(5)", "1")], limit=12)
    assert {"f(5)", "f(3)"}.isdisjoint(made)
    assert "f(3, n=8)" in made  # One more, and not the other's.
    assert "f(5, n=8)" not in made


def test_few_inputs_are_made_up_for_by_inputs_further_off() -> None:
    made = probes([Example("f(20)", "1")])
    assert set(made) == {"f(0)", "f(21)", "f(19)", "f(40)", "f(10)", "f(22)", "f(60)"}
    assert set(probes([Example("f(20)", "1")], limit=3)) == {"f(0)", "f(21)", "f(19)"}


def test_numbers_too_long_to_be_written_are_left_out() -> None:
    assert probes([Example(f"f(0x{'f' * 5000})", "1")]) == ()
    assert len(probes([Example(f"f({'9' * 4300})", "1")])) > 2


@pytest.mark.parametrize("literal", ["-inf", "inf", "nan", "-x", "+[1]", "-'a'", "3", "'1.5'", "f("])
def test_what_is_no_number_with_a_fraction_is_none(literal: str) -> None:
    assert not is_fraction(literal)


def test_a_number_with_a_fraction_is_one_with_its_sign() -> None:
    assert is_fraction("1.0")
    assert is_fraction("-2.5")


def given_values(*values: str | None) -> tuple[CallOutcome, ...]:
    return tuple(CallOutcome(value=value) if value else CallOutcome(error="timeout") for value in values)


def test_votes_of_nobody_who_is_trusted_are_none() -> None:
    poll = Poll.of([Voter(given_values("1", "2"), (0.0, 1.0))], 2, [Example("f()", "7")])
    assert poll.agreement(given_values("1", "2")) == 1 / 2


def test_agreement_is_with_the_weight_of_the_votes() -> None:
    voters = [Voter(given_values("1", "2"), (0.75, 0.75)), Voter(given_values("1", "3"), (0.25, 0.25))]
    poll = Poll.of(voters, 2, [Example("f()", "7")])
    assert poll.agreement(given_values("1", "2")) == (1 + 0.75) / 2
    assert poll.agreement(given_values("1", "3")) == (1 + 0.25) / 2
    assert poll.agreement(given_values("9", None)) == 0


def test_a_value_of_a_kind_that_no_example_expects_is_no_vote() -> None:
    poll = Poll.of([Voter(given_values("None", "'a'"), (1.0, 1.0))], 2, [Example("f()", "7")])
    assert poll.agreement(given_values("None", "'a'")) == 0


def test_a_program_must_answer_where_most_voters_do() -> None:
    voters = [
        Voter(given_values("1", None), (1.0, 1.0)),
        Voter(given_values("2", None), (1.0, 1.0)),
        Voter(given_values("2", "2"), (0.5, 0.5)),
    ]
    poll = Poll.of(voters, 2, [Example("f()", "7")])
    assert poll.answers(given_values("1", None))
    assert not poll.answers(given_values(None, "2"))
