"""Speed-ups: they parse, they do the same, and they gain where they are meant to."""

import ast
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodev_learning.proposers.performance import Mutation, performance_mutations
from autodev_learning.proposers.speedups import speedups
from tests.unit.learning.programs import programs

# One slow program for each speed-up, by its module's name: (code, a call, a call that takes the original long or "").
SLOW = {
    "appending": (
        "def f(xs):\n    kept = []\n    for x in xs:\n        kept = kept + [x]\n    return kept\n",
        "f([1, 2, 3])",
        "f(range(6000))",
    ),
    "comprehension": (
        "def f(xs):\n    kept = []\n    for x in xs:\n        if x % 2:\n"
        "            kept.append((x, -x))\n    return kept\n",
        "f([1, 2, 3])",
        "",
    ),
    "counting": (
        "def f(xs):\n    return_value = 0\n    for x in xs:\n"
        "        return_value += xs.count(x) + xs.index(x)\n    return return_value\n",
        "f([1, 2, 1])",
        "f(list(range(1500)))",
    ),
    "divisors": (
        "def f(n):\n    if n < 2:\n        return False\n    for d in range(2, n):\n"
        "        if n % d == 0:\n            return False\n    return True\n",
        "[f(n) for n in range(-2, 130)]",
        "f(1_000_003)",
    ),
    "extremes": ("def f(xs):\n    return sorted(xs)[0], sorted(xs)[-1]\n", "f([2, 3, 1])", ""),
    "hoisting": (
        "def f(xs):\n    ranks = []\n    for x in xs:\n        ranks.append(sorted(xs)[0] + x)\n    return ranks\n",
        "f([3, 1, 2])",
        "f(list(range(900, 0, -1)))",
    ),
    "insertion": (
        "def f(xs):\n    seen = []\n    for x in xs:\n        seen.append(x)\n        seen.sort()\n    return seen\n",
        "f([3, 1, 2, 1])",
        "",
    ),
    "joining": ("def f(xs):\n    text = '>'\n    for x in xs:\n        text += str(x)\n    return text\n"
    "", "f([1, 2])", ""),
    "literals": ("def f(x):\n    return x in ['a', 'b', 'c']\n", "[f('a'), f('d')]", ""),
    "lookup": (
        "def f(xs, ys):\n    rows = []\n    for x in xs:\n        for y in ys:\n            if y[0] == x[0]:\n"
        "                rows.append((x, y))\n    return rows\n",
        "f([(1, 2), (2, 3), (1, 4)], [(2, 'a'), (1, 'b'), (1, 'c')])",
        "f([(n, 0) for n in range(900)], [(n, 1) for n in range(900)])",
    ),
    "membership": (
        "def f(xs):\n    kept = []\n    for x in xs:\n        if x not in kept:\n"
        "            kept.append(x)\n    return kept\n",
        "f([3, 1, 3, 2, 1])",
        "f(list(range(2500)))",
    ),
    "memoise": ("def f(n):\n    if n < 2:\n        return n\n    return f(n - 1) + f(n - 2)\n", "f(12)", "f(23)"),
    "queue": (
        "def f(xs):\n    waiting = list(xs)\n    order = []\n    while waiting:\n"
        "        order.append(waiting.pop(0))\n    return order\n",
        "f([1, 2, 3])",
        "",
    ),
}  # fmt: skip


def run(code: str, call: str) -> tuple[object, float]:
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    started = time.process_time()
    value = eval(call, namespace)
    return value, time.process_time() - started


def mutations_by(module_name: str, code: str) -> list[Mutation]:
    (name,) = (speedup.NAME for speedup in speedups() if vars(speedup)["__name__"].endswith(f".{module_name}"))
    return [mutation for mutation in performance_mutations(code) if name in mutation.name]


def test_every_speed_up_has_its_slow_program_here() -> None:
    assert set(SLOW) == {vars(speedup)["__name__"].rpartition(".")[2] for speedup in speedups()}


@pytest.mark.parametrize("name", SLOW)
def test_a_speed_up_does_the_same(name: str) -> None:
    code, call, _ = SLOW[name]
    mutations = mutations_by(name, code)
    assert mutations
    for mutation in mutations:
        assert run(mutation.code, call)[0] == run(code, call)[0]


@pytest.mark.parametrize("name", [name for name, (_, _, long_call) in SLOW.items() if long_call])
def test_a_speed_up_gains_at_least_threefold_where_it_is_meant_to(name: str) -> None:
    code, _, long_call = SLOW[name]
    fastest = min(run(mutation.code, long_call)[1] for mutation in mutations_by(name, code))
    assert fastest * 3 < run(code, long_call)[1]


@settings(max_examples=80, deadline=None)
@given(programs)
def test_every_mutation_of_any_program_parses_and_differs(code: str) -> None:
    made = [mutation.code for mutation in performance_mutations(code)]
    assert len(set(made)) == len(made)
    for mutated in made:
        ast.parse(mutated)
        assert mutated != code


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12))
def test_the_order_and_repetitions_of_the_input_are_kept(numbers: list[int]) -> None:
    for name in ("membership", "insertion", "queue", "appending", "joining", "counting", "comprehension"):
        code = SLOW[name][0]
        for mutation in mutations_by(name, code):
            assert run(mutation.code, f"f({numbers})")[0] == run(code, f"f({numbers})")[0]


def test_several_speed_ups_come_together_first() -> None:
    code = SLOW["membership"][0] + "\ndef g(xs):\n    return sorted(xs)[0]\n"
    first, *single = performance_mutations(code)
    assert "kept_members" in first.code
    assert "min(xs)" in first.code
    assert len(single) == 2


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
        # The list loses members, which a set of them would not notice.
        "def f(xs):\n    kept = []\n    for x in xs:\n        if x in kept:\n"
        "            kept.remove(x)\n        else:\n            kept.append(x)\n    return kept\n",
        # The text is read in the loop.
        "def f(xs):\n    text = ''\n    for x in xs:\n        text += x\n        print(text)\n    return text\n",
        # What is sorted changes from turn to turn.
        "def f(xs):\n    for x in list(xs):\n        xs.append(sorted(xs)[1])\n    return xs\n",
        # The list came from outside, where somebody may hold it.
        "def f(kept, xs):\n    for x in xs:\n        kept = kept + [x]\n    return kept\n",
        # Every divisor is wanted, not one.
        "def f(n):\n    for d in range(2, n):\n        if n % d == 0:\n            print(d)\n",
        # A set already.
        "def f(xs, seen):\n    seen = set(seen)\n    for x in xs:\n        print(x in seen)\n",
    ],
)  # fmt: skip
def test_what_cannot_be_made_faster_safely_is_left_alone(code: str) -> None:
    assert list(performance_mutations(code)) == []
