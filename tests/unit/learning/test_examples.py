"""Examples: what is held out, and what counts as equal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.examples import Example, called_names, is_plain_call, matches, split_held_out
from autodev_sdk.literals import MAX_LITERAL_CHARACTERS

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
hashable = st.none() | st.booleans() | st.integers() | st.text(max_size=10)
literals = st.recursive(
    scalars | st.sets(hashable, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(st.integers(), unique=True))
def test_each_third_call_is_held_out_and_none_is_lost(numbers: list[int]) -> None:
    examples = [Example(f"f({number})", str(place)) for place, number in enumerate(numbers)]
    visible, held_out = split_held_out(examples)
    assert held_out == tuple(examples[2::3])
    assert sorted([*visible, *held_out], key=lambda example: int(example.expected)) == examples


def test_a_call_that_stands_there_twice_goes_one_way() -> None:
    examples = [Example(call, "1") for call in ("f(1)", "f(2)", "f( 1 )", "f(3)", "f(3)", "f(4)")]
    visible, held_out = split_held_out(examples)
    assert [each.call for each in visible] == ["f(1)", "f(2)", "f( 1 )", "f(4)"]
    assert [each.call for each in held_out] == ["f(3)", "f(3)"]


def test_calls_that_do_not_parse_are_of_one_kind_only_where_they_are_the_same() -> None:
    calls = ["f(1", " f(1 ", "f(2", "f(3"]
    visible, held_out = split_held_out([Example(call, "1") for call in calls])
    assert [example.call for example in visible] == calls[:3]
    assert [example.call for example in held_out] == calls[3:]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_of_fewer_than_three_examples_none_is_held_out(count: int) -> None:
    assert split_held_out([Example("f()", "1")] * count)[1] == ()


@given(literals)
def test_a_literal_matches_itself(value: object) -> None:
    assert matches(repr(value), repr(value))


@given(literals, literals)
def test_matching_goes_both_ways(left: object, right: object) -> None:
    assert matches(repr(left), repr(right)) == matches(repr(right), repr(left))


@given(st.recursive(st.integers() | st.text(), lambda inner: inner | st.lists(inner, max_size=3), max_leaves=6))
def test_without_floats_matching_is_pythons_equality(value: object) -> None:
    for other in (value, [value], [], 0, ""):
        assert matches(repr(value), repr(other)) == (value == other)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ("0.30000000000000004", "0.3"),
        ("[1, {'a': (0.1, 3.0000000000000004)}]", "[1, {'a': (0.1, 3)}]"),
        ("True", "1"),
        ("1.0", "1"),
        ("inf", "inf"),
        ("[nan]", "[nan]"),
        ("{1, 2}", "{2, 1}"),
        ("-2", "- 2"),
        (" [1]\n", "[1]"),
    ],
)
def test_these_match(actual: str, expected: str) -> None:
    assert matches(actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ("[1, 2]", "(1, 2)"),
        ("0.3001", "0.3"),
        ("'1'", "1"),
        ("[1]", "[1, 1]"),
        ("{'a': 1}", "{'a': 2}"),
        ("None", "False"),
        ("nan", "1.0"),
        ("1e400", str(10**400)),
    ],
)
def test_these_do_not_match(actual: str, expected: str) -> None:
    assert not matches(actual, expected)


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "f()",
        "__import__('os')",
        "<object object at 0x7f>",
        "1 +",
        "\0",
        "[" * 100_000,
        "[" * 60 + "]" * 60,
        "(" * 40_000 + ")" * 40_000,
        "-" * 90_000 + "1",
        "- " * 40_000 + "1",
        "~" * 50_000 + "1",
        "1" * 90_000,
        "+".join(["1"] * 30_000),
        "not " * 20_000 + "1",
        "lambda: " * 5_000 + "1",
        "'" + "a" * MAX_LITERAL_CHARACTERS + "'",
        "{[]: 1}",
    ],
    ids=lambda text: text[:12] + str(len(text)),
)
def test_hostile_text_matches_nothing_not_even_itself(hostile: str) -> None:
    assert not matches(hostile, hostile)
    assert not matches(hostile, "1")


def test_the_names_that_calls_ask_for_come_in_order_once() -> None:
    calls = ["f(", "unique_day('1', ())", "len(unique_month('May', ()))", "unique_day('2', ())", "obj.method()", "f("]
    assert called_names(calls) == ("unique_day", "len", "unique_month")


@given(st.lists(literals, max_size=3), st.dictionaries(st.sampled_from(["n", "items"]), literals))
def test_a_call_with_literals_is_plain(arguments: list[object], named: dict[str, object]) -> None:
    given_ = [*map(written, arguments), *(f"{name}={written(value)}" for name, value in named.items())]
    assert is_plain_call(f" f({', '.join(given_)})", ("g", "f"))
    assert not is_plain_call(f"f({', '.join(given_)})", ("g",))


def written(value: object) -> str:
    """The value as a literal: numbers that are none have no such form, and some names stand for them."""
    return repr(value).replace("inf", "1e999").replace("nan", "0.0")


@pytest.mark.parametrize(
    "call",
    [
        "__import__('os').kill(__import__('os').getppid(), 9)",
        "f(__import__('os').getppid())",
        "f(globals().clear() or 1)",
        "f(n := 1)",
        "f(*[g()])",
        "f(**{'n': g()})",
        "f(f(1))",
        "f(1).clear()",
        "f.g(1)",
        "(f)",
        "f(1) or g()",
        "f(f'{g()}')",
        "f(",
        "",
        "(" * 1000,
    ],
)
def test_a_call_that_asks_anything_else_is_not_plain(call: str) -> None:
    assert not is_plain_call(call, ("f",))
