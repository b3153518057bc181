"""The difference of two programs, in a time that is bounded whatever they are."""

import difflib
from collections.abc import Iterator, Sequence

MOST_COMPARED_LINES = 2_000
"""Of either program. Comparing takes up to the cube of them: a second here, hours for all that code may hold."""


def diff_lines(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """The lines of a unified diff; none where there is no difference.

    Where a program is long, all from the first line that differs to the last one is given as replaced.
    """
    if max(len(before), len(after)) > MOST_COMPARED_LINES:
        return _replaced(before, after)
    return difflib.unified_diff(before, after, "before", "after", lineterm="")


def _replaced(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    shorter = min(len(before), len(after))
    start = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    end = next((at for at in range(shorter - start) if before[-1 - at] != after[-1 - at]), shorter - start)
    gone, come = before[start : len(before) - end], after[start : len(after) - end]
    if gone or come:
        yield from ("--- before", "+++ after", f"@@ -{_span(start, len(gone))} +{_span(start, len(come))} @@")
        yield from (f"-{line}" for line in gone)
        yield from (f"+{line}" for line in come)


def _span(start: int, count: int) -> str:
    # Of no lines, the one that they would stand behind is named.
    return f"{start + (count > 0)},{count}"
