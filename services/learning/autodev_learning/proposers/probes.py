"""Inputs that no example gives, made from those that examples give, to tell apart programs that pass them all.

Nobody says what a probe should give. But attempts at one task agree more on what is right than on what is wrong, so a
program is the more plausible, the more of them it agrees with.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from autodev_learning.examples import Example
from autodev_learning.trial import CallOutcome

MAX_PROBES = 32


def probes(examples: Sequence[Example], limit: int = MAX_PROBES) -> tuple[str, ...]:
    """Calls like the examples', on emptied and shortened containers, other numbers, and one another's arguments."""
    calls = [tree.body for tree in map(_parse, (example.call for example in examples)) if tree]
    known = {ast.unparse(call) for call in calls}
    kinds: dict[str, list[str]] = {}
    for name, call in _simple_calls(calls):
        variants = kinds.setdefault(name, [])
        for index, argument in enumerate(call.args):
            others = [*_edges(argument), *_others(index, call, name, calls)]
            variants += [_with_argument(call, index, other) for other in others]
    fresh = {name: [call for call in dict.fromkeys(variants) if call not in known] for name, variants in kinds.items()}
    return tuple(_spread(fresh, limit))


def _parse(call: str) -> ast.Expression | None:
    try:
        return ast.parse(call, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _simple_calls(calls: Sequence[ast.expr]) -> Iterator[tuple[str, ast.Call]]:
    for call in calls:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.keywords:
            yield call.func.id, call


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
    elif (
        isinstance(argument, ast.Constant)
        and isinstance(argument.value, int | float)
        and not isinstance(argument.value, bool)
    ):
        for number in (0, argument.value + 1, argument.value - 1):
            yield ast.Constant(value=number)
    elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        for text in ("", argument.value[:1], argument.value[1:]):
            yield ast.Constant(value=text)


def _others(index: int, call: ast.Call, name: str, calls: Sequence[ast.expr]) -> Iterator[ast.expr]:
    """What other examples give in the same place, where the kind is the same."""
    for other_name, other in _simple_calls(calls):
        same_place = other_name == name and len(other.args) == len(call.args)
        if same_place and _kind(other.args[index]) == _kind(call.args[index]):
            yield other.args[index]


def _kind(node: ast.expr) -> object:
    return type(node.value) if isinstance(node, ast.Constant) else type(node)


def _with_argument(call: ast.Call, index: int, argument: ast.expr) -> str:
    arguments = [*call.args[:index], argument, *call.args[index + 1 :]]
    return ast.unparse(ast.Call(func=call.func, args=arguments, keywords=[]))


def _spread(calls: Mapping[str, Sequence[str]], limit: int) -> list[str]:
    """Take as many of each function's calls, evenly over those there are: the first are of one example only."""
    share = max(1, limit // max(1, len(calls)))
    spread: list[str] = []
    for each in calls.values():
        step = max(1, len(each) / share)
        spread += [each[int(place * step)] for place in range(min(share, len(each)))]
    return spread[:limit]


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
