"""The learning service's tables, and what keeps failures in them."""

from collections.abc import AsyncIterator

import pytest

from autodev_learning.rows import OutboxRow
from autodev_learning.store.episodes import EpisodeStore
from autodev_runtime.database import Database
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from tests.storage import Storage


@pytest.fixture
async def database(storage: Storage) -> AsyncIterator[Database]:
    async with storage.open("learning") as opened:
        await upgrade(opened, "autodev_learning")
        yield opened


@pytest.fixture
def store(database: Database) -> EpisodeStore:
    return EpisodeStore(database, Outbox(database, OutboxRow))
