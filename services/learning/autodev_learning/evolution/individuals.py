"""What evolves: programs, who made them of which, and what their evaluation found."""

from dataclasses import dataclass
from enum import StrEnum

ORIGINAL = 0
"""The number of the program that an experiment starts from."""


class Stage(StrEnum):
    """The last stage of the cascade that a program came to; only one that is `DONE` is wholly evaluated."""

    NONE = "none"
    """The operator had no idea."""
    PARSES = "parses"
    """It is no Python."""
    KNOWN = "known"
    """It is a program that was there before: nothing was run."""
    QUICK = "quick"
    """It failed the first, cheap examples, or gave no score."""
    ALL = "all"
    """It is right on some examples, and not on all."""
    TIMING = "timing"
    """It is right, and no faster than the original."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Offer:
    """A program that an operator made, in its words how, and what it used."""

    code: str
    note: str = ""
    tokens: int = 0
    cost_usd: float = 0.0
    prompt_hash: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What running a program found.

    `fitness` orders programs, higher is better. `quality` is the share of examples that it is right on, or the score.
    `latency_s` and `memory_bytes` are 0 where they were not measured. `feedback` says what went wrong.
    """

    stage: Stage
    fitness: float = 0.0
    quality: float = 0.0
    latency_s: float = 0.0
    memory_bytes: int = 0
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Individual:
    """A program of an experiment. Numbers count from 0, the original; `digest` is its syntax tree's.

    `size` counts the nodes of the tree, `novelty` in [0, 1] is its distance from the original's.
    """

    number: int
    step: int
    island: int
    parent: int
    operator: str
    offer: Offer
    evaluation: Evaluation
    digest: str = ""
    size: int = 0
    novelty: float = 0.0

    @property
    def code(self) -> str:
        return self.offer.code

    @property
    def fitness(self) -> float:
        return self.evaluation.fitness

    @property
    def alive(self) -> bool:
        """Whether it can be in an archive: it ran, and has a fitness."""
        return self.evaluation.stage in (Stage.ALL, Stage.TIMING, Stage.DONE)
