"""Appending where many gateways share one log, on PostgreSQL.

A lock makes appends follow each other, and is let go only once the transaction can be seen. So places are committed in
their order: whoever sees an event sees every one before it, and may follow the log by asking for what comes after the
last place it knows. A notice wakes the other gateways.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from autodev_gateway import wire
from autodev_gateway.event_log.appending import Stamp, Stamped, Written
from autodev_gateway.event_log.model import Appended, Record

CHANNEL = "autodev_log"
MOST_MISSED = 2000
"""How many events of other gateways an append fetches by itself."""

# Two numbers, as learning's turns are one: their locks are apart. Several statements in one message to the server, so
# that a batch, whose cost is in the hops, has few.
_BEGIN = "BEGIN; SELECT pg_advisory_xact_lock(0, 1)"
_HEAD = "SELECT greatest((SELECT max(seq) FROM events), (SELECT max(through_seq) FROM event_trims), 0)"
_MISSED = "SELECT seq, event, tenant_id, type, agent_id, skill_id FROM events WHERE seq > $1 ORDER BY seq LIMIT $2"
_ADD_EVENTS = """
WITH added AS (
    INSERT INTO events (seq, event_id, type, agent_id, skill_id, size_bytes, event, tenant_id)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::integer[], $7::bytea[],
                         $8::text[])
    ON CONFLICT (tenant_id, event_id) DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM added
"""
_KNOWN = """
SELECT tenant_id, event_id, seq FROM events
WHERE (tenant_id, event_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
_ADD_EPISODES = """
INSERT INTO episodes (tenant_id, id, agent_id, outcome, recorded_seq, reported_seq, task)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::bytea[])
ON CONFLICT (tenant_id, id) DO UPDATE
SET agent_id = excluded.agent_id, outcome = excluded.outcome, reported_seq = excluded.reported_seq, task = excluded.task
"""


class Shared:
    """Writes batches among other gateways."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        """What this gateway's notices say, so that it need not look for what it has appended itself."""

    async def append(self, driver: Any, stamp: Stamp, followed: int) -> Written:
        """Store a batch in one transaction, after everything that was appended before."""
        await driver.execute(_BEGIN)
        head = await driver.fetchval(_HEAD)
        missed = await self._missed(driver, followed) if head > followed else []
        batch = stamp(head)
        added = await driver.fetchval(_ADD_EVENTS, *_event_columns(batch))
        known = {} if added == len(batch) else await self._known(driver, batch)
        await self._add_episodes(driver, [each for each in batch if _key(each) not in known])
        await driver.execute("COMMIT" if len(known) == len(batch) else f"NOTIFY {CHANNEL}, '{self.name}'; COMMIT")
        return Written(batch, known, missed if len(missed) <= MOST_MISSED else None)

    async def _missed(self, driver: Any, followed: int) -> list[Appended]:
        rows = await driver.fetch(_MISSED, followed, MOST_MISSED + 1)
        return [
            Appended(Record(seq, wire.sized(event)), tenant, kind, agent_id, skill_id)
            for seq, event, tenant, kind, agent_id, skill_id in rows
        ]

    async def _known(self, driver: Any, batch: Sequence[Stamped]) -> dict[tuple[str, str], int]:
        """Of the batch's events, those whose id was there before, with their places."""
        seqs = {_key(each): each.appended.record.seq for each in batch}
        rows = await driver.fetch(_KNOWN, *_columns(list(seqs)))
        return {(tenant, event_id): seq for tenant, event_id, seq in rows if seq != seqs[tenant, event_id]}

    async def _add_episodes(self, driver: Any, fresh: Sequence[Stamped]) -> None:
        rows: dict[tuple[str, str], tuple[str, str, str, int, int, int, bytes]] = {}
        for each in fresh:
            if (report := each.episode) is None:
                continue
            tenant, seq = each.appended.tenant, each.appended.record.seq
            earlier = rows.get((tenant, report.episode_id))
            first = earlier[4] if earlier is not None else seq
            rows[tenant, report.episode_id] = (
                *(tenant, report.episode_id, report.agent_id, report.outcome),
                *(first, seq, report.task),
            )
        if rows:
            await driver.execute(_ADD_EPISODES, *_columns(list(rows.values())))


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
