"""Repair operators: what they make is Python, and each mends what it is for."""

import ast
import random
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodev_learning.proposers.edits import operators
from autodev_learning.proposers.frontier import ordered
from autodev_learning.proposers.tree import Program
from tests.unit.learning.programs import programs

OPERATORS = operators()


def made_by(module_name: str, code: str) -> list[str]:
    """What one operator makes of a program."""
    program = Program(code)
    (operator,) = (
        each for each in OPERATORS if isinstance(each, ModuleType) and each.__name__.endswith(f".{module_name}")
    )
    return [program.apply(edit) for edit in operator.edits(program)]


@settings(max_examples=60, deadline=None)
@given(programs, st.randoms(use_true_random=False))
def test_every_edit_of_any_program_parses_and_says_what_it_did(code: str, draw: random.Random) -> None:
    program = Program(code)
    for operator in OPERATORS:
        edits = list(operator.edits(program))
        for edit in draw.sample(edits, min(5, len(edits))):
            ast.parse(program.apply(edit))
            assert edit.description.strip()


@settings(max_examples=30, deadline=None)
@given(programs, st.integers())
def test_the_order_of_edits_is_the_seeds_and_loses_none(code: str, seed: int) -> None:
    program = Program(code)
    first, again = ordered(program, random.Random(seed)), ordered(program, random.Random(seed))
    assert [edit.description for edit in first] == [edit.description for edit in again]
    assert len(first) == sum(len(list(operator.edits(program))) for operator in OPERATORS)


def test_every_operator_has_a_name_of_its_own_and_a_prior() -> None:
    assert len({operator.NAME for operator in OPERATORS}) == len(OPERATORS) > 10
    assert all(operator.PRIOR > 0 for operator in OPERATORS)


@settings(max_examples=30, deadline=None)
@given(programs)
def test_a_focus_keeps_other_functions_as_they_are(code: str) -> None:
    program = Program(code).focused_on(["helper"])
    main = ast.dump(ast.parse(code).body[-2])
    for operator in OPERATORS:
        for edit in list(operator.edits(program))[:20]:
            assert ast.dump(ast.parse(program.apply(edit)).body[-2]) == main


FIND = """\
def find(x, xs):
    for i in range(len(xs)):
        if {test}:
            return i
{indent}return len(xs)
"""


@pytest.mark.parametrize(
    ("operator", "wrong", "right"),
    [
        ("comparison", "def f(x):\n    return x < 3\n", "def f(x):\n    return x <= 3\n"),
        ("comparison", "def f(x, y):\n    return x in y\n", "def f(x, y):\n    return x not in y\n"),
        ("constant", "def f(x):\n    n = 0\n    return n\n", "def f(x):\n    n = []\n    return n\n"),
        ("constant", "def f(x):\n    return true\n", "def f(x):\n    return True\n"),
        ("arithmetic", "def f(x):\n    return x[len(x)]\n", "def f(x):\n    return x[len(x) - 1]\n"),
        ("arithmetic", "def f(x):\n    x -= 1\n", "def f(x):\n    x += 1\n"),
        ("condition", "def f(x):\n    if x:\n        return 1\n", "def f(x):\n    if not (x):\n        return 1\n"),
        ("condition", "def f(x, y):\n    return x and y\n", "def f(x, y):\n    return x or y\n"),
        ("names", "def f(x, y):\n    return x\n", "def f(x, y):\n    return y\n"),
        ("returned", "def f(x):\n    n = 0\n    for i in x:\n        n += i\n",
         "def f(x):\n    n = 0\n    for i in x:\n        n += i\n    return n\n"),
        ("outdent", FIND.format(test="x <= xs[i]", indent=" " * 8), FIND.format(test="x <= xs[i]", indent=" " * 4)),
        ("outdent",
         "def f(x):\n    for i in x:\n        if i:\n            return True\n        else:\n"
         "            return False\n",
         "def f(x):\n    for i in x:\n        if i:\n            return True\n    return False\n"),
        ("indent", "def f(i):\n    while i:\n        print(i)\n    i -= 1\n",
         "def f(i):\n    while i:\n        print(i)\n        i -= 1\n"),
        ("delete", "def f(x):\n    x.sort()\n    return x\n", "def f(x):\n    return x\n"),
        ("delete", "def f(x):\n    if x:\n        x = 1\n    return x\n", "def f(x):\n    x = 1\n    return x\n"),
        ("guard", "def f(x):\n    return x[0]\n", "def f(x):\n    if not x:\n        return None\n    return x[0]\n"),
        ("methods", "def f(x, y):\n    x.append(y)\n", "def f(x, y):\n    x.extend(y)\n"),
        ("methods", "def f(x, y):\n    x = x.append(y)\n", "def f(x, y):\n    x.append(y)\n"),
        ("methods", "def f(x, y):\n    x.append[y]\n", "def f(x, y):\n    x.append(y)\n"),
        ("methods", "def f(x):\n    x.sort\n", "def f(x):\n    x.sort()\n"),
        ("wrap", "def f(x, y):\n    x += y\n", "def f(x, y):\n    x += [y]\n"),
        ("wrap", "def f(x):\n    return x\n", "def f(x):\n    return list(x)\n"),
        ("loops", "def f(n):\n    for i in range(n):\n        print(i)\n",
         "def f(n):\n    for i in range(0, n + 1):\n        print(i)\n"),
        ("loops", "def f(x):\n    for i in x:\n        x.remove(i)\n",
         "def f(x):\n    for i in list(x):\n        x.remove(i)\n"),
        ("branches", "def f(x):\n    if x:\n        return 1\n    else:\n        return 2\n",
         "def f(x):\n    if x:\n        return 2\n    else:\n        return 1\n"),
        ("truth", "def f(x):\n    n = 0\n    return True\n", "def f(x):\n    n = 0\n    return n == 1\n"),
        ("calls", "def g(x):\n    return x\ndef f(x):\n    if x:\n        return 1\n",
         "def g(x):\n    return x\ndef f(x):\n    if g(x):\n        return 1\n"),
        ("initialise", "def f(x):\n    return total + x\n", "def f(x):\n    total = 0\n    return total + x\n"),
        ("initialise", "def f(xs):\n    n = 0\n    return m + m\n", "def f(xs):\n    n = 0\n    return n + n\n"),
    ],
)  # fmt: skip
def test_each_operator_mends_what_it_is_for(operator: str, wrong: str, right: str) -> None:
    assert ast.unparse(ast.parse(right)) in {ast.unparse(ast.parse(code)) for code in made_by(operator, wrong)}


def test_an_expression_is_put_into_brackets_where_its_surroundings_bind_tighter() -> None:
    assert "def f(x, y):\n    return (x + 1) * y\n" in made_by("arithmetic", "def f(x, y):\n    return x * y\n")


def test_an_edit_leaves_comments_and_layout_alone() -> None:
    code = "# why\ndef f( x ):  # what\n\n    return x<3   # three\n"
    assert "# why\ndef f( x ):  # what\n\n    return x <= 3   # three\n" in [
        made.replace("x<=3", "x <= 3") for made in made_by("comparison", code)
    ]
