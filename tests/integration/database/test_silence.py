"""PostgreSQL that is there and says nothing: a call ends within a statement's bound, nothing is lost or doubled."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev.gateway.v1 import event_service_pb2 as event_pb
from autodev.gateway.v1.episode_service_pb2 import ListEpisodesRequest
from autodev.gateway.v1.episode_service_pb2_grpc import EpisodeServiceStub
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_capability.checks import NO_CUSTOM_GATES
from autodev_capability.gates import MEMENTO_SKILLS
from autodev_runtime.database import Database, done_within
from autodev_runtime.errors import Unavailable
from autodev_runtime.identity import Role
from autodev_runtime.postgresql import ROLLBACK_S
from autodev_runtime.scripts import Script, Statement
from tests.clock import Clock
from tests.integration.capability.parts import replica, settings_on
from tests.integration.gateway.parts import ACME, failed, read, started
from tests.postgresql import Server
from tests.serving import acting, refusal, serving
from tests.storage import Storage, Storages

STATEMENT_S, MARGIN_S = 2.0, 1.0
BOUND_S = STATEMENT_S + MARGIN_S
SLACK_S = 2.0
"""What a busy machine adds, and less than if anything waited for the bound once more."""
BOUNDS = {"statement_timeout": timedelta(seconds=STATEMENT_S), "answer_margin": timedelta(seconds=MARGIN_S)}


@pytest.fixture
def storage(postgresql: Server, tmp_path: Path) -> Iterator[Storage]:
    with Storages(postgresql).new(tmp_path) as opened:
        yield opened


@contextlib.contextmanager
def within_the_bound() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert BOUND_S <= time.monotonic() - began < BOUND_S + SLACK_S


Silence = contextlib.AbstractContextManager[None]
Ask = Callable[[Database, Silence], Awaitable[int]]
ANSWERING = contextlib.nullcontext()


async def one(database: Database, silence: Silence) -> int:
    """Ask within a transaction that has begun."""
    async with database.session(ACME) as session:
        await session.execute(text("SELECT 1"))
        with silence:
            return int((await session.execute(text("SELECT 1"))).scalar_one())


async def one_by_the_driver(database: Database, silence: Silence) -> int:
    async with database.driver() as driver:
        await driver.execute("BEGIN")
        with silence:
            found = await driver.fetchval("SELECT 1")
        await driver.execute("COMMIT")
        return int(found)


async def one_by_the_driver_within(database: Database, silence: Silence) -> int:
    def script() -> Script[int]:
        rows = yield Statement("SELECT 1", ())
        return int(rows[0][0])

    async with database.session(ACME) as session:
        await session.execute(text("SELECT 1"))
        with silence:
            return await done_within(session, script())


@contextlib.contextmanager
def lasting(postgresql: Server, stack: contextlib.ExitStack) -> Iterator[None]:
    """The server says nothing from the block on until the stack is closed."""
    stack.enter_context(postgresql.paused())
    yield


@pytest.mark.parametrize("ask", [one, one_by_the_driver, one_by_the_driver_within])
async def test_a_connection_that_did_not_answer_in_time_is_used_no_more(
    ask: Ask, postgresql: Server, storage: Storage
) -> None:
    async with asyncio.timeout(30), storage.open("gateway", **BOUNDS) as database:
        assert await ask(database, ANSWERING) == 1
        with contextlib.ExitStack() as stack, within_the_bound(), pytest.raises(Unavailable) as told:
            await ask(database, lasting(postgresql, stack))
        assert told.value.reason == "DATABASE_UNAVAILABLE"
        assert await asyncio.gather(*(ask(database, ANSWERING) for _ in range(10))) == [1] * 10


@pytest.mark.parametrize("ask", [one, one_by_the_driver, one_by_the_driver_within])
async def test_a_call_that_is_given_up_waits_for_no_rollback(ask: Ask, postgresql: Server, storage: Storage) -> None:
    async with asyncio.timeout(60), storage.open("gateway") as database:
        assert await ask(database, ANSWERING) == 1
        with contextlib.ExitStack() as stack:
            asked = asyncio.ensure_future(ask(database, lasting(postgresql, stack)))
            await asyncio.sleep(0.5)
            began = time.monotonic()
            asked.cancel()
            await asyncio.wait([asked])
            assert time.monotonic() - began < ROLLBACK_S + SLACK_S
        assert await ask(database, ANSWERING) == 1


async def test_who_listens_for_long_is_not_taken_for_silent(postgresql: Server, storage: Storage) -> None:
    heard = asyncio.Event()
    async with (
        asyncio.timeout(30),
        storage.open("gateway", **BOUNDS) as database,
        database.notices("a_channel", heard.set),
    ):
        await heard.wait()
        heard.clear()
        connected = await listeners(database)
        await asyncio.sleep(2 * BOUND_S)
        assert await listeners(database) == connected != []
        assert not heard.is_set()


async def listeners(database: Database) -> list[int]:
    """The server's processes whose client last said LISTEN."""
    async with database.session(ACME) as session:
        asked = "SELECT pid FROM pg_stat_activity WHERE query ILIKE 'LISTEN %' AND datname = current_database()"
        return list(await session.scalars(text(asked)))


async def test_the_gateway_says_so_and_appends_once_what_is_published_again(
    postgresql: Server, storage: Storage
) -> None:
    bounds = {"database_statement_timeout_s": STATEMENT_S, "database_answer_margin_s": MARGIN_S}
    async with asyncio.timeout(60), started(storage, **bounds) as running, running.service() as channel:
        # Without the retries of a client of ours, each of which would have the bound to itself.
        events = EventServiceStub(acting(channel, ACME))
        episodes = EpisodeServiceStub(acting(channel, ACME))
        first, second = (event_pb.PublishRequest(events=[failed(number)]) for number in (1, 2))
        await events.Publish(first)
        await episodes.ListEpisodes(ListEpisodesRequest())
        with postgresql.paused(), within_the_bound():
            refused = await asyncio.gather(
                refusal(events.Publish(second)), refusal(episodes.ListEpisodes(ListEpisodesRequest()))
            )
        assert [(each.code, each.reason) for each in refused] == [
            ("UNAVAILABLE", "LOG_UNAVAILABLE"),
            ("UNAVAILABLE", "DATABASE_UNAVAILABLE"),
        ]
        for request in (second, second, first):
            await events.Publish(request)
        async with running.client() as client:
            found = await read(client, 2, at=event_pb.START_AT_EARLIEST)
        assert [each.id for each in found] == [first.events[0].id, second.events[0].id]


@pytest.mark.parametrize("moment", ["BEGIN", "COMMIT"])
async def test_a_use_is_taken_once_whenever_the_database_fell_silent(
    moment: str, postgresql: Server, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the server does in the end what nobody waits for any more."""
    execute = asyncpg.Connection.execute
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(60))
        parts = await stack.enter_async_context(replica(storage, Clock(), NO_CUSTOM_GATES, **BOUNDS))
        channel = await stack.enter_async_context(serving([parts.served]))
        stub = CapabilityServiceStub(acting(channel, ACME, Role.OPERATOR))
        await stub.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on(candidates=2)))
        await stub.SetMaturity(pb.SetMaturityRequest(agent_id="ada", maturity=pb.MATURITY_LEVEL_AUTONOMOUS))
        silence = stack.enter_context(contextlib.ExitStack())

        async def execute_in_silence(driver: Any, query: str, *given: Any, **stated: Any) -> str:
            if query.startswith(moment):
                monkeypatch.setattr(asyncpg.Connection, "execute", execute)
                silence.enter_context(postgresql.paused())
            return str(await execute(driver, query, *given, **stated))

        async def reserve(request_id: str) -> pb.ReserveUsageResponse:
            request = pb.ReserveUsageRequest(request_id=request_id, agent_id="ada", capability=MEMENTO_SKILLS)
            return await stub.ReserveUsage(request)

        monkeypatch.setattr(asyncpg.Connection, "execute", execute_in_silence)
        with within_the_bound():
            refused = await refusal(reserve("first"))
        assert (refused.code, refused.reason) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
        silence.close()
        taken = [(await reserve(name)).reservation.id for name in ("first", "first", "second")]
        assert taken[0] == taken[1] != taken[2]
        assert (await refusal(reserve("third"))).code == "RESOURCE_EXHAUSTED"
