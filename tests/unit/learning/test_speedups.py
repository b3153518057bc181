"""Each speed-up makes what its docstring shows, and what it makes does the same."""

import ast
import textwrap
from typing import Any

import pytest

from autodev_learning.proposers.performance import Mutation, performance_mutations
from autodev_learning.proposers.speedups import Speedup, speedups
from autodev_learning.proposers.support import support


def shown(speedup: Speedup) -> tuple[str, str, list[str]]:
    """The program of a speed-up's docstring, before and after, and the calls."""
    lines = textwrap.dedent((speedup.__doc__ or "").split("\n\n", 1)[1]).splitlines()
    calls = [line.removeprefix(">>> ") for line in lines if line.startswith(">>> ")]
    diff = textwrap.dedent("\n".join(line for line in lines if not line.startswith(">>> "))).splitlines()
    before = "\n".join(line[1:] for line in diff if line[:1] != "+")
    after = "\n".join(line[1:] for line in diff if line[:1] != "-")
    return before.strip() + "\n", after.strip() + "\n", calls


def mutations_by(speedup: Speedup, code: str) -> list[Mutation]:
    return [mutation for mutation in performance_mutations(code) if mutation.name == speedup.name]


def without_support(code: str) -> str:
    """The program as a docstring shows it: what is put in besides is not repeated there."""
    for piece in map(support, PIECES):
        if piece.rest in code:
            code = code.replace(f"{piece.rest}\n\n\n", "")
            for line in piece.imports:
                code = code.replace(f"{line}\n", "").lstrip("\n")
    return code


PIECES = [
    "fast_members", "fast_counts", "once", "memory", "extremes", "partners", "range_sums", "ranks", "insertion",
    "least_first",
]  # fmt: skip


def outcome(code: str, call: str) -> str:
    """What each part of a call gives, and does to what it was given: values with their types, or the error's type."""
    parts = ast.parse(call, mode="eval").body
    given = []
    for part in parts.elts if isinstance(parts, ast.Tuple) else [parts]:
        namespace: dict[str, Any] = {}
        exec(code, namespace)
        try:
            given.append(repr(eval(ast.unparse(part), namespace)))
        except Exception as error:
            given.append(type(error).__name__)
    return "; ".join(given)


@pytest.mark.parametrize("speedup", speedups(), ids=lambda speedup: type(speedup).__name__)
def test_each_speed_up_makes_what_its_docstring_shows(speedup: Speedup) -> None:
    before, after, calls = shown(speedup)
    made = [without_support(mutation.code) for mutation in mutations_by(speedup, before)]
    assert after in made
    assert calls


@pytest.mark.parametrize("speedup", speedups(), ids=lambda speedup: type(speedup).__name__)
def test_what_a_speed_up_makes_does_the_same(speedup: Speedup) -> None:
    before, _, calls = shown(speedup)
    for mutation in mutations_by(speedup, before):
        for call in calls:
            assert outcome(mutation.code, call) == outcome(before, call)
