"""Repair operators: what they make is Python, and each makes what its docstring shows."""

import ast
import random
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodev_learning.proposers.candidates import split
from autodev_learning.proposers.edits import Operator, operators
from autodev_learning.proposers.frontier import MOST_EDITS, ordered, shape, suspicions
from autodev_learning.proposers.pieces import Edit, Piece, Surroundings
from autodev_learning.proposers.trials import is_python
from tests.unit.learning.programs import programs

OPERATORS = operators()


def shown(operator: Operator) -> tuple[str, str]:
    """The program of an operator's docstring, before and after."""
    lines = textwrap.dedent((operator.__doc__ or "").split("\n\n", 1)[1]).splitlines()
    depth = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    rows = [(line[depth : depth + 1] if line[:1] in "+-" else " ", line) for line in lines if line.strip()]
    marked = [(line[0], line[1:]) if line[0] in "+-" else (" ", line[1:]) for _, line in rows]
    before = "\n".join(text for mark, text in marked if mark != "+")
    after = "\n".join(text for mark, text in marked if mark != "-")
    return before + "\n", after + "\n"


def made_by(operator: Operator, code: str) -> list[str]:
    piece = Piece(code, Surroundings({"helper": ("x",)}, {"helper": "def helper(x):\n    return len(x)\n"}))
    return [piece.apply(edit) for edit in operator.edits(piece)]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: type(operator).__name__)
def test_each_operator_makes_what_its_docstring_shows(operator: Operator) -> None:
    before, after = shown(operator)
    assert before != after
    assert after in made_by(operator, before)


@settings(max_examples=40)
@given(programs, st.randoms(use_true_random=False))
def test_nearly_every_edit_of_any_program_is_python_and_says_what_it_does(code: str, draw: random.Random) -> None:
    piece = Piece(split(code)[-1])
    made = [(edit, piece.apply(edit)) for operator in OPERATORS for edit in operator.edits(piece)]
    chosen = draw.sample(made, min(60, len(made)))
    assert all(edit.description.strip() for edit, _ in chosen)
    assert sum(is_python(text) for _, text in chosen) >= 0.75 * len(chosen)


@settings(max_examples=20)
@given(programs, st.integers())
def test_the_order_of_edits_is_the_seeds_and_loses_none(code: str, seed: int) -> None:
    piece = Piece(split(code)[-1])
    first, again = (ordered(piece, 0, {}, random.Random(seed)) for _ in range(2))
    assert first == again
    assert len(first) == sum(len(list(operator.edits(piece))) for operator in OPERATORS)


@settings(max_examples=30)
@given(programs)
def test_a_program_split_into_pieces_is_the_program(code: str) -> None:
    assert ast.dump(ast.parse("".join(split(code)))) == ast.dump(ast.parse(code))


def assignments(count: int) -> Piece:
    return Piece("def f(a):\n" + "".join(f"    v{i} = a + {i}\n" for i in range(count)) + "    return v1\n")


def test_the_edits_of_a_long_function_are_bounded_and_leave_out_no_statement() -> None:
    piece = assignments(80)
    made = ordered(piece, 0, {}, random.Random(0))
    assert len(made) < len(OPERATORS) * MOST_EDITS / 4
    inserted = {piece.line_of(edit.splices[0][0]) for _, edit in made if "insert" in edit.description}
    assert inserted >= set(range(2, 83))


def test_no_operator_makes_more_than_its_share_however_long_a_function_is() -> None:
    tests = "".join(f"    elif a == {number}:\n        return {number}\n" for number in range(1, 90))
    piece = Piece(f"def f(a):\n    if a == 0:\n        return 0\n{tests}")
    by_operator = [len(list(operator.edits(piece))) for operator in OPERATORS]
    assert max(by_operator) > MOST_EDITS
    assert len(ordered(piece, 0, {}, random.Random(0))) == sum(min(made, MOST_EDITS) for made in by_operator)


def test_of_many_names_the_nearest_are_edited_with() -> None:
    piece = assignments(80)
    (place,) = [place for place in piece.statements if piece.source(place.node) == "v40 = a + 40"]
    assert place.scope is not None
    assert piece.nearest_names(place, place.scope, 4) == ("a", "v39", "v40", "v41")
    assert piece.nearest_names(place, place.scope, 81) == place.scope.names


def test_every_operator_has_a_name_of_its_own_and_a_prior() -> None:
    assert len({operator.name for operator in OPERATORS}) == len(OPERATORS) > 20
    assert all(operator.prior > 0 for operator in OPERATORS)


def test_an_edit_leaves_comments_and_layout_alone() -> None:
    code = "# why\ndef f( x ):  # what\n\n    return x<3   # three\n"
    (comparison,) = [operator for operator in OPERATORS if type(operator).__name__ == "Comparison"]
    assert "# why\ndef f( x ):  # what\n\n    return x<=3   # three\n" in made_by(comparison, code)


def test_an_expression_is_put_into_brackets_where_its_surroundings_bind_tighter() -> None:
    (one_more,) = [operator for operator in OPERATORS if type(operator).__name__ == "OffByOne"]
    assert "def f(xs, y):\n    return (len(xs) - 1) * y\n" in made_by(
        one_more, "def f(xs, y):\n    return len(xs) * y\n"
    )


def test_words_that_an_edit_brings_together_stay_two() -> None:
    piece = Piece("def f(a, b):\n    return a in(b)\n")
    (brackets,) = [place for place in piece.places if isinstance(place.node, ast.Compare)]
    start = piece.text.index("(b)")
    assert piece.apply(Edit("", ((start, start + 3, "b"),))) == "def f(a, b):\n    return a in b\n"
    assert piece.apply(piece.replace(brackets, "b")) == "def f(a, b):\n    return b\n"


def test_statements_that_share_a_line_are_set_apart() -> None:
    assert Piece("def f(x):\n    if x: return 1; print(x)\n    return 'é'\n").text == (
        "def f(x):\n    if x:\n        return 1\n        print(x)\n    return 'é'\n"
    )


def test_lines_are_suspicious_that_failing_examples_run_and_passing_ones_do_not() -> None:
    both, failing, passing = (0, 1), (0, 2), (0, 3)
    found = suspicions([frozenset({both, failing}), frozenset({both, passing})], [True, False])
    assert found[failing] == 1.0
    assert 0 < found[both] < 1
    assert found[passing] == 0.0


def test_the_same_mistake_in_two_functions_has_one_shape() -> None:
    assert shape("day: replace `days` by `days + 1`") == shape("month: replace `months` by `months + 1`")
    assert shape("day: `<` for `>` in `n > 1`") != shape("day: `<` for `>=` in `n >= 1`")


@pytest.mark.parametrize(
    ("operator", "before", "after"),
    [
        ("Arguments", "def f(m, i, j):\n    return m[i][j]\n", "def f(m, i, j):\n    return m[j][i]\n"),
        (
            "Variable",
            "def f(goal):\n    def g(node):\n        return goal\n    return g(1)\n",
            "def f(goal):\n    def g(node):\n        return node\n    return g(1)\n",
        ),
        (
            "Insert",
            "def f(x):\n    seen = set()\n    seen.add(x)\n    return seen\n",
            "def f(x):\n    seen = set()\n    seen.add(x)\n    seen.discard(x)\n    return seen\n",
        ),
        (
            "Returned",
            "def f(x):\n    return []\n",
            "def f(x):\n    return [x]\n",
        ),
        (
            "Term",
            "def f(xs, rest):\n    return [x + rest for x in xs]\n",
            "def f(xs, rest):\n    return rest + [x + rest for x in xs]\n",
        ),
        (
            "Forwarded",
            "def f(by_edge, by_node, u, v):\n    by_edge[u, v] = min(by_edge[u, v], by_node[v])\n",
            "def f(by_edge, by_node, u, v):\n    by_node[v] = min(by_edge[u, v], by_node[v])\n",
        ),
        (
            "Kept",
            "def f(groups, a, b):\n    groups[a].update(groups[b])\n",
            "def f(groups, a, b):\n    groups[a] = groups[b]\n",
        ),
        (
            "Best",
            "def f(m):\n    for i in m:\n        m[0] = i\n",
            "def f(m):\n    for i in m:\n        m[0] = min(m[0], i)\n",
        ),
    ],
)
def test_operators_make_more_than_their_docstrings_show(operator: str, before: str, after: str) -> None:
    (found,) = [each for each in OPERATORS if type(each).__name__ == operator]
    assert after in made_by(found, before)
