"""What a function may answer where no example says: what its examples expect, and what its programs say themselves."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from autodev_learning.examples import Example
from autodev_learning.proposers.probes import is_fraction, kind_of
from autodev_learning.trial import CallOutcome


@dataclass(frozen=True)
class Expectations:
    """The kinds of values that are usual, and the exceptions that the failing programs raise themselves.

    A `None` is usual where a program returns it in so many words; a fraction is not where examples expect whole
    numbers.
    """

    kinds: frozenset[str]
    has_fractions: bool
    refusals: frozenset[str]

    @classmethod
    def of(cls, examples: Sequence[Example], programs: Sequence[str]) -> Self:
        """What examples and programs show. Raises SyntaxError."""
        trees = [ast.parse(program) for program in programs]
        return cls(
            frozenset(kind_of(example.expected) for example in examples) | set(_kinds_returned(trees)),
            any(is_fraction(example.expected) for example in examples),
            frozenset(_raised(trees)),
        )

    def is_usual(self, outcome: CallOutcome) -> bool:
        """Whether a value was given, of a usual kind."""
        value = outcome.value
        return value is not None and kind_of(value) in self.kinds and (self.has_fractions or not is_fraction(value))

    def is_refusal(self, outcome: CallOutcome) -> bool:
        """Whether the call failed by an exception that the programs raise themselves."""
        return outcome.error is not None and outcome.error.partition(":")[0] in self.refusals


def _raised(trees: Sequence[ast.Module]) -> Iterator[str]:
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise):
                raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                if isinstance(raised, ast.Name):
                    yield raised.id


def _kinds_returned(trees: Sequence[ast.Module]) -> Iterator[str]:
    for tree in trees:
        returned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value]
        constants = [inner for each in returned for inner in ast.walk(each) if isinstance(inner, ast.Constant)]
        if any(each.value is None for each in constants):
            yield "NoneType"
