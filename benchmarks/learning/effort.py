"""How much is measured, and on what."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Effort:
    """What the command line asked for; `sample` is 0 for every failing program."""

    quick: bool = False
    seed: int = 0
    tasks: Path | None = None
    attempts: Path | None = None
    sample: int = 0
