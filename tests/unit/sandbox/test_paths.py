import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_sandbox.paths import flaws_of

PARTS = st.sampled_from(["a", "b", "c.txt", "..", ".", "", "..."])


@pytest.mark.parametrize(
    ("paths", "at_fault"),
    [
        ([], []),
        (["a", "b/c", "b/d", "ab"], []),
        (["/a"], [0]),
        (["a/"], [0]),
        (["", "a//b", ".", "a/..", "../a", "a/./b"], [0, 1, 2, 3, 4, 5]),
        (["a", "b", "a"], [2]),
        (["a/b", "a"], [1]),
        (["a", "a/b/c", "a/b"], [0, 2]),
        (["...", "..a"], []),
    ],
)
def test_files_are_plain_paths_that_can_be_side_by_side(paths: list[str], at_fault: list[int]) -> None:
    assert sorted({index for index, _ in flaws_of(paths)}) == at_fault


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), max_size=6))
def test_paths_without_a_flaw_can_all_be_made(paths: list[str]) -> None:
    if list(flaws_of(paths)):
        return
    files: set[tuple[str, ...]] = set()
    directories: set[tuple[str, ...]] = set()
    for path in paths:
        parts = tuple(path.split("/"))
        assert not {"", ".", ".."} & set(parts)
        directories |= {parts[:end] for end in range(1, len(parts))}
        assert parts not in files
        files.add(parts)
    assert not files & directories
