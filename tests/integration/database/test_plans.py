"""What a list or a resumed subscription reads does not grow with its table: the plans, as the databases state them.

Times would tell the same on a table of a million rows, more slowly, and not on a busy machine.
"""

import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection

from autodev.fitness.v1.fitness_service_pb2 import EvaluateDelayedWebhookRequest, ExternalSignal
from autodev_fitness.rows import OutboxRow as FitnessOutbox
from autodev_fitness.store import FitnessStore
from autodev_gateway.episode_store import EpisodeQuery, EpisodeStore
from autodev_gateway.event_log import ALL_EVENTS, Filter, PageBounds, single
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.groups.store import GroupKey, GroupStore
from autodev_gateway.webhooks.dead_store import DeadWebhooks
from autodev_runtime.database import Database
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from tests.storage import Storage

TENANT = "acme"
ROWS = 3000
PAGE = PageBounds(20, 1024 * 1024)
CALL = EvaluateDelayedWebhookRequest(variant_id="v-1", signals=[ExternalSignal(email_bounce=True)])
SOME_EVENTS = Filter(frozenset({22}))

FILL_EVENTS = """
INSERT INTO events (seq, tenant_id, event_id, type, agent_id, skill_id, size_bytes, event)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
SELECT i, CASE WHEN i % 50 = 0 THEN 'acme' ELSE 'globex' END, 'id-' || i, 22, 'agent', '', 3, {blob} FROM n
"""
FILL_EPISODES = """
INSERT INTO episodes (tenant_id, id, agent_id, outcome, recorded_seq, reported_seq, task)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
SELECT 'acme', 'id-' || i, 'agent-' || (i % 100), i % 3 + 1, i, i, {blob} FROM n
"""
FILL_RECEIPTS = """
INSERT INTO webhook_receipts (tenant_id, source, webhook_id, body_sha256, call, traceparent, state, received_us,
    pending_since_us, due_us, attempts, error)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
SELECT CASE WHEN i % 3 = 0 THEN 'acme' ELSE 'globex' END, 'crm', 'msg_' || i, {blob}, {call}, '',
    CASE WHEN i % 10 = 0 THEN 'dead' ELSE 'delivered' END, i, i, i, 1, '' FROM n
"""
FILL_DEAD_LETTERS = """
INSERT INTO dead_letters (tenant_id, group_name, seq, attempts, error, dead_us, replaying)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
SELECT 'acme', 'group-' || (i % 3), i, 5, 'boom', i, (i % 50) = 0 FROM n
"""
FILL_VARIANTS = """
INSERT INTO workflow_variants (id, tenant_id, request_id, parent_variant_id, agent_id, workflow_definition,
    fitness_function, fitness_score, proxy_score, fitness_signals, evaluation_status, created_at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
SELECT 'v-' || i, 'acme', 'r-' || i, NULL, 'agent-' || (i % 100), '{{}}', 'default', (i % 4) / 4.0, 0.0, '{{}}',
    'evaluated', '2025-01-01 00:00:00' FROM n
"""

Ask = Callable[[Database], Awaitable[object]]


async def _read_on(database: Database) -> object:
    return await EventStore(database).read(TENANT, ROWS // 2, ROWS, ALL_EVENTS, PAGE)


async def _read_on_for_all(database: Database) -> object:
    return await EventStore(database).read(ALL_TENANTS, ROWS // 2, ROWS, SOME_EVENTS, PAGE)


async def _list_all(database: Database) -> object:
    return await EpisodeStore(database).page(TENANT, EpisodeQuery(), ROWS // 2, 20)


async def _list_agents(database: Database) -> object:
    return await EpisodeStore(database).page(TENANT, EpisodeQuery("agent-7"), None, 20)


async def _list_outcomes(database: Database) -> object:
    return await EpisodeStore(database).page(TENANT, EpisodeQuery(outcome=2), None, 20)


async def _forget(database: Database) -> object:
    return await EventStore(database).forget(TENANT, 20)


async def _list_dead_webhooks(database: Database) -> object:
    return await DeadWebhooks(database).page(TENANT, "", (ROWS // 2, "crm", "msg_0"), 20)


async def _list_groups_with_replays(database: Database) -> object:
    return await GroupStore(database).with_replays()


async def _list_replays(database: Database) -> object:
    return await GroupStore(database).replays(GroupKey(TENANT, "group-1"), 20)


async def _fitness(database: Database, ask: str, *given: Any) -> object:
    store = FitnessStore(database, Outbox(database, FitnessOutbox))
    async with store.reading(TENANT) as transaction:
        return await getattr(transaction, ask)(*given)


class Question(NamedTuple):
    """What is asked of whom, and the index (or what SQLite calls it) by which every part of the answer comes."""

    service: str
    ask: Ask
    way: str
    in_threads: Sequence[tuple[str, Any]] = ()
    """What is asked on SQLite past SQLAlchemy, whose queries are seen anyway."""


SEQ = r"events_pkey|INTEGER PRIMARY KEY"
EPISODE = r"episodes_pkey|sqlite_autoindex_episodes_1"
ID = r"workflow_variants_pkey|sqlite_autoindex_workflow_variants_1|ix_workflow_variants_age"
QUESTIONS: dict[str, Question] = {
    "a subscription resumes": Question(
        "gateway", _read_on, "events_by_tenant", [single.page_query(TENANT, ROWS // 2, ROWS, ALL_EVENTS, PAGE)]
    ),
    "a service's subscription resumes": Question(
        "gateway", _read_on_for_all, SEQ, [single.page_query(ALL_TENANTS, ROWS // 2, ROWS, SOME_EVENTS, PAGE)]
    ),
    "episodes": Question("gateway", _list_all, "episodes_by_age"),
    "an agent's episodes": Question("gateway", _list_agents, "episodes_by_agent"),
    "episodes of one outcome": Question("gateway", _list_outcomes, "episodes_by_outcome"),
    "episodes past retention": Question("gateway", _forget, f"episodes_by_report|{EPISODE}"),
    "dead webhooks": Question("gateway", _list_dead_webhooks, "webhook_receipts_dead"),
    "groups with replays": Question("gateway", _list_groups_with_replays, "dead_letters_replaying"),
    "a group's replays": Question("gateway", _list_replays, "dead_letters_replaying"),
    "top variants": Question("fitness", lambda base: _fitness(base, "top", 5), "ix_workflow_variants_best"),
    "variants": Question("fitness", lambda base: _fitness(base, "variants", "", "v-9", 20), "ix_workflow_variants_age"),
    "an agent's variants": Question(
        "fitness", lambda base: _fitness(base, "variants", "agent-7", "", 20), "ix_workflow_variants_agent"
    ),
    "a lineage": Question("fitness", lambda base: _fitness(base, "lineage", "v-7"), ID),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_a_page_reads_its_own_rows_by_an_index_in_their_order(storage: Storage, name: str) -> None:
    question = QUESTIONS[name]
    async with storage.open(question.service) as database:
        await upgrade(database, f"autodev_{question.service}")
        await _fill(storage, database, question.service)
        with _queries(database) as queries:
            await question.ask(database)
        if database.is_sqlite:
            queries += [(statement, tuple(parameters)) for statement, parameters in question.in_threads]
        assert queries
        for statement, parameters in queries:
            plan = await _plan(database, statement, parameters)
            read = re.findall(READ, plan)
            assert read, plan
            assert all(re.search(question.way, each) for each in read), f"{statement}\n{plan}"
            # A lineage is found whole, and then put in order.
            assert name == "a lineage" or not re.search(SORTED, plan), f"{statement}\n{plan}"


# Lines of the two databases' plans.
TABLES = "events|episodes|webhook_receipts|dead_letters|workflow_variants"
READ = rf"(?:SCAN|SEARCH) (?:{TABLES})\b.*|(?:Seq|Index|Index Only|Bitmap Heap) Scan .*\bon (?:{TABLES})\b"
SORTED = r"USE TEMP B-TREE FOR ORDER BY|Sort Key"


async def _fill(storage: Storage, database: Database, service: str) -> None:
    fills = [FILL_EVENTS, FILL_EPISODES, FILL_RECEIPTS, FILL_DEAD_LETTERS] if service == "gateway" else [FILL_VARIANTS]
    blob, call = (_literal(database, each) for each in (b"abc", CALL.SerializeToString()))
    async with database.across_tenants() as session:
        for fill in fills:
            await session.execute(text(fill.format(rows=ROWS, blob=blob, call=call)))
    # As PostgreSQL does by itself, in a while.
    if storage.database is not None:
        storage.database.server.execute("ANALYZE", database=storage.database.name)


def _literal(database: Database, content: bytes) -> str:
    return f"x'{content.hex()}'" if database.is_sqlite else rf"'\x{content.hex()}'::bytea"


@contextlib.contextmanager
def _queries(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The queries of the tenants' tables that are executed within the block."""
    found: list[tuple[str, Any]] = []

    def note(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if re.search(rf"\b(FROM|JOIN) ({TABLES})\b", statement):
            found.append((statement, parameters))

    engines = {database._engine, database._all_tenants_engine}
    for engine in engines:
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        for engine in engines:
            event.remove(engine.sync_engine, "before_cursor_execute", note)


async def _plan(database: Database, statement: str, parameters: Any) -> str:
    async with database.connection(ALL_TENANTS) as connection:
        if database.is_sqlite:
            rows: Any = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(row[3] for row in rows)
        # A small table is read whole, and sorted, in no time; what is asked is whether there is another way.
        for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin"):
            await connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        return "\n".join(row[0] for row in rows)
