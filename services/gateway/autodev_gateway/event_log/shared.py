"""Appending where many gateways share one log, on PostgreSQL.

A lock makes appends follow each other, and is let go only once the transaction can be seen. So places are committed in
their order: whoever sees an event sees every one before it, and may follow the log by asking for what comes after the
last place it knows. A notice wakes the other gateways.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from autodev_gateway.event_log.appending import Stamp, Stamped, Written, appended_after, known_of

CHANNEL = "autodev_log"
MOST_MISSED = 2000
"""How many events of other gateways an append fetches by itself."""

# Two numbers, as learning's turns are one: their locks are apart.
_LOCK = text("SELECT pg_advisory_xact_lock(0, 1)")
_NOTIFY = text(f"NOTIFY {CHANNEL}")
_HEAD = text("SELECT greatest((SELECT max(seq) FROM events), (SELECT max(through_seq) FROM event_trims), 0)")
_ADD_EVENTS = """
INSERT INTO events (seq, event_id, type, agent_id, skill_id, size_bytes, event, tenant_id)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::integer[], $7::bytea[],
                     $8::text[])
ON CONFLICT (tenant_id, event_id) DO NOTHING
RETURNING seq
"""
_ADD_EPISODES = """
INSERT INTO episodes (tenant_id, id, agent_id, outcome, recorded_seq, task)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bytea[])
ON CONFLICT (tenant_id, id) DO UPDATE
SET agent_id = excluded.agent_id, outcome = excluded.outcome, task = excluded.task
"""


class Shared:
    """Writes batches among other gateways."""

    async def append(self, connection: AsyncConnection, stamp: Stamp, followed: int) -> Written:
        """Store a batch within the caller's transaction, after everything that was appended before."""
        await connection.execute(_LOCK)
        head = (await connection.execute(_HEAD)).scalar_one()
        missed = await appended_after(connection, followed, MOST_MISSED + 1) if head > followed else []
        batch = stamp(head)
        added = await connection.exec_driver_sql(_ADD_EVENTS, _event_columns(batch))
        known = {} if len(added.all()) == len(batch) else await known_of(connection, batch)
        await self._add_episodes(connection, [each for each in batch if _key(each) not in known])
        if len(known) < len(batch):
            await connection.execute(_NOTIFY)
        return Written(batch, known, missed if len(missed) <= MOST_MISSED else None)

    async def _add_episodes(self, connection: AsyncConnection, fresh: Sequence[Stamped]) -> None:
        rows: dict[tuple[str, str], tuple[str, str, str, int, int, bytes]] = {}
        for each in fresh:
            if (report := each.episode) is None:
                continue
            tenant, seq = each.appended.tenant, each.appended.record.seq
            earlier = rows.get((tenant, report.episode_id))
            first = earlier[4] if earlier is not None else seq
            rows[tenant, report.episode_id] = (
                *(tenant, report.episode_id, report.agent_id, report.outcome),
                *(first, report.task),
            )
        if rows:
            await connection.exec_driver_sql(_ADD_EPISODES, _columns(list(rows.values())))


def _key(stamped: Stamped) -> tuple[str, str]:
    return stamped.appended.tenant, stamped.event_id


def _event_columns(batch: Sequence[Stamped]) -> tuple[list[object], ...]:
    rows: list[tuple[object, ...]] = []
    for each in batch:
        record, tenant, kind, agent_id, skill_id = each.appended
        rows.append((record.seq, each.event_id, kind, agent_id, skill_id, *each.stored, tenant))
    return _columns(rows)


def _columns(rows: Sequence[tuple[object, ...]]) -> tuple[list[object], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))
