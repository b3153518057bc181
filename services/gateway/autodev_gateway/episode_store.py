"""Episodes: the attempts that were reported. They are written with their events; see event_log/store.py."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from autodev_gateway.rows import EpisodeRow
from autodev_runtime.database import Database
from autodev_runtime.errors import NotFound


@dataclass(frozen=True, slots=True)
class Episode:
    """One attempt. `task` is its latest report, a serialised TaskEvent."""

    id: str
    task: bytes
    recorded_us: int
    """When it was first recorded, in microseconds since 1970. No two episodes have the same."""


@dataclass(frozen=True, slots=True)
class EpisodeQuery:
    """Which episodes to list. Empty: all."""

    agent_id: str = ""
    outcome: int = 0


class EpisodeStore:
    """Reads the table `episodes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: str, episode_id: str) -> Episode:
        """One episode. Raises NotFound."""
        async with self._database.reading(tenant) as session:
            row = await session.scalar(select(EpisodeRow).where(EpisodeRow.id == episode_id))
        if row is None:
            raise NotFound("episode", episode_id)
        return _episode(row)

    async def page(self, tenant: str, query: EpisodeQuery, before_us: int | None, limit: int) -> Sequence[Episode]:
        """The newest episodes recorded before a time, newest first."""
        statement = select(EpisodeRow).order_by(EpisodeRow.recorded_seq.desc()).limit(limit)
        if query.agent_id:
            statement = statement.where(EpisodeRow.agent_id == query.agent_id)
        if query.outcome:
            statement = statement.where(EpisodeRow.outcome == query.outcome)
        if before_us is not None:
            statement = statement.where(EpisodeRow.recorded_seq < before_us)
        async with self._database.reading(tenant) as session:
            return [_episode(row) for row in await session.scalars(statement)]


def _episode(row: EpisodeRow) -> Episode:
    return Episode(row.id, row.task, row.recorded_seq)
