"""Programs that seem to invite a speed-up, and do otherwise with it: whatever is made of them does the same."""

import pytest

from autodev_learning.proposers.performance import performance_mutations
from tests.unit.learning.test_speedups import outcome

SHARED = [
    # Each turn changes what it took from its own list of lists.
    ("def blank(n):\n    return [[0] * n for _ in range(n)]\n"
     "def f(k, n):\n    grid = []\n    for _ in range(k):\n        for row in blank(n):\n            grid.append(row)\n"
     "    grid[0][0] = 5\n    return grid\n", "f(2, 2)"),
    ("def blank(n):\n    return [[0] * n]\n"
     "def f(k, n):\n    rows = []\n    for _ in range(k):\n        rows.append(blank(n)[0])\n"
     "    rows[0].append(5)\n    return rows\n", "f(2, 1)"),
    ("def blank(n):\n    return [[0] * n]\n"
     "def f(k, n):\n    rows = []\n    for _ in range(k):\n        rows += blank(n)\n    rows[0].append(5)\n"
     "    return rows\n", "f(2, 1)"),
    ("def f(k, lists):\n    rows = []\n    for _ in range(k):\n        rows.append(sum(lists, []))\n"
     "    rows[0].append(5)\n    return rows\n", "f(2, [[1], [2]])"),
    ("def f(k, lists):\n    rows = []\n    for _ in range(k):\n"
     "        rows.append(max([list(each) for each in lists]))\n    rows[0].append(5)\n"
     "    return rows\n", "f(2, [[1], [2]])"),
    ("def f(k, lists):\n    rows = []\n    for _ in range(k):\n        rows.append(max(lists, default=[]))\n"
     "    rows[0].append(5)\n    return rows\n", "f(2, [])"),
    # Two lists that are alike are not one.
    ("def blank(n):\n    return [0] * n\n"
     "def f(k, n):\n    return [blank(n) is blank(n) for _ in range(k)]\n", "f(2, 2)"),
    # What is in the tuple, or in the list, is used up by the first turn.
    ("def f(xs):\n    pair = (iter(xs), 0)\n    return [sum(pair[0]) for _ in range(3)]\n", "f([1, 2, 3])"),
    ("def f(pair):\n    return [max(map(sum, pair)) for _ in range(3)]\n", "f([iter([1, 2, 3])])"),
]  # fmt: skip
PLACES = [
    # A line before the statement is not within the outer comprehension, nor behind what else the statement does.
    ("def f(rows, xs):\n    return [[max(row) < x for x in xs] for row in rows]\n", "f([[1, 2], [5]], [0, 3, 9])"),
    ("def f(rows, xs):\n    row = [1]\n    return [[x in row for x in xs] for row in rows]\n", "f([[1, 2], [5]], [1])"),
    ("def f(xs, ys):\n    return ys.append(1), [x in ys for x in xs]\n", "f([1, 2], [2])"),
    ("def f(xs=[x in zs for x in []]):\n    return xs\n", "f()"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "call"), [*SHARED, *PLACES])
def test_whatever_is_made_of_it_does_the_same(code: str, call: str) -> None:
    for mutation in performance_mutations(code):
        assert outcome(mutation.code, call) == outcome(code, call), mutation.description
