"""One mesh a data directory: a lock that the system lets go of when its holder dies, however it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autodev_cli.errors import CommandError

FILE = "mesh.lock"


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Hold the directory within the block. Raises CommandError where another mesh has it."""
    # As the services do: episodes and code are nobody else's on the machine.
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise CommandError(
                f"another mesh (process {holder}) uses {data_dir}: stop it, or give another --data-dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
