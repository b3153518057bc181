"""Programs that seem to invite a speed-up, and do otherwise with it: whatever is made of them does the same."""

from collections.abc import Iterator

import pytest

from autodev_learning.proposers.analysis.code import Code
from autodev_learning.proposers.performance import performance_mutations
from autodev_learning.proposers.speedups import Edit
from autodev_learning.proposers.speedups.membership import Membership
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
    # What is in the tuple is used up by the first turn.
    ("def f(xs):\n    pair = (iter(xs), 0)\n    return [sum(pair[0]) for _ in range(3)]\n", "f([1, 2, 3])"),
]  # fmt: skip
NOT_SHARED = [
    # Two lists that are alike are not one.
    ("def blank(n):\n    return [0] * n\n"
     "def f(k, n):\n    return [blank(n) is blank(n) for _ in range(k)]\n", "f(2, 2)"),
    # What is in the list is used up by the first turn.
    ("def f(pair):\n    return [max(map(sum, pair)) for _ in range(3)]\n", "f([iter([1, 2, 3])])"),
]  # fmt: skip
PLACES = [
    # A line before the statement is not within the outer comprehension, nor behind what else the statement does.
    ("def f(rows, xs):\n    return [[max(row) < x for x in xs] for row in rows]\n", "f([[1, 2], [5]], [0, 3, 9])"),
    ("def f(rows, xs):\n    row = [1]\n    return [[x in row for x in xs] for row in rows]\n", "f([[1, 2], [5]], [1])"),
    ("def f(xs, ys):\n    return ys.append(1), [x in ys for x in xs]\n", "f([1, 2], [2])"),
    ("def f(xs=[x in zs for x in []]):\n    return xs\n", "f()"),
]  # fmt: skip
CALLED_BY_VALUE = [
    # A function that is handed over is called as well.
    ("calls = []\ndef g(x):\n    calls.append(x)\n    return len(calls)\n"
     "def f(xs):\n    total = 0\n    for _ in range(3):\n        total += max(map(g, xs))\n    return total\n",
     "f([1, 2, 3])"),
    ("noted = []\ndef note(x):\n    noted.append(x)\n    return x\ndef g(n):\n    return sum(map(note, range(n)))\n"
     "def f(k):\n    total = 0\n    for _ in range(k):\n        total += g(3)\n    return total, len(noted)\n", "f(3)"),
    ("calls = []\ndef g(x):\n    calls.append(x)\n    return x * (-1) ** len(calls)\n"
     "def f(xs, ys):\n    return [max(ys, key=g) for x in xs]\n", "f([1, 2, 3], [1, 2, 3])"),
    ("def f(xs, ys):\n    seen = []\n    for x in xs:\n        seen.append(x in ys)\n        any(map(ys.append, [x]))\n"
     "    return seen\n", "f([1, 2, 1], [0])"),
    ("def f(xs, ys):\n    seen = []\n    for x in xs:\n        seen.append(x in ys)\n"
     "        list(filter(ys.append, [x]))\n    return seen\n", "f([1, 2, 1], [0])"),
    ("def f(xs, ys):\n    seen = []\n    ordered = [1]\n    for x in xs:\n"
     "        seen.append(x in ys)\n        ordered.sort(key=ys.append)\n    return seen\n", "f([1, 2, 1], [0])"),
    # How many are wanted is told by the keys' function only, or never.
    ("n = 1\ndef g(x):\n    global n\n    n = 2\n    return x\ndef f(xs):\n    return sorted(xs, key=g)[:n]\n",
     "f([1, 2])"),
    ("def f(xs):\n    if not xs:\n        n = 2\n    return sorted(xs)[:n]\n", "f([1, 'a'])"),
]  # fmt: skip
CALLED_WITH_CARE = [
    # What is called changes what is looked up.
    ("import operator\n\ndef f(xs, ys):\n    seen = []\n    for x in xs:\n        seen.append(x in ys)\n"
     "        operator.setitem(ys, 0, x)\n    return seen\n", "f([1, 2, 1, 2, 2], [0])"),
    ("import operator\n\ndef f(xs, ys):\n    seen = []\n    for x in xs:\n        seen.append(sum(ys))\n"
     "        operator.iadd(ys, [x])\n    return seen\n", "f([1, 2], [0])"),
    # Each key is asked for once, before the places of the others can be counted.
    ("calls = []\ndef g(x):\n    calls.append(x)\n    return -x\n"
     "def f(xs):\n    return sorted(xs, key=g)[:2], len(calls)\n", "f([1, 2, 3])"),
    ("def f(xs):\n    return [next(x, None) for x in sorted(xs, key=next)[:2]]\n", "f([iter([3, 4]), iter([1, 2])])"),
]  # fmt: skip
KEYS = [
    # The key that is looked for changes with what is found, or by another clause.
    ("def f(xs, ys):\n    rows = []\n    for x in xs:\n        for y in ys:\n            if y == len(rows):\n"
     "                rows.append(y)\n    return rows\n", "f([1], [0, 1, 2])"),
    ("def f(xs, ys):\n    return [(x, y) for x in xs for y in ys if y == x for x in [7]]\n", "f([1, 2], [1, 2, 7])"),
    # It, or a partner's, uses up what it is made of.
    ("def f(xs, ys):\n    return [x for x in xs for y in ys if sum(y) == x]\n", "f([3, 3, 0], [iter([1, 2])])"),
    ("def f(xs, ys):\n    return [y for x in xs for y in ys if y == sum(x)]\n", "f([iter([1, 2])], [5, 3, 0])"),
    # The places begin before the first, or are none.
    ("def f(xs, k):\n    return [j for x in xs for j in range(k, len(xs)) if xs[j] == x]\n",
     "f([5, 6, 5], -1), f([5, 6, 5], 1.0), f([5, 5], True)"),
]  # fmt: skip
KEYS_WITH_CARE = [
    # It cannot be computed, and need not be.
    ("def f(xs):\n    rows = []\n    for i in range(len(xs)):\n        for y in xs[i + 1 :]:\n"
     "            if y == 10 // xs[i]:\n                rows.append(y)\n    return rows\n", "f([5, 2, 0])"),
    # The places begin before the first, or are none.
    ("def f(xs, k):\n    return [y for x in xs for y in xs[k:] if y == x]\n",
     "f([5, 6, 5], None), f([5, 6, 5], 1.0), f([5, 6, 5], -1), f([5, 5], True), f({5: 5}, 0)"),
    # Nothing asks for what is gone through, which cannot be made.
    ("def f(xs, ys):\n    return [j for x in xs for j in range(len(ys)) if ys[j] == x]\n", "f([], None)"),
    ("def f(xs):\n    if xs:\n        ys = xs\n    return [y for x in xs for y in ys if y == x]\n", "f([]), f([1])"),
]  # fmt: skip
ALIASES = [
    # A function that reads may give the list itself, and a generator reads it later.
    ("def f(xs):\n    now = []\n    best = []\n    for x in xs:\n        now = now + [x]\n"
     "        best = max(best, now, key=sum)\n    return best\n", "f([1, -5, 2])"),
    ("def f(xs):\n    now = []\n    best = []\n    for x in xs:\n        now = now + [x]\n"
     "        best = sum([], now)\n        now = now + [x]\n    return best\n", "f([1, -5, 2])"),
    ("def f(xs):\n    kept = [0]\n    all_kept = (y for y in kept)\n    for x in xs:\n        kept = kept + [x]\n"
     "    return list(all_kept)\n", "f([1, 2])"),
    ("def f(xs):\n    kept = [0]\n    all_kept = zip(map(str, kept))\n    for x in xs:\n        kept = kept + [x]\n"
     "    return list(all_kept)\n", "f([1, 2])"),
    ("from collections import deque\n\n\ndef f(xs):\n    kept: deque = deque()\n    if not xs:\n        kept = []\n"
     "    for x in xs:\n        kept = kept + [x]\n    return kept\n", "f([1])"),
    # What a function of the program gives is not its own.
    ("def sorted(xs):\n    return xs\n\n\ndef f(xs):\n    kept = sorted(xs)\n    for x in [1, 2]:\n"
     "        kept = kept + [x]\n    return xs\n", "f([5])"),
    # The text is read by somebody else while it grows.
    ("def f(xs):\n    text = ''\n    def g(x):\n        return x + str(len(text))\n    for x in xs:\n"
     "        text += g(x)\n    return text\n", "f('abc')"),
    ("def f(xs):\n    text = ''\n    place = lambda: str(len(text))\n    for x in xs:\n        text += x + place()\n"
     "    return text\n", "f('abc')"),
    ("text = ''\ndef g(x):\n    return str(len(text))\ndef f(xs):\n    global text\n    text = ''\n    for x in xs:\n"
     "        text += g(x)\n    return text\n", "f('abc')"),
    # What did not fit is in the list, when it was not to be sorted.
    ("def f(xs):\n    seen = []\n    for x in xs:\n        try:\n            seen.append(x)\n            seen.sort()\n"
     "        except TypeError:\n            pass\n    return seen\n", "f([2, 'a', 1])"),
    # A deque is not equal to a list, nor ordered with one.
    ("def f(xs):\n    left = list(xs)\n    while len(left) > 1:\n        left.pop(0)\n        if left in [[3]]:\n"
     "            return True\n    return False\n", "f([1, 2, 3])"),
    ("def f(xs):\n    left = list(xs)\n    n = 0\n    while left:\n        n += len(max(left, [2]))\n"
     "        left.pop(0)\n    return n\n", "f([1, 2, 3])"),
    # The loop's variable is wanted by others.
    ("def f(xs):\n    kept = []\n    for x in xs:\n        kept.append(x + 1)\n    del x\n"
     "    return kept\n", "f([1, 2])"),
    ("x = [1]\ndef f():\n    kept = []\n    for x in x:\n        kept.append(x + 1)\n    return kept\n", "f()"),
    ("d = 0\ndef p(n):\n    global d\n    for d in range(2, n):\n        if n % d == 0:\n            return False\n"
     "    return True\ndef f(n):\n    return p(n), d\n", "f(11)"),
    ("x = 0\ndef g(xs):\n    global x\n    found = False\n    for x in xs:\n        if x == 1:\n"
     "            found = True\n    return found\ndef f(xs):\n    return g(xs), x\n", "f([1, 2])"),
    # It looks for the third divisor.
    ("def f(n):\n    k = 0\n    for d in range(2, n):\n        if n % d == 0:\n            k += 1\n"
     "            if k < 3:\n                continue\n            return False\n    return k\n", "f(12), f(10)"),
]  # fmt: skip
NAMES = [
    # A name of Python's own means something else.
    ("def f(list, wanted):\n    found = False\n    for x in list:\n        if x == wanted:\n            found = True\n"
     "    return found\n", "f([1, 2], 2)"),
    ("def f(list):\n    left = [list]\n    while left:\n        left.pop(0)\n    return left\n", "f(5)"),
    ("def len(xs):\n    return 0\n\n\ndef f(xs):\n    return [sum(xs[i : i + 2]) for i in range(3)]\n", "f([1, 2, 3])"),
    ("def f(type):\n    return 1 if type < 2 else f(type - 1) + f(type - 2)\n", "f(5)"),
    # A variable has no value, and nobody asks for one.
    ("def f(xs, known):\n    if known:\n        ys = [1]\n    return [x for x in xs if x in ys]\n", "f([], False)"),
    ("def f(xs, known):\n    if known:\n        ys = [1]\n    return [ys.count(x) for x in xs]\n", "f([], False)"),
    ("def f(xs, known):\n    if known:\n        ys = [1]\n    return [sum(ys[:x]) for x in xs]\n", "f([], False)"),
    ("def f(xs, known):\n    if known:\n        ys = [1]\n    return [sum(1 for y in ys if y < x) for x in xs]\n",
     "f([], False)"),
    ("def f(xs, ys):\n    del ys\n    return [x for x in xs if x in ys]\n", "f([], [])"),
    ("def f(xs):\n    found = False\n    for x in xs:\n        if x == 1 or x == wanted:\n            found = True\n"
     "    wanted = 2\n    return found\n", "f([1, 2])"),
]  # fmt: skip
LINES = [
    # A carriage return ends a line, alone too; within a text nothing else does.
    ("def f(xs, ys):\r    return [x for x in xs if x in ys]\r", "f([1, 2], [2])"),
    ('def f(xs, ys):\n    """It\r is"""\n    return [x for x in xs if x in ys]\n', "f([1, 2], [2])"),
    ('"""It\r is"""\r\nimport math\r\ndef f(xs, ys):\r\n    return [x for x in xs if x in ys]\r\n', "f([1, 2], [2])"),
    ("def f(xs, ys):\n    z = '\x0c\u2028'\n    return [x + z for x in xs if x in ys]\n", "f(['1', '2'], ['2'])"),
]
BOUND = {
    "ys = list(zs)\n    for z in zs:",
    "for ys in zs:",
}
PASSED_ON = [
    # What is within the argument that every call passes on is used up by the first.
    ("def f(n, pair):\n    if n < 2:\n        return sum(pair[0])\n    return f(n - 1, pair) + f(n - 2, pair)\n",
     "f(5, (iter([1, 2, 3]), 0)), f(5, ([1, 2, 3], 0))"),
    ("def f(n, rows):\n    if n < 2:\n        return max(rows[0]['a'], default=7)\n"
     "    return f(n - 1, rows) + f(n - 2, rows)\n", "f(5, [{'a': iter([1, 2])}]), f(5, [{'a': [1, 2]}])"),
    # It has the same name and is another.
    ("def f(n, xs):\n    if n < 1:\n        return len(xs)\n"
     "    return max(map(lambda xs: f(n - 1, xs), [[1], [1, 2]])) + f(n - 1, xs)\n", "f(3, [1, 2, 3])"),
]  # fmt: skip
OWN_NAMES = [
    # The program's own, by the names that support has.
    *((f"def {name}(ys):\n    ys.append(1)\n\n\ndef f(xs, ys):\n    seen = []\n    for x in xs:\n"
       f"        seen.append(x in ys)\n        {name}(ys)\n    return seen\n", "f([1, 2, 1], [0])")
      for name in ("FastCounts", "FastMembers", "Once", "Partners", "RangeSums", "Ranks", "plain_key")),
    ("calls = []\n\n\nclass Once:\n    def __call__(self, x):\n        calls.append(x)\n        return len(calls)\n\n\n"
     "def f(xs):\n    once = Once()\n    return [max([once(1), 0]) for x in xs]\n", "f([1, 2, 3])"),
    ("def Once():\n    return lambda: values.append(1) or len(values)\n\n\nvalues = []\n\n\n"
     "def f(xs):\n    once = Once()\n    return [max([once(), 0]) for x in xs]\n", "f([1, 2, 3])"),
    ("from bisect import bisect_left\n\n\ndef bisect_left(xs, x):\n    return 0\n\n\n"
     "def f(xs, ys):\n    return [sum(1 for y in ys if y < x) for x in xs]\n", "f([1, 2, 3], [0, 1, 2])"),
    ("from bisect import insort_right\n\n\ndef insort_right(xs, x):\n    pass\n\n\n"
     "def f(xs):\n    seen = []\n    for x in xs:\n        seen.append(x)\n        seen.sort()\n    return seen\n",
     "f([3, 1, 2])"),
]  # fmt: skip
SOUND = {"max(xs, key=operator.itemgetter(1))", "max(xs, key=ys.index)", "sum(map(str.isalpha, xs))", "sum(map(g, xs))"}


@pytest.mark.parametrize(("code", "call"), LINES)
def test_however_its_lines_end_a_program_is_changed_where_it_says(code: str, call: str) -> None:
    mutations = list(performance_mutations(code))
    assert mutations
    for mutation in mutations:
        assert outcome(mutation.code, call) == outcome(code, call)


def test_a_helper_that_says_only_what_it_is_for_is_left_alone() -> None:
    code = "def g(n=int()):\n    'Nothing yet.'\n\n\ndef f(xs):\n    return [g(x) for x in xs]\n"
    assert list(performance_mutations(code)) == []


def test_a_speed_up_that_breaks_leaves_the_others_their_turn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Membership, code: Code) -> Iterator[Edit]:
        raise IndexError("list index out of range")

    monkeypatch.setattr(Membership, "edits", broken)
    code = "def f(xs, ys):\n    return [(x in ys, ys.count(x)) for x in xs]\n"
    assert [each.description for each in performance_mutations(code)] == ["f: count what is in `ys` once"]
    assert "speed-up Membership broke" in caplog.text


@pytest.mark.parametrize("lines", sorted(BOUND))
def test_what_always_has_a_value_before_the_loop_may_be_looked_through_there(lines: str) -> None:
    code = f"def f(xs, zs):\n    {lines}\n        for x in xs:\n            print(x in ys)\n"
    assert "f: look up in a set of `ys`" in [mutation.description for mutation in performance_mutations(code)]


@pytest.mark.parametrize("call", sorted(SOUND))
def test_functions_that_only_compute_may_be_handed_over(call: str) -> None:
    code = f"import operator\n\ndef g(x):\n    return len(x)\n\ndef f(xs, ys):\n    return [{call} for y in ys]\n"
    assert f"f: compute `{call}` once" in [mutation.description for mutation in performance_mutations(code)]


@pytest.mark.parametrize(("code", "call"), [*SHARED, *CALLED_WITH_CARE, *KEYS_WITH_CARE, *PASSED_ON])
def test_whatever_is_made_of_it_does_the_same(code: str, call: str) -> None:
    mutations = list(performance_mutations(code))
    assert mutations
    for mutation in mutations:
        assert outcome(mutation.code, call) == outcome(code, call), mutation.description


@pytest.mark.parametrize(
    "code", [code for code, _ in [*NOT_SHARED, *PLACES, *CALLED_BY_VALUE, *KEYS, *ALIASES, *NAMES, *OWN_NAMES]]
)
def test_what_only_seems_to_invite_a_speed_up_is_left_alone(code: str) -> None:
    assert list(performance_mutations(code)) == []
