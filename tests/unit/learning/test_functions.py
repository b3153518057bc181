"""Functions of several programs, put together as text."""

import ast

import pytest

from autodev_learning.proposers.functions import combined, definitions, needed_by

ONE = '''"""A program."""
import functools as tools
from math import inf, pi
LIMIT: int = 3; STEP = 1  # two on a line


@tools.cache
def first(x):
    # why it is so
    return helper(x) + LIMIT


def helper(x):
    return x * pi


class Unused: ...
'''
OTHER = (
    "def second(x):\n    return first(x) - helper(x)\n\ndef helper(x):\n    return x  *  pi\n\nfrom math import pi\n"
)


def test_a_function_brings_what_it_needs_as_it_was_written() -> None:
    bound = definitions(ONE)
    assert list(bound) == ["tools", "inf", "pi", "LIMIT", "STEP", "first", "helper", "Unused"]
    assert needed_by("first", bound).keys() == {"first", "helper", "LIMIT", "pi", "tools"}
    code = combined({"first": bound})
    assert code is not None
    assert "@tools.cache\ndef first(x):\n    # why it is so\n" in code
    assert "Unused" not in code
    assert "STEP" not in code
    assert [type(node).__name__ for node in ast.parse(code).body][-2:] == ["FunctionDef", "FunctionDef"]
    scope: dict[str, float] = {}
    exec(f"{code}\nresult = first(2)", scope)
    assert scope["result"] == pytest.approx(2 * 3.141592653589793 + 3)


def test_helpers_that_say_the_same_are_one_whatever_their_layout() -> None:
    code = combined({"first": definitions(ONE), "second": definitions(OTHER)})
    # The same helper, and `pi` by another import of it, which is another statement.
    assert code is None
    same = OTHER.replace("from math import pi", "from math import inf, pi")
    code = combined({"first": definitions(ONE), "second": definitions(same)})
    assert code is not None
    assert code.count("def helper") == code.count("import inf, pi") == 1


def test_without_the_function_there_is_nothing() -> None:
    assert combined({"third": definitions(ONE)}) is None
