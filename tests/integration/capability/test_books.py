"""Reserving as a script: what one batch may hold, and what its statements read."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from autodev_capability.gates import ALPHA_EVOLVER, MEMENTO_SKILLS, WorkspaceSettings
from autodev_capability.maturity import Maturity
from autodev_capability.quota import Reservation, ReservationState
from autodev_capability.store import books, counters, settling
from autodev_runtime.errors import ResourceExhausted
from autodev_runtime.scripts import SQLITE
from tests.clock import Clock
from tests.integration.capability.parts import Parts, replica
from tests.mesh import eventually
from tests.postgresql import SUPERUSER
from tests.storage import POSTGRESQL, Storage

HOLD = timedelta(minutes=10)


async def allow(parts: Parts, tenant: str = "acme", agent: str = "ada") -> None:
    await parts.workspaces.change_settings(tenant, WorkspaceSettings(enabled=True), "olga")
    await parts.standing.set_level(tenant, agent, "", Maturity.AUTONOMOUS, "olga", "")


async def test_a_batch_may_be_of_many_tenants_agents_and_capabilities(parts: Parts) -> None:
    await allow(parts)
    await allow(parts, "globex", "bob")
    await allow(parts, "acme", "o'neil \"\\ é")
    asked = [
        (tenant, agent, capability)
        for tenant, agent in (("acme", "ada"), ("globex", "bob"), ("acme", "o'neil \"\\ é"))
        for capability in (MEMENTO_SKILLS, ALPHA_EVOLVER)
        for _ in range(7)
    ]
    outcomes = await asyncio.gather(
        *(
            parts.reservations.reserve(tenant, f"r{number}", agent, capability)
            for number, (tenant, agent, capability) in enumerate(asked)
        ),
        return_exceptions=True,
    )
    granted: dict[tuple[str, str, str], int] = {}
    for key, outcome in zip(asked, outcomes, strict=True):
        assert isinstance(outcome, Reservation | ResourceExhausted)
        granted[key] = granted.get(key, 0) + isinstance(outcome, Reservation)
    # Candidates are limited for each agent, mutations for the tenant, whose first agent came first.
    assert list(granted.values()) == [5, 7, 5, 7, 5, 3]
    for (tenant, agent, capability), uses in granted.items():
        shared = 3 if tenant == "acme" and uses == 7 else 7 if uses == 3 else 0
        assert (await parts.checks.check(tenant, agent, capability)).used == uses + shared


async def test_one_that_lapsed_gives_its_use_back_where_it_took_it(parts: Parts, clock: Clock) -> None:
    await allow(parts)
    await allow(parts, agent="bob")
    clock.moment = clock.moment.replace(hour=23, minute=55)
    first = await parts.reservations.reserve("acme", "r", "ada", MEMENTO_SKILLS, HOLD)
    clock.advance(minutes=10)
    again = await parts.reservations.reserve("acme", "r", "bob", ALPHA_EVOLVER, HOLD)
    assert again.id == first.id
    rows = "SELECT capability, holder, day, granted FROM quota_counters ORDER BY day"
    async with parts.database.reading("acme") as session:
        found = (await (await session.connection()).exec_driver_sql(rows)).all()
    assert [tuple(row) for row in found] == [
        (MEMENTO_SKILLS, "ada", "2025-11-24", 0),
        (ALPHA_EVOLVER, "", "2025-11-25", 1),
    ]


async def test_replicas_that_serve_the_same_requests_make_each_once(storage: Storage, clock: Clock) -> None:
    async with replica(storage, clock) as one, replica(storage, clock) as other:
        await allow(one)
        found = await asyncio.gather(
            *(
                each.reservations.reserve("acme", f"r{number}", "ada", ALPHA_EVOLVER)
                for number in range(10)
                for each in (one, other)
            )
        )
        assert {(each.request_id, each.id) for each in found} == {(each.request_id, each.id) for each in found[::2]}
        assert sorted({each.used for each in found}) == list(range(1, 11))


@pytest.mark.parametrize("storages", [POSTGRESQL], indirect=True)
@pytest.mark.parametrize("lapsed", [False, True])
async def test_replicas_that_count_at_the_same_moment_grant_the_limit(
    storage: Storage, clock: Clock, lapsed: bool
) -> None:
    async with replica(storage, clock) as one, replica(storage, clock) as other:
        await allow(one)
        for number in range(10):
            held = await one.reservations.reserve("acme", f"h{number}", "ada", ALPHA_EVOLVER, HOLD)
            if not lapsed:
                await one.reservations.release("acme", held.id)
        clock.advance(minutes=11)
        async with counter_held(storage):
            asked = asyncio.gather(
                *(
                    each.reservations.reserve("acme", f"r{index}-{number}", "ada", ALPHA_EVOLVER)
                    for index, each in enumerate((one, other))
                    for number in range(10)
                ),
                return_exceptions=True,
            )
            await eventually(lambda: both_wait(storage), "both wait for the counter")
        granted = [each for each in await asked if isinstance(each, Reservation)]
        assert len(granted) == 10
        assert (await one.checks.check("acme", "ada", ALPHA_EVOLVER)).used == 10


@contextlib.asynccontextmanager
async def counter_held(storage: Storage) -> AsyncIterator[None]:
    """Somebody else counts uses."""
    assert storage.database is not None
    connection = await storage.database.connect(SUPERUSER)
    async with connection.transaction():
        await connection.execute("SELECT FROM capability.quota_counters FOR UPDATE")
        yield
    await connection.close()


async def both_wait(storage: Storage) -> bool:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return len(await storage.rows("capability", waiting)) == 2


async def test_what_is_settled_together_is_settled_in_order(parts: Parts) -> None:
    await allow(parts)
    await allow(parts, "globex", "bob")
    reserve, commit, release = parts.reservations.reserve, parts.reservations.commit, parts.reservations.release
    first, second, third = [await reserve("acme", f"r{number}", "ada", MEMENTO_SKILLS) for number in range(3)]
    theirs = await reserve("globex", "r", "bob", MEMENTO_SKILLS)
    # The first is served at once; what comes while it is, together.
    outcomes = await asyncio.gather(
        commit("acme", first.id),
        *(release("acme", first.id), release("acme", second.id), commit("acme", second.id), release("acme", second.id)),
        *(commit("acme", third.id), commit("acme", third.id), commit("acme", theirs.id), release("globex", theirs.id)),
        return_exceptions=True,
    )
    assert [each.state if isinstance(each, Reservation) else getattr(each, "reason", "") for each in outcomes] == [
        *("committed", "RESERVATION_COMMITTED", "released", "RESERVATION_RELEASED", "released"),
        *("committed", "committed", "NOT_FOUND", "released"),
    ]
    assert (await parts.checks.check("acme", "ada", MEMENTO_SKILLS)).used == 2
    assert (await parts.checks.check("globex", "bob", MEMENTO_SKILLS)).used == 0


async def test_replicas_that_settle_the_same_agree(storage: Storage, clock: Clock) -> None:
    async with replica(storage, clock) as one, replica(storage, clock) as other:
        await allow(one)
        held = [await one.reservations.reserve("acme", f"r{number}", "ada", ALPHA_EVOLVER) for number in range(8)]
        outcomes = await asyncio.gather(
            *(
                settle("acme", each.id)
                for each in held
                for settle in (one.reservations.commit, other.reservations.release)
            ),
            return_exceptions=True,
        )
        states = [each.state if isinstance(each, Reservation) else None for each in outcomes]
        for committed, released in zip(states[::2], states[1::2], strict=True):
            assert (committed is None) is not (released is None), "one was first, and the other is told so"
        assert (await one.checks.check("acme", "ada", ALPHA_EVOLVER)).used == states.count(ReservationState.COMMITTED)


SOME = '[["r-7"], ["r-8"]]'
COUNTED = "acme", ALPHA_EVOLVER, "2025-11-24", '[["holder-7"], ["holder-8"]]'
ASKED = {
    books.GATES: ("acme", SOME),
    books.AGENTS: ("acme", SOME),
    books.EARLIER: ("acme", SOME),
    counters.LAPSE: (*COUNTED, "2025-11-24 12:00:00"),
    counters.COUNTS: COUNTED,
    settling.LOCK: ("acme", SOME),
    settling.SETTLE: ("acme", SOME, "committed"),
}
FILL = f"""
SET search_path TO capability;
INSERT INTO reservations (tenant_id, id, request_id, agent_id, capability, holder, day, state, expires_at, used, quota)
SELECT 'acme', 'id-' || i, 'r-' || i, 'ada', '{ALPHA_EVOLVER}', 'holder-' || i % 50, '2025-11-24', 'reserved',
    now(), 1, 9
FROM generate_series(1, 5000) AS i;
INSERT INTO quota_counters (tenant_id, capability, holder, day, granted, announced)
SELECT 'acme', '{ALPHA_EVOLVER}', 'holder-' || i, '2025-11-24', 100, FALSE FROM generate_series(1, 5000) AS i;
INSERT INTO agents (tenant_id, agent_id, level, credit, refutations, verified_successes, self_reported_successes)
SELECT 'acme', 'agent-' || i, 1, 0, 0, 0, 0 FROM generate_series(1, 5000) AS i;
ANALYZE
"""
ALL_OF_A_TENANT = r"Seq Scan on (reservations|quota_counters|agents)|Index Cond: \(\(tenant_id\)::text = \$1\)"


@pytest.mark.parametrize("statement", ASKED)
async def test_what_a_reservation_reads_does_not_grow_with_its_tables(
    parts: Parts, storage: Storage, statement: str
) -> None:
    given = ASKED[statement]
    if storage.database is not None:
        storage.database.server.execute(FILL, database=storage.database.name)
        values = ", ".join(f"'{value}'" for value in given)
        async with parts.database.reading("acme") as session:
            connection = await session.connection()
            # As it is planned once a connection has done it a few times: for whatever is given.
            await connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
            await connection.exec_driver_sql(f"PREPARE asked AS {parts.database.dialect.spelled(statement)}")
            plan = "\n".join(row[0] for row in await connection.exec_driver_sql(f"EXPLAIN EXECUTE asked({values})"))
        assert not re.search(ALL_OF_A_TENANT, plan), plan
        return
    async with parts.database.reading("acme") as session:
        spelled = "EXPLAIN QUERY PLAN " + SQLITE.spelled(statement)
        found: Any = await (await session.connection()).exec_driver_sql(spelled, given)
        plan = "\n".join(row[3] for row in found)
    # The rows of the parameter are read one after the other; a tenant's rows by more than the tenant.
    assert not re.search(r"SCAN (?!each)|\(tenant_id=\?\)", plan), plan
