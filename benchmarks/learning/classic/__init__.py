"""Classic algorithms, each with a bug in one line, written for this benchmark.

What is in them was chosen by somebody who knew the repair operators; `docs/results.md` says so beside the figures.
"""

from typing import Final

from benchmarks.learning.classic import choices, graphs, numbers, sequences, sorting, texts
from benchmarks.learning.classic.program import Classic

PROGRAMS: Final[tuple[Classic, ...]] = (
    *numbers.PROGRAMS,
    *sorting.PROGRAMS,
    *sequences.PROGRAMS,
    *texts.PROGRAMS,
    *choices.PROGRAMS,
    *graphs.PROGRAMS,
)
