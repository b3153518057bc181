"""What a program is scored by, where it is no skill: its result, and a scorer that never shares a process with it."""

import ast
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata

ENTRY_POINTS = "autodev.objectives"


@dataclass(frozen=True)
class Objective:
    """A score function.

    `call` is what is asked of a program: its value, a literal, is what is scored. `scorer` is a program that defines
    `score(value)`, which gives a number: the higher, the better, or the lower where `minimise`. A search that reaches
    `goal` ends. `initial_code` is the program to start from.
    """

    description: str
    call: str
    scorer: str
    initial_code: str
    preamble: str = ""
    minimise: bool = False
    goal: float | None = None

    def fitness(self, score: float) -> float:
        """The score, so that higher is better."""
        return -score if self.minimise else score

    def score(self, fitness: float) -> float:
        """The score that a fitness was made of."""
        return -fitness if self.minimise else fitness

    def reached(self, fitness: float) -> bool:
        """Whether a search may end."""
        return self.goal is not None and fitness >= self.fitness(self.goal)


def scored_value(text: str | None) -> str | None:
    """The value as it may be handed to a scorer: a literal and nothing else."""
    try:
        ast.literal_eval(text or "")
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return text


def score_from(text: str | None) -> float | None:
    """The number that a scorer gave; None where it gave none, or none that is finite."""
    try:
        value = ast.literal_eval(text or "")
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None


WAVES = Objective(
    description="Find the point (x, y), each in [-5, 5], with the least sin(x) cos(y) + sin(x y) + (x^2 + y^2) / 20.",
    call="point()",
    scorer="""import math

def score(point):
    x, y = point
    if not (-5 <= x <= 5 and -5 <= y <= 5):
        raise ValueError("the point is not in the square")
    return math.sin(x) * math.cos(y) + math.sin(x * y) + (x * x + y * y) / 20
""",
    initial_code="def point():\n    return (3.5, 3.5)\n",
    minimise=True,
)
"""The function that OpenEvolve's first example minimises. It has many local minima; the least is -1.518686, at
(-1.70408, 0.67751)."""


def packing(circles: int) -> Objective:
    """Put equal circles into the unit square so that they can be as large as possible."""
    places = [((0.5 + at * 0.618034) % 1, (0.5 + at * 0.754878) % 1) for at in range(circles)]
    centres = "".join(f"        ({x:.4f}, {y:.4f}),\n" for x, y in places)
    return Objective(
        description=f"Place {circles} equal circles in the unit square, without overlap, as large as possible.",
        call="centres()",
        scorer=f"""import math

def score(centres):
    if len(centres) != {circles}:
        raise ValueError("there must be {circles} circles")
    radius = min(min(x, y, 1 - x, 1 - y) for x, y in centres)
    for index, one in enumerate(centres):
        for other in centres[:index]:
            radius = min(radius, math.dist(one, other) / 2)
    return radius
""",
        initial_code=f"def centres():\n    return [\n{centres}    ]\n",
    )


BUILTIN = {"minimise-waves": WAVES, **{f"pack-{count}-circles": packing(count) for count in (5, 7, 10)}}


@cache
def named_objectives() -> dict[str, Objective]:
    """The objectives that can be named: our own, and those that installed packages state under `autodev.objectives`."""
    found = {point.name: point.load() for point in metadata.entry_points(group=ENTRY_POINTS)}
    return {**BUILTIN, **found}
