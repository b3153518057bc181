"""The difference of two programs: right, and found in a bounded time."""

import re
from collections.abc import Sequence
from itertools import product
from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.skills import diff
from autodev_learning.skills.diff import MOST_COMPARED_LINES, diff_lines

PROGRAM = st.lists(st.sampled_from("abcd"), max_size=12)
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def patched(before: Sequence[str], lines: Sequence[str]) -> list[str]:
    """What a diff makes of a program, each of its hunks held to the lines that it is about."""
    after: list[str] = []
    at, rest = 0, list(lines[2:])
    while rest:
        hunk = HUNK.fullmatch(rest.pop(0))
        assert hunk is not None
        start, gone, place, come = (int(each or "1") for each in hunk.groups())
        place_before, end = start - (gone > 0), start - (gone > 0) + gone
        after += before[at:place_before]
        assert place - (come > 0) == len(after)
        body = [rest.pop(0) for _ in range(next((n for n, line in enumerate(rest) if line[0] == "@"), len(rest)))]
        assert [line[1:] for line in body if line[0] != "+"] == before[place_before:end]
        after += [line[1:] for line in body if line[0] != "-"]
        assert len(after) == place - (come > 0) + come
        at = end
    return [*after, *before[at:]]


@pytest.mark.parametrize("most", [0, MOST_COMPARED_LINES])
@given(before=PROGRAM, after=PROGRAM)
def test_a_diff_makes_the_one_program_of_the_other(most: int, before: list[str], after: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diff, "MOST_COMPARED_LINES", most)
        lines = list(diff_lines(before, after))
    assert patched(before, lines) == after
    assert bool(lines) is (before != after)


def test_long_programs_are_not_compared_line_by_line() -> None:
    """Every second line is in both, and the others nearly so: of so many, comparing takes half a minute."""
    names = [f"{first}{second}{third}" for first, second, third in product(ascii_letters[:16], repeat=3)]
    before, after = (
        ["begin", *(line for at, name in enumerate(names) for line in (name, f"={(at + shift) % 51}")), "end"]
        for shift in (0, 1)
    )
    lines = list(diff_lines(before, after))
    assert lines[2] == f"@@ -3,{len(before) - 3} +3,{len(after) - 3} @@"
    assert patched(before, lines) == after


def test_of_programs_that_are_no_longer_only_what_differs_is_shown() -> None:
    program = [str(number) for number in range(MOST_COMPARED_LINES)]
    changed = ["first", *program[1:-1], "last"]
    assert len(list(diff_lines(program, changed))) == 2 + 2 * (1 + 2 + 3)
