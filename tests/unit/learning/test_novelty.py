"""The distance of syntax trees."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.evolution.novelty import NotPython, distance, profile_of

CODES = (
    "def f(x):\n    return x\n",
    "def f(x):\n    return x + 1\n",
    "def f(x):\n    return x + 2\n",
    "def f(x):\n    if x:\n        return 1\n    return 2\n",
    "def f(x):\n    if x:\n        return 1\n    else:\n        return 2\n",
    "def f(x):\n    return x[1:]\n",
    "def f(x):\n    return x[:1]\n",
    "def g(values):\n    total = 0\n    for value in values:\n        total += value\n    return total\n",
    "def g(values):\n    global total\n    total = sum(values)\n",
    "def g(values):\n    global other\n    total = sum(values)\n",
    "x = {**a, b: c}\n",
    "x = {b: a, **c}\n",
    "import math\n",
)
codes = st.sampled_from(CODES) | st.lists(st.sampled_from(CODES), min_size=1, max_size=4).map("".join)


@given(codes, codes)
def test_it_is_symmetric_and_in_range(left: str, right: str) -> None:
    one, other = profile_of(left), profile_of(right)
    assert 0 <= distance(one, other) == distance(other, one) <= 1


@given(codes, codes)
def test_only_equal_trees_have_equal_digests(left: str, right: str) -> None:
    same = ast.dump(ast.parse(left)) == ast.dump(ast.parse(right))
    assert (profile_of(left).digest == profile_of(right).digest) == same
    if same:
        assert distance(profile_of(left), profile_of(right)) == 0


def test_the_more_differs_the_further_apart() -> None:
    origin = profile_of(CODES[1])
    near, further, furthest = (distance(origin, profile_of(CODES[at])) for at in (2, 3, 12))
    assert 0 < near < further < furthest


def test_layout_comments_and_docstrings_are_no_part_of_it() -> None:
    plain = profile_of("def f(x):\n    return x\n")
    dressed = profile_of('def f( x ):  # why\n    """What."""\n    return (x)\n')
    assert plain == dressed


@pytest.mark.parametrize("text", ["def f(:", "", "# nothing", "\0", "(" * 5000, f"x = 0x{4000 * 'f'}"])
def test_what_is_no_program_is_refused(text: str) -> None:
    with pytest.raises(NotPython):
        profile_of(text)
