"""The interpreter's own function compiles as the built-in does, and refuses as it does."""

import pytest

from autodev_sandbox.inside.compiling import compiled

FILE = "skill.py"
GOOD = [
    "",
    "def f(x: 'int') -> None: return [i for i in x] if 0 else x",
    "from __future__ import annotations\nx: undefined = 1",
    "x = 'ä€😀'  # coding: latin-1",
    "# -*- coding: latin-1 -*-\nx = 'ä'",
    "import os\r\nprint(os)\r",
    "match 1:\n  case int(): pass\n",
    "assert False, 'kept'",
]
BAD = [
    "def f(:",
    "x = 'never closed",
    "if 1:\nx",
    "return 1",
    "from __future__ import braces",
    "x = '\0'",
    "x = '\ud800'",
    "(" * 300 + ")" * 300,
    "0" + "1" * 5000,
]


@pytest.mark.parametrize("source", GOOD)
def test_the_code_is_the_same(source: str) -> None:
    assert compiled(source, FILE) == compile(source, FILE, "exec", dont_inherit=True)


@pytest.mark.parametrize("source", BAD)
def test_the_error_is_the_same(source: str) -> None:
    with pytest.raises(Exception) as expected:  # noqa: PT011
        compile(source, FILE, "exec", dont_inherit=True)
    with pytest.raises(expected.type) as found:
        compiled(source, FILE)
    assert repr(found.value) == repr(expected.value)
