"""Which paths within a sandbox's /tmp a request may name."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath


def flaws_of(paths: Sequence[str]) -> Iterator[tuple[int, str]]:
    """What is wrong with paths that are to be files side by side: the index, and the flaw in words."""
    seen: set[str] = set()
    for index, path in enumerate(paths):
        if any(part in ("", ".", "..") for part in path.split("/")):
            yield index, "is no plain path within /tmp"
        elif path in seen:
            yield index, "is named twice"
        seen.add(path)
    directories = {str(parent) for path in seen for parent in PurePosixPath(path).parents}
    for index, path in enumerate(paths):
        if path in directories:
            yield index, "is a directory of another file"
