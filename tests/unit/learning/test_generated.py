"""Generated inputs: of the types that examples show, the same for a seed, and never one of the examples."""

import ast
import asyncio
import time
from typing import Never

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autodev_learning.examples import Example, call_key, split_held_out
from autodev_learning.proof.domains import SORTED_PAIRS, Kind, Sequences, domain_of
from autodev_learning.proof.generating import generated_calls
from autodev_learning.proof.prover import Prover
from autodev_learning.proof.templates import written
from autodev_sdk.ending import ended
from tests.unit.learning.test_examples import literals

SCALARS = {
    "int": st.integers(-1000, 1000),
    "float": st.floats(-1000, 1000),
    "str": st.text(max_size=6),
    "bool": st.booleans(),
    "none": st.none(),
}
shapes = st.recursive(
    st.sampled_from(sorted(SCALARS)),
    lambda inner: st.tuples(st.sampled_from(["list", "dict", "optional"]), inner) | st.tuples(inner, inner),
    max_leaves=5,
)
Shape = str | tuple[object, object]


def values(shape: Shape) -> st.SearchStrategy[object]:
    """Values of a type as hypothesis writes it."""
    if isinstance(shape, str):
        return SCALARS[shape]
    kind, inner = shape
    if kind == "list":
        return st.lists(values(inner), max_size=5)  # type: ignore[arg-type]
    if kind == "dict":
        return st.dictionaries(st.text(max_size=3), values(inner), max_size=3)  # type: ignore[arg-type]
    if kind == "optional":
        return st.none() | values(inner)  # type: ignore[arg-type]
    return st.tuples(values(kind), values(inner))  # type: ignore[arg-type]


def is_of(shape: Shape, value: object) -> bool:
    """Whether a value is of the type."""
    if isinstance(shape, str):
        kinds = {"int": int, "float": float, "str": str, "bool": bool, "none": type(None)}
        # What is written as a whole number may stand where numbers with a fraction do.
        return type(value) is kinds[shape] or (shape == "float" and type(value) is int)
    kind, inner = shape
    if kind == "list":
        return isinstance(value, list) and all(is_of(inner, each) for each in value)  # type: ignore[arg-type]
    if kind == "dict":
        return isinstance(value, dict) and all(
            isinstance(key, str) and is_of(inner, each)  # type: ignore[arg-type]
            for key, each in value.items()
        )
    if kind == "optional":
        return value is None or is_of(inner, value)  # type: ignore[arg-type]
    return isinstance(value, tuple) and is_of(kind, value[0]) and is_of(inner, value[1])  # type: ignore[arg-type]


@st.composite
def typed_calls(draw: st.DrawFn) -> tuple[Shape, list[str]]:
    """A type, and calls whose argument is of it; with an element in every list, so that its type can be seen."""
    shape = draw(shapes)
    seen = draw(st.lists(values(shape).filter(shows_types), min_size=1, max_size=6))
    return shape, [f"f({written(each)})" for each in seen]


def shows_types(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(map(shows_types, value))
    if isinstance(value, dict):
        return bool(value) and all(map(shows_types, value.values()))
    return True


def argument_of(call: str) -> object:
    expression = ast.parse(call, mode="eval").body
    assert isinstance(expression, ast.Call)
    return ast.literal_eval(expression.args[0])


@settings(max_examples=60)
@given(typed_calls(), st.text(max_size=5))
def test_generated_values_are_of_the_types_seen(typed: tuple[Shape, list[str]], seed: str) -> None:
    shape, calls = typed
    made = generated_calls(calls, seed, 12)
    assume(made)
    for each in made:
        assert is_of(shape, argument_of(each.call)), each.call


@settings(max_examples=60)
@given(st.lists(literals, min_size=1, max_size=5), st.integers(0, 30), st.text(max_size=5))
def test_generated_calls_are_bounded_fresh_and_the_same_for_a_seed(seen: list[object], count: int, seed: str) -> None:
    calls = [f"f({written(each)})" for each in seen]
    made = generated_calls(calls, seed, count)
    assert len(made) <= count
    assert made == generated_calls(calls, seed, count)
    keys = [call_key(each.call) for each in made]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {call_key(call) for call in calls}
    order = [list(Kind).index(each.kind) for each in made]
    assert order == sorted(order)


simple = st.none() | st.integers(0, 9) | st.text("ab", max_size=2)
nested = st.recursive(
    simple,
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text("abc", max_size=2), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.lists(st.lists(nested, min_size=5, max_size=9), min_size=3, max_size=4), st.text(max_size=5))
def test_what_is_in_order_by_its_first_part_stays_so_whatever_stands_behind_it(
    rows: list[list[object]], seed: str
) -> None:
    pairs = [f"f({written(list(enumerate(row)))})" for row in rows]
    mappings = [f"f({written(dict(enumerate(row)))})" for row in rows]
    for made in (*generated_calls(pairs, seed, 24), *generated_calls(mappings, seed, 24)):
        argument = argument_of(made.call)
        assert isinstance(argument, list | dict)
        firsts = list(argument) if isinstance(argument, dict) else [first for first, _ in argument]
        assert firsts == sorted(firsts)


@pytest.mark.parametrize(
    "calls",
    [
        ["f([1, 2, 3, 4, 5, 6, 7])", "f(['a', 'b', 'c', 'd', 'e', 'g', 'h'])"],
        [f"f({[[each] for each in range(7)]})", f"f({[[each] for each in 'abcdefg']})"],
    ],
)
def test_what_cannot_be_compared_is_left_as_it_was_drawn(calls: list[str]) -> None:
    for seed in map(str, range(20)):
        assert generated_calls(calls, seed, 24)


@pytest.mark.parametrize("call", ["f([{}])".format(", ".join(map(str, range(60)))), f"f('{'ab' * 150}')"])
def test_of_values_each_longer_than_what_is_made_shorter_ones_are_made(call: str) -> None:
    for seed in "abcdefgh":
        assert generated_calls([call], seed, 24)


def test_of_calls_that_no_values_make_short_none_is_tried_for_long() -> None:
    """None is short enough to be given, and each would take a tenth of a second to be written."""
    calls = [f"f({number}, x{', g()' * 2400})" for number in range(200)]
    started = time.thread_time()
    assert generated_calls(calls, "s", 24) == ()
    assert time.thread_time() - started < 6


async def test_calls_are_made_beside_what_else_there_is_to_do() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def never(*_: object) -> Never:
        raise AssertionError("nothing is made of these calls")

    calls = [f"f({number}, x{', g()' * 2400})" for number in range(5)]
    turning = asyncio.ensure_future(take_turns())
    assert await Prover(never).generated("", [], "", calls, "s", "") is None
    assert turns > 10
    await ended(turning)


def test_another_seed_makes_other_calls() -> None:
    calls = ["f([1, 2, 3], 'ab')", "f([5], 'c')"]
    assert generated_calls(calls, "a", 12) != generated_calls(calls, "b", 12)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (["f([3, 1])", "f([2])"], "f([])"),
        (["f('ab', 3)"], "f('', 3)"),
        (["f('ab', 3)"], "f('ab', 0)"),
        (["f({'a': 1})", "f({'b': 2})"], "f({})"),
        (["Box(4).put([1], key=2)"], "Box(4).put([], key=2)"),
    ],
)
def test_the_least_of_each_argument_is_always_tried(calls: list[str], expected: str) -> None:
    for seed in map(str, range(5)):
        assert expected in [each.call for each in generated_calls(calls, seed, 24)]


@pytest.mark.parametrize("calls", [[], ["f()"], ["f("], ["f(x)"], ["f(lambda: x)"]])
def test_of_calls_without_a_literal_nothing_is_made(calls: list[str]) -> None:
    assert generated_calls(calls, "s", 12) == ()


def numbers_in(calls: list[str]) -> set[float]:
    constants = [node for call in calls for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Constant)]
    return {node.value for node in constants if isinstance(node.value, int | float)}


@pytest.mark.parametrize(
    ("calls", "count"),
    [
        ([f"f({400 * '9'})", "f(2.5)", "f(1.5)"], 0),
        ([f"f([1.5, {400 * '9'}])"], 24),
        (["f(1.7e308, -1.7e308)", "f(1, 2.5)"], 2),
        ([f"f({4300 * '9'})", "f(1)"], 0),
        ([f"f(0x{4000 * 'f'})", "f(1)"], 4),
    ],
)
def test_numbers_that_no_float_holds_or_that_are_too_long_are_given_as_they_are(calls: list[str], count: int) -> None:
    made = [each.call for each in generated_calls(calls, "s", 24)]
    assert len(made) == count
    assert {number for number in numbers_in(made) if number > 10**300} <= numbers_in(calls)


def test_within_means_numbers_lengths_and_letters_that_were_seen() -> None:
    calls = [f"f([{n}, {n + 2}], 'abc{n}', {n})" for n in range(10, 20)]
    within = [made for made in generated_calls(calls, "s", 60) if made.kind is Kind.WITHIN]
    assert within
    for made in within:
        expression = ast.parse(made.call, mode="eval").body
        assert isinstance(expression, ast.Call)
        numbers, text, number = map(ast.literal_eval, expression.args)
        assert all(10 <= each <= 21 for each in numbers)
        assert len(numbers) <= 3
        assert set(text) <= set("abc0123456789")
        assert 10 <= number <= 19


def test_rows_stay_equally_long_and_what_is_always_in_order_stays_in_order() -> None:
    matrices = ["f([[1, 2], [3, 4]])", "f([[1, 2, 3], [4, 5, 6], [7, 8, 9]])"]
    of_matrices = generated_calls(matrices, "s", 40)
    assert of_matrices
    for made in of_matrices:
        rows = argument_of(made.call)
        assert isinstance(rows, list)
        assert len({len(row) for row in rows}) <= 1
    in_order = [f"f({list(range(start, start + 8, 1))})" for start in (1, 4, 9)]
    of_ordered = generated_calls(in_order, "s", 40)
    assert of_ordered
    for made in of_ordered:
        numbers = argument_of(made.call)
        assert isinstance(numbers, list)
        assert numbers == sorted(numbers)


def test_a_few_lists_in_order_are_no_rule() -> None:
    domain = domain_of([[1, 2, 3], [2, 5, 9]])
    assert isinstance(domain, Sequences)
    assert not domain.ordered
    assert SORTED_PAIRS > 4


examples = st.lists(
    st.builds(
        Example, st.integers(0, 8).map(lambda n: f"f({n})") | st.integers(0, 8).map(lambda n: f"f( {n} )"), st.just("1")
    )
)


@given(examples)
def test_no_call_is_both_seen_and_held_out(given_examples: list[Example]) -> None:
    visible, held_out = split_held_out(given_examples)
    seen, hidden = ({call_key(each.call) for each in part} for part in (visible, held_out))
    assert not seen & hidden
    assert len(visible) + len(held_out) == len(given_examples)
    assert split_held_out(given_examples) == (visible, held_out)
    different = len(seen | hidden)
    assert len(hidden) == different // 3
    calls = [each.call for each in given_examples]
    made = {call_key(each.call) for each in generated_calls(calls, "s", 9)}
    assert not made & (seen | hidden)
