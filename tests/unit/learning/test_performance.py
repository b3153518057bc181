"""Mutations for speed: what may not be touched is left alone, and what is made does the same on anything."""

import ast
import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autodev_learning.evolution.climbing import Climber
from autodev_learning.proposers.performance import Mutation, performance_mutations
from tests.unit.learning.programs import programs

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, -0.0, 1.0, 2.5, float("nan"), float("inf"), 2**70, 1j])
    | st.text("ab", max_size=2)
    | st.binary(max_size=1)
)
ITEM = PLAIN | st.lists(PLAIN, max_size=2) | st.tuples(PLAIN, PLAIN) | st.frozensets(st.integers(0, 2), max_size=2)
ITEMS = (
    st.lists(st.integers(-5, 5), max_size=9)
    | st.lists(ITEM, max_size=6)
    | st.lists(st.floats(), max_size=6)
    | st.text("abc", max_size=6)
    | st.lists(st.text("ab", max_size=2), max_size=6)
    | st.tuples(ITEM, ITEM, ITEM)
    | st.dictionaries(st.integers(0, 5), st.integers(0, 5), max_size=4)
    | st.none()
)
SLOW = (
    "def f(xs, ys):\n    kept = []\n    for x in xs:\n        if x in ys and x not in kept:\n"
    "            kept.append(x)\n    return kept\n",
    "def f(xs, ys):\n    return [(x, ys.count(x), ys.index(x) if x in ys else -1) for x in xs]\n",
    "def f(xs, ys):\n    return [sum(1 for y in ys if y <= x) - len([y for y in ys if x < y]) for x in xs]\n",
    "def f(xs, ys):\n    return [sum(ys[i : i + 2]) for i in range(len(xs))], [sum(xs[-2:i]) for i in range(9)]\n",
    "def f(xs, ys):\n    return sorted(xs)[0], sorted(ys)[-1], sorted(xs, reverse=True)[:2], sorted(ys)[:len(xs)]\n",
    "def f(xs, ys):\n    out = ''\n    for x in xs:\n        for y in ys:\n            out = str(y) + out\n"
    "    text = 'a'\n    for x in ys:\n        text = x + text\n    return out, text\n",
    "def f(xs, ys):\n    rows = []\n    for x in xs:\n        for y in ys:\n            if x == y:\n"
    "                rows.append((x, y))\n    return rows, [(a, b) for a in xs for b in ys if b == a]\n",
    "def f(xs, ys):\n    seen = []\n    for x in xs:\n        seen.append(x)\n        seen.sort()\n"
    "        if len(seen) > 3:\n            seen.pop()\n    return seen, [x for x in ys if x > max(xs)]\n",
    "def f(xs, ys):\n    left = list(xs)\n    order = []\n    while left:\n        first = left.pop(0)\n"
    "        order.insert(0, first)\n        if first == ys:\n            left.append(0)\n    return order\n",
    "def f(xs, ys):\n    left = list(xs)\n    taken = []\n    while left:\n        least = min(left)\n"
    "        left.remove(least)\n        taken.append(least)\n        if len(taken) == 2:\n"
    "            for y in ys:\n                left.append(y)\n    return taken\n",
    "def f(xs, ys, i=0):\n    if i >= len(xs):\n        return 0\n"
    "    return max(f(xs, ys, i + 1), f(xs, ys, i + 2) + (xs[i] == ys))\n",
    "def f(xs, ys):\n    pairs = []\n    for i in range(len(xs)):\n        for j in range(i + 1, len(xs)):\n"
    "            if xs[i] == xs[j]:\n                pairs.append((i, j))\n    return pairs\n",
    "def f(xs, ys):\n    is_there = False\n    for x in xs:\n        if x == ys:\n            is_there = True\n"
    "    return is_there, max(set(xs), key=xs.count), sorted(xs, key=lambda x: ys.index(x))\n",
)  # fmt: skip


NAN = float("nan")
"""One for all calls: it is hashed by its address, and so the order of a set with it is another for another one."""


def outcome(code: str, *arguments: object) -> str:
    """What a call gives, with types, and does to its arguments; or the type of what it raises."""
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    try:
        given: object = namespace["f"](*arguments)
    except Exception as error:
        given = type(error)
    return repr((given, arguments))


@pytest.mark.parametrize("code", SLOW)
@settings(max_examples=25)
@given(ITEMS, ITEMS, st.booleans())
@example(xs=(-2, 3, NAN), ys=[], twice_the_same=True)
def test_whatever_is_given_every_mutation_does_the_same(code: str, xs: Any, ys: Any, twice_the_same: bool) -> None:
    arguments = repr((xs, xs if twice_the_same else ys))

    def values() -> list[Any]:
        made = eval(arguments, {"nan": NAN, "inf": float("inf"), "frozenset": frozenset})
        return [made[0], made[0]] if twice_the_same else list(made)

    expected, mutations = outcome(code, *values()), list(performance_mutations(code))
    assert mutations
    for mutation in mutations:
        assert outcome(mutation.code, *values()) == expected, mutation.description


@pytest.mark.parametrize("code", SLOW)
def test_each_of_them_has_mutations_and_so_have_those(code: str) -> None:
    first = list(performance_mutations(code))
    assert first
    # A step after a step still does the same.
    for arguments in (([3, 1, 3, 2], [2, 3, 1]), ([1, True, 1.0], [1.0]), ("abca", "ab"), ([], [])):
        for mutation in first:
            for second in performance_mutations(mutation.code):
                assert outcome(second.code, *map(list, arguments)) == outcome(code, *map(list, arguments))


@settings(max_examples=80)
@given(programs)
def test_every_mutation_of_any_program_parses_and_differs(code: str) -> None:
    made = [mutation.code for mutation in performance_mutations(code)]
    assert len(set(made)) == len(made)
    for mutated in made:
        ast.parse(mutated)
        assert mutated != code


@pytest.mark.parametrize(
    "code",
    [
        "def f(:",
        "",
        "x = 1",
        # It prints: remembered, it would print once.
        "def f(n):\n    print(n)\n    return n if n < 2 else f(n - 1) + f(n - 2)\n",
        # It keeps state outside.
        "calls = []\ndef f(n):\n    calls.append(n)\n    return n if n < 2 else f(n - 1) + f(n - 2)\n",
        # It changes what it is given, by another name.
        "def f(grid, n):\n    row = grid[0]\n    row[0] += 1\n"
        "    return n if n < 2 else f(grid, n - 1) + f(grid, n - 2)\n",
        # What it reads is changed by somebody else.
        "rate = 1\ndef g():\n    global rate\n    rate += 1\n"
        "def f(n):\n    return rate if n < 2 else f(n - 1) + f(n - 2)\n",
        # The list loses members, which a set of them would not notice.
        "def f(xs):\n    kept = []\n    for x in xs:\n        if x in kept:\n"
        "            kept.remove(x)\n        else:\n            kept.append(x)\n    return kept\n",
        # Both may be the same list.
        "def f(xs, ys):\n    for x in list(xs):\n        if x in ys:\n            xs.remove(x)\n    return xs\n",
        # The text is read in the loop.
        "def f(xs):\n    text = ''\n    for x in xs:\n        text += x\n        print(text)\n    return text\n",
        # What is sorted changes from turn to turn.
        "def f(xs):\n    for x in list(xs):\n        xs.append(sorted(xs)[1])\n    return xs\n",
        # Each turn changes its own copy.
        "def f(xs, ys):\n    out = []\n    for x in xs:\n        row = sorted(ys)\n        row.append(x)\n"
        "        print(row)\n        out.append(row)\n    return out\n",
        # A function that nobody knows may change anything.
        "def f(xs, ys, g):\n    for x in xs:\n        if x in ys:\n            g(x)\n",
        # The list came from outside, where somebody may hold it.
        "def f(kept, xs):\n    for x in xs:\n        kept = kept + [x]\n    return kept\n",
        # Somebody keeps each of its states.
        "def f(xs):\n    kept, states = [], []\n    for x in xs:\n        kept = kept + [x]\n"
        "        states.append(kept)\n    return states\n",
        # Every divisor is wanted, not one.
        "def f(n):\n    for d in range(2, n):\n        if n % d == 0:\n            print(d)\n",
        # The divisor is wanted.
        "def f(n):\n    for d in range(2, n):\n        if n % d == 0:\n            return d\n",
        # A set already.
        "def f(xs, seen):\n    seen = set(seen)\n    for x in xs:\n        print(x in seen)\n",
        # It is asked when the loop is over.
        "def f(xs, ys):\n    tests = []\n    for x in xs:\n        tests.append(lambda: x in ys)\n    return tests\n",
        # A later item may make it raise.
        "def f(xs):\n    found = False\n    for x in xs:\n        if x > 3:\n            found = True\n"
        "    return found\n",
        # What the loop looked at last is used.
        "def f(xs, ys):\n    for x in xs:\n        for y in ys:\n            if x == y:\n                print(x)\n"
        "    return y\n",
        # Names that support would need are taken.
        "def FastMembers(x):\n    return x\n\ndef f(xs, ys):\n    return [x for x in xs if x in ys]\n",
    ],
)  # fmt: skip
def test_what_cannot_be_made_faster_safely_is_left_alone(code: str) -> None:
    assert [mutation.description for mutation in performance_mutations(code)] == []


class Hill:
    """Programs by name with their seconds, and where steps lead."""

    def __init__(self, seconds: dict[str, float | None], steps: dict[str, Sequence[str]]) -> None:
        self.times = seconds
        self.steps = steps
        self.timed: list[str] = []

    async def mutations(self, code: str) -> list[Mutation]:
        return [Mutation("step", step, step) for step in self.steps.get(code, ())]

    async def seconds(self, code: str) -> float | None:
        self.timed.append(code)
        return self.times[code]


def climb(hill: Hill, most: int = 99) -> tuple[str, tuple[str, ...], int]:
    found = asyncio.run(Climber(hill.mutations, hill.seconds, lambda tried: tried < most).climb("a", 10.0))
    return found.code, found.steps, found.tried


def test_the_best_step_is_made_first_and_then_the_best_after_it() -> None:
    hill = Hill({"b": 5.0, "c": 3.0, "d": 1.0, "e": 2.9999}, {"a": "bc", "c": "ed", "b": "d"})
    assert climb(hill) == ("d", ("c", "d"), 4)


def test_what_does_not_do_the_same_or_gains_nothing_is_no_step() -> None:
    hill = Hill({"b": None, "c": 9.9}, {"a": "bc"})
    assert climb(hill) == ("a", (), 2)


def test_the_budget_ends_it() -> None:
    hill = Hill({"b": 5.0, "c": 3.0, "d": 1.0}, {"a": "bc", "b": "d"})
    assert climb(hill, most=1) == ("b", ("b",), 1)
