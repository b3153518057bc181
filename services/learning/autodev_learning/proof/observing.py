"""What a call does, and not only what it gives: its value, the arguments after it, the type of what it raises."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from autodev_learning.examples import matches
from autodev_learning.trial import CallOutcome

_NAME = "_observed_"
OBSERVER = f"""
def {_NAME}(function, /, *arguments, **named):
    from itertools import islice
    try:
        value = function(*arguments, **named)
        if hasattr(type(value), "__next__"):
            value = ("iterator", list(islice(value, 1000)))
    except Exception as error:
        return "raised", type(error).__name__, arguments, named
    return "returned", value, arguments, named
"""
"""Stands before the program. A program that puts another function in its place gains nothing: it is never told what the
reference does."""

_NO_BEHAVIOUR = ("timeout", "Exited:", "Sandbox:", "Forged:", "OverflowError:")
_EXHAUSTED = ("('raised', 'RecursionError'", "('raised', 'MemoryError'")
_RAISED = "('raised', "


def observed(call: str) -> str:
    """The call as one that tells what it does. The call parses."""
    expression = ast.parse(call.strip(), mode="eval").body
    name = ast.Name(id=_NAME, ctx=ast.Load())
    if isinstance(expression, ast.Call):
        arguments: list[ast.expr] = [expression.func, *expression.args]
        return ast.unparse(ast.Call(func=name, args=arguments, keywords=expression.keywords))
    return f"{_NAME}(lambda: {ast.unparse(expression)})"


@dataclass(frozen=True, slots=True)
class Doing:
    """What a call did, every time; `text` is empty where it did something else each time, or nothing in time."""

    text: str
    timed_out: bool = False

    @property
    def is_settled(self) -> bool:
        return bool(self.text)

    @property
    def raised(self) -> bool:
        return self.text.startswith(_RAISED)

    @property
    def shown(self) -> str:
        """As it is kept and shown."""
        if self.timed_out:
            return "does not end in time"
        return self.text or "something else every time"

    @property
    def is_reference(self) -> bool:
        """Whether another program can be held to it: what ran out of memory or stack was not meant."""
        return self.is_settled and not self.text.startswith(_EXHAUSTED)

    def same_as(self, other: "Doing") -> bool:
        return self.is_settled and (self.text == other.text or matches(self.text, other.text))


def doing_of(outcomes: Sequence[CallOutcome]) -> Doing:
    """What the same call did in several executions. One that did not end does not count where another did."""
    ended = [each for each in outcomes if each.value is not None or each.error != "timeout"]
    if not ended:
        return Doing("", timed_out=True)
    texts = [_text(each) for each in ended]
    first = Doing(texts[0])
    return first if all(first.same_as(Doing(text)) for text in texts[1:]) else Doing("")


def _text(outcome: CallOutcome) -> str:
    if outcome.value is not None:
        return outcome.value
    error = outcome.error or ""
    return "" if error.startswith(_NO_BEHAVIOUR) else f"{_RAISED}{error.partition(':')[0]!r})"
