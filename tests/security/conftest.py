"""One service a level for the whole battery, and the machine around it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.host import Host
from tests.security.program import LEVELS
from tests.security.service import eventually, serving


@pytest.fixture(scope="session")
def cache() -> Iterator[Path]:
    """Where the services keep their roots. Not pytest's own folder: sandboxes run as users who may not enter that."""
    folder = Path(tempfile.mkdtemp(prefix="autodev-battery-cache-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session", params=LEVELS, ids=lambda level: level.name.lower())
def host(request: pytest.FixtureRequest, cache: Path) -> Iterator[Host]:
    """A service of the level, and the machine around it. When it has stopped, nothing of it may be left."""
    with serving(request.param, cache) as service:
        watched = Host(service)
        yield watched
        service.stop()
        eventually(service.ended, lambda: f"all processes have ended: {watched.after_the_end()}\n{service.log()}")
        eventually(lambda: not watched.after_the_end(), lambda: f"nothing is left: {watched.after_the_end()}")
        watched.close()
