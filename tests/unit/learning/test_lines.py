"""Lines of programs are those that Python counts."""

import ast

import pytest

from autodev_learning.lines import lines_of
from autodev_learning.proposers.candidates import split


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("between", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_lines_are_counted_as_python_counts_them(end: str, between: str) -> None:
    code = f"x = '{between}'{end}{end}def f():{end}    return x"
    assert "".join(lines_of(code)) == code
    assert lines_of(code)[ast.parse(code).body[1].lineno - 1] == f"def f():{end}"


@pytest.mark.parametrize("between", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_a_program_is_split_where_its_statements_begin(between: str) -> None:
    first, second = f"def g(x):\n    return '{between}' + x\n", "def f(x):\n    y = g(x)\n    return y\n"
    assert split(first + second) == (first, second)
