"""Individuals for tests of the search."""

import random
from collections.abc import Sequence

from autodev_learning.evolution.individuals import Evaluation, Individual, Offer, Stage
from autodev_learning.evolution.islands import Islands, Plan
from autodev_learning.evolution.operators import Order

SLOW = """def f(items):
    seen = []
    for item in items:
        if item not in seen:
            seen.append(item)
    return seen
"""
START = "def f(x):\n    return x + 1.0\n"


def individual(
    number: int,
    fitness: float = 0.0,
    *,
    size: int = 10,
    novelty: float = 0.0,
    latency_s: float = 0.0,
    memory_bytes: int = 0,
    tokens: int = 0,
    quality: float | None = None,
    code: str = START,
    island: int = 0,
) -> Individual:
    """One that was wholly evaluated."""
    found = Evaluation(Stage.DONE, fitness, fitness if quality is None else quality, latency_s, memory_bytes)
    return Individual(number, 1, island, 0, "op", Offer(code, tokens=tokens), found, f"d{number}", size, novelty)


def scored(codes: Sequence[str]) -> list[Evaluation]:
    """Evaluations that depend on the codes alone."""
    return [Evaluation(Stage.DONE, fit := random.Random(code).random(), fit) for code in codes]


def begun(plan: Plan, operators: Sequence[str] = ("a", "b"), code: str = START) -> Islands:
    """Islands that hold their original."""
    islands = Islands(plan, operators)
    islands.admit([islands.begin(code, Evaluation(Stage.DONE, 0.0, 0.0))])
    return islands


def order_for(code: str, others: Sequence[str] = (), seed: int = 0, known: Sequence[str] = ()) -> Order:
    """A wish for one program."""
    return Order(
        individual(1, code=code),
        tuple(individual(number, code=other) for number, other in enumerate(others, start=2)),
        (),
        random.Random(seed),
        lambda each: each in known,
    )
