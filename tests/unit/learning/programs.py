"""Programs, right and wrong, for the tests of the proposers; and any small program, for hypothesis."""

from hypothesis import strategies as st

from autodev_learning.examples import Example
from autodev_learning.proposers import Case, FailedProgram, Problem

DEDUPE = "Remove repeated elements of a list, keeping the order"
DEDUPE_EXAMPLES = (
    Example("dedupe([1, 1, 2])", "[1, 2]"),
    Example("dedupe([3, 1, 3, 2])", "[3, 1, 2]"),
    Example("dedupe(['b', 'a', 'b'])", "['b', 'a']"),
    Example("dedupe([5])", "[5]"),
)
DEDUPE_RIGHT = "def dedupe(items):\n    return list(dict.fromkeys(items))\n"
DEDUPE_ADDS_ITEM = """\
def dedupe(items):
    result = []
    for item in items:
        if item not in result:
            result += item  # an int is not iterable
    return result
"""
DEDUPE_RETURNS_EARLY = """\
def dedupe(items):
    result = []
    for item in items:
        if item not in result:
            result.append(item)
        return result
"""
DEDUPE_NEVER_ENDS = "def dedupe(items):\n    while items:\n        pass\n"

STATS_EXAMPLES = (
    Example("low([3, 1, 2])", "1"),
    Example("low([5, 4])", "4"),
    Example("high([3, 1, 2])", "3"),
    Example("high([5, 4])", "5"),
    Example("spread([3, 1, 2])", "2"),
    Example("spread([9, 4])", "5"),
)
STATS_LOW_RIGHT = """\
def first(xs):
    return sorted(xs)[0]

def low(xs):
    return first(xs)

def high(xs):
    return xs[0]

def spread(xs):
    return
"""
STATS_HIGH_RIGHT = """\
import functools

def low(xs):
    return 0

def high(xs):
    return functools.reduce(lambda a, b: a if a > b else b, xs)

def spread(xs):
    return high(xs) - low(xs)
"""

FRAGMENTS = (
    "total = 0",
    "total += n",
    "result = []",
    "result.append(n)",
    "result = result + [n]",
    "result += n, 1",
    "for i in range(1, len(items)):\n    if items[i - 1] > n and i:\n        break\nelse:\n    n = -1",
    "for a, (b, *c) in items:\n    n, items[0] = a, b",
    "while n > 0 or not items:\n    n -= 1",
    "if n in items: return n",
    "if n == 0:\n    return None\nelif n < 3:\n    n = 1\nelse:\n    return items[1:]",
    "try:\n    n = int(n)\nexcept (ValueError, TypeError) as error:\n"
    "    raise KeyError(f'{n!r:>{5}}') from error\nfinally:\n    n",
    "with open(n) as handle:\n    text = handle.read",
    "total = sum(x * x for x in items if x)",
    "pairs = {k: v for k, v in zip(items, items[::-1])}",
    "label = 'yes' if n else \"no\"",
    "text = ''\nfor item in items:\n    text += str(item)\n",
    "queue = [n]\nwhile queue:\n    queue.pop(0)",
    "assert n, (\n    'n is missing'  # said\n)",
    "del items[0]",
    "key = lambda x, *y: x[0]",
    "items.sort",
    "items.append(n)\nitems.sort()",
    "for left in items:\n    for right in items:\n        if left[0] == right[1] and n:\n"
    "            total = helper(left)",
    "return sorted(items, key=len)[0]",
    "return helper(items, n) == missing",
    "global counter",
    "print(n); n = n // 2 % 3 ** 2",
    "yield n",
    "if (m := n): pass",
    "def inner(z=n):\n    return z",
    "x: int = 0",
    "match n:\n    case 1:\n        n = 2\n    case _:\n        pass",
)


def _function(name: str, fragments: list[str]) -> str:
    lines = "\n".join(fragments or ["return"]).splitlines()
    return f"def {name}(items, n=1):\n" + "".join(f"    {line}\n" for line in lines)


bodies = st.lists(st.sampled_from(FRAGMENTS), max_size=5)
programs = st.builds(
    lambda main, helper, head: head + _function("main", main) + "\n" + _function("helper", helper),
    bodies,
    bodies,
    st.sampled_from(["", '"""Says what."""\nfrom __future__ import annotations\nimport re\n', "LIMIT = 3\n# why\n"]),
)


def dedupe_problem(*failures: str, cases: tuple[Case, ...] = (), seed: int = 0) -> Problem:
    return Problem(
        DEDUPE, ("dedupe",), tuple(FailedProgram(code) for code in failures), DEDUPE_EXAMPLES, cases=cases, seed=seed
    )


def stats_problem(*failures: str) -> Problem:
    return Problem(
        "Statistics", ("low", "high", "spread"), tuple(FailedProgram(code) for code in failures), STATS_EXAMPLES
    )
