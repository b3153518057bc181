"""Inputs that no example gives, made from those that examples give, to tell apart programs that pass them all.

Nobody says what a probe should give. But attempts at one task agree more on what is right than on what is wrong, so a
program is the more plausible, the more of them it agrees with.
"""

import ast
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from autodev_learning.examples import Example, called_names, is_literal
from autodev_learning.proposers.analysis.code import Code
from autodev_learning.trial import CallOutcome

MAX_PROBES = 32


@dataclass(frozen=True)
class _Call:
    """An example's call, and the literals in its arguments, in their order."""

    code: Code
    arguments: tuple[ast.expr, ...]

    @property
    def shape(self) -> str:
        """The call without its literals."""
        return self.code.spliced([self.code.replace(argument, "...") for argument in self.arguments])

    def varied(self, place: int, others: Iterable[ast.expr]) -> Iterator[str]:
        """The call with each of these in the place of one of its arguments."""
        for other in others:
            try:
                text = ast.unparse(other)
            except ValueError:  # A number too long to be written.
                continue
            yield self.code.spliced([self.code.replace(self.arguments[place], text)])


def probes(examples: Sequence[Example], limit: int = MAX_PROBES) -> tuple[str, ...]:
    """Calls like the examples', on emptied and shortened containers, other numbers, and one another's arguments."""
    calls = [call for call in map(_call, (example.call for example in examples)) if call]
    known = {call.code.text for call in calls}
    near: dict[tuple[str, ...], list[str]] = {}
    far: dict[tuple[str, ...], list[str]] = {}
    alike: dict[str, list[_Call]] = {}
    for call in calls:
        alike.setdefault(call.shape, []).append(call)
    for call in calls:
        names = called_names([call.code.text])
        for place, argument in enumerate(call.arguments):
            others = [*_edges(argument), *_others(place, argument, alike[call.shape])]
            near.setdefault(names, []).extend(call.varied(place, others))
            far.setdefault(names, []).extend(call.varied(place, _further(argument)))
    share = max(1, limit // max(1, len(near)))
    return tuple(chain.from_iterable(_fresh(near[names], far[names], known, share) for names in near))[:limit]


def _fresh(near: Sequence[str], far: Sequence[str], known: Collection[str], most: int) -> list[str]:
    """So many calls that no example makes; those further off only where the near ones are too few."""
    found = dict.fromkeys(each for each in near if each not in known)
    if len(found) >= most:
        return _spread(list(found), most)
    more = dict.fromkeys(each for each in far if each not in known and each not in found)
    return [*found, *_spread(list(more), most - len(found))]


def _parse(call: str) -> ast.Expression | None:
    try:
        return ast.parse(call, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _call(call: str) -> _Call | None:
    """The call, written as Python itself writes it."""
    try:
        code = Code(ast.unparse(ast.parse(call, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = sorted(_literal_arguments(code.tree), key=lambda argument: argument.col_offset)
    return _Call(code, tuple(found))


def _literal_arguments(node: ast.AST) -> Iterator[ast.expr]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call):
            for argument in (*inner.args, *(keyword.value for keyword in inner.keywords)):
                if is_literal(argument):
                    yield argument


def _edges(argument: ast.expr) -> Iterator[ast.expr]:
    """The argument's smaller neighbours. Order is kept: a sorted sequence stays sorted."""
    if isinstance(argument, ast.List | ast.Tuple) and argument.elts:
        kind, items = type(argument), argument.elts
        for elements in (
            [],
            items[:1],
            items[1:],
            items[:-1],
            items[: len(items) // 2],
            [items[0], *items],
            [*items, items[-1]],
        ):
            yield kind(elts=elements, ctx=ast.Load())
    elif isinstance(argument, ast.Dict) and argument.keys:
        yield ast.Dict(keys=[], values=[])
        yield ast.Dict(keys=argument.keys[1:], values=argument.values[1:])
    elif (number := _number(argument)) is not None:
        yield from map(_constant, (0, number + 1, number - 1))
    elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield from map(_constant, ("", argument.value[:1], argument.value[1:]))


def _further(argument: ast.expr) -> Iterator[ast.expr]:
    """More of its neighbours, where there are few."""
    if (number := _number(argument)) is not None:
        yield from map(_constant, (number * 2, number // 2, number + 2, number * 3))
    elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield from map(_constant, (argument.value * 2, argument.value[:-1], argument.value[::-1]))


def _constant(value: float | str) -> ast.expr:
    return ast.Constant(value=value)


def _number(node: ast.expr) -> float | None:
    value = ast.literal_eval(node) if isinstance(node, ast.Constant | ast.UnaryOp) and is_literal(node) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _others(place: int, argument: ast.expr, alike: Sequence[_Call]) -> Iterator[ast.expr]:
    """What other examples give in the same place, where the kind is the same."""
    for other in alike:
        given = other.arguments[place]
        if _kind(given) == _kind(argument):
            yield given


def _kind(node: ast.expr) -> object:
    number = _number(node)
    if number is not None:
        return type(number)
    return type(node.value) if isinstance(node, ast.Constant) else type(node)


def _spread(calls: Sequence[str], most: int) -> list[str]:
    """Take so many, evenly over those there are: the first are of one example only."""
    step = max(1, len(calls) / max(1, most))
    return [calls[int(place * step)] for place in range(min(most, len(calls)))]


@dataclass(frozen=True)
class Voter:
    """A program's outcomes on the probes, and how far it is to be trusted on each, in [0, 1]."""

    outcomes: tuple[CallOutcome, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Poll:
    """What voters give on the probes. An error, or a value of a kind that no example expects, is no vote."""

    votes: tuple[Mapping[str, float], ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, voters: Sequence[Voter], probes: int, examples: Sequence[Example]) -> "Poll":
        kinds = {kind_of(example.expected) for example in examples}
        votes: list[defaultdict[str, float]] = [defaultdict(float) for _ in range(probes)]
        for voter in voters:
            for place, outcome in enumerate(voter.outcomes):
                if outcome.value is not None and kind_of(outcome.value) in kinds:
                    votes[place][outcome.value] += voter.weights[place]
        return cls(tuple(votes), tuple(sum(voter.weights[place] for voter in voters) for place in range(probes)))

    def agreement(self, outcomes: Sequence[CallOutcome]) -> float:
        """The mean share of the votes that a program's outcomes agree with; the higher, the more plausible it is."""
        shares = [
            votes[outcome.value] / sum(votes.values())
            for outcome, votes in zip(outcomes, self.votes, strict=True)
            # Nobody who voted may be trusted there at all.
            if outcome.value is not None and votes.get(outcome.value)
        ]
        return sum(shares) / max(1, len(outcomes))

    def answers(self, outcomes: Sequence[CallOutcome]) -> bool:
        """Whether a program answers, right or wrong, wherever most voters do: it fails on no input that can be met."""
        return all(
            outcome.value in votes or 2 * sum(votes.values()) < weight
            for outcome, votes, weight in zip(outcomes, self.votes, self.weights, strict=True)
        )


@lru_cache(maxsize=4096)
def kind_of(literal: str) -> str:
    tree = _parse(literal)
    body = tree.body if tree else None
    if isinstance(body, ast.UnaryOp):
        body = body.operand
    if isinstance(body, ast.Constant):
        return (
            "number"
            if isinstance(body.value, int | float) and not isinstance(body.value, bool)
            else type(body.value).__name__
        )
    return type(body).__name__


@lru_cache(maxsize=4096)
def is_fraction(literal: str) -> bool:
    """Whether it is a number of the kind that may have a fraction."""
    tree = _parse(literal)
    return tree is not None and isinstance(_number(tree.body), float)
