"""A classic program, the one line of it that is wrong, and its tests."""

from dataclasses import dataclass

from autodev_learning.examples import Example
from benchmarks.proposer_search import Task


@dataclass(frozen=True)
class Classic:
    """`code` is right; with `wrong` in the place of `right`, both within one line, it is not.

    Each test is a call and the literal that it gives. `preamble` is what the task gives beside the program.
    """

    name: str
    does: str
    code: str
    right: str
    wrong: str
    tests: tuple[tuple[str, str], ...]
    preamble: str = ""

    @property
    def broken(self) -> str:
        """The program with its bug."""
        return self.code.replace(self.right, self.wrong)

    @property
    def task(self) -> Task:
        """What a proposer is asked: the broken program is the only attempt, nobody succeeded."""
        examples = tuple(Example(call, expected) for call, expected in self.tests)
        return Task(self.name, self.does, self.preamble, examples, (self.broken,), ())
