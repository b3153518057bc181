"""Who owns what a service leaves behind: a lock that it holds as long as it lives, however it ends."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from uuid import uuid4

SUFFIX = ".lease"
NAME = re.compile(r"[0-9]+-[0-9a-f]{12}")


class Lease:
    """Held until it is released, or until this process ends, however that ends."""

    def __init__(self, folder: Path, name: str, file: IO[str]) -> None:
        self.folder = folder
        self.name = name
        self.file = file

    def release(self) -> None:
        """Let go, when nothing is left that bears its name."""
        (self.folder / (self.name + SUFFIX)).unlink(missing_ok=True)
        self.abandon()

    def abandon(self) -> None:
        """Let go, and leave the rest to whoever comes next, as by dying."""
        self.file.close()


def take(folder: Path) -> Lease:
    """A lease with a name that nobody else has."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{os.getpid()}-{uuid4().hex[:12]}"
    young = folder / f"{name}.young"
    file = young.open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    # It gets its name when it is locked: whoever sees a lease that is not locked may take its holder for dead.
    young.rename(folder / (name + SUFFIX))
    return Lease(folder, name, file)


def known(folder: Path, name: str) -> bool:
    """Whether this folder has, or may have had until now, the lease."""
    return bool(NAME.fullmatch(name)) and (folder / (name + SUFFIX)).exists()


@contextlib.contextmanager
def inherited(folder: Path) -> Iterator[list[str]]:
    """The names of those that died without a release, for their heir to clean up after them and then forget."""
    with contextlib.ExitStack() as held:
        dead = []
        for path in folder.glob("*" + SUFFIX):
            with contextlib.suppress(OSError):
                # Held by its owner, or by another heir; or that heir has forgotten it.
                file = held.enter_context(path.open("r+"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                dead.append(path)
        yield [path.stem for path in dead]
        for path in dead:
            path.unlink(missing_ok=True)
