"""PostgreSQL that is away, slow or contended: what a service says meanwhile, and that it goes on by itself."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio
from sqlalchemy import make_url, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev.gateway.v1 import event_service_pb2 as event_pb
from autodev_runtime import claims
from autodev_runtime.database import Database
from autodev_runtime.errors import Unavailable
from autodev_runtime.pools import Pool
from autodev_runtime.postgresql import DatabaseOptions, connect
from autodev_runtime.repeating import Conflict, repeatable
from autodev_runtime.scoped_session import TenantScoped
from tests.clock import Clock
from tests.integration.fitness.parts import create, made
from tests.integration.gateway.parts import failed, publish, started, working
from tests.mesh import eventually
from tests.passage import pass_on
from tests.postgresql import Server
from tests.serving import acting, refusal, serving
from tests.storage import Storage, Storages

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub


class Base(DeclarativeBase):
    """Base of the tests' tables."""


class Counter(TenantScoped, Base):
    __tablename__ = "counters"
    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


@pytest.fixture
def storage(postgresql: Server, tmp_path: Path) -> Iterator[Storage]:
    with Storages(postgresql).new(tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture
async def fitness(storage: Storage) -> "AsyncIterator[FitnessServiceAsyncStub]":
    async with made(storage, Clock()) as parts, serving([parts.served]) as channel:
        yield FitnessServiceStub(acting(channel, "acme"))


@pytest_asyncio.fixture
async def counters(storage: Storage) -> Storage:
    """Two counters of acme's, at 0."""
    async with storage.holding(Base.metadata) as database, database.session("acme") as session:
        session.add_all([Counter(id=1), Counter(id=2)])
    return storage


async def sleep_in(database: Database) -> None:
    async with database.session("acme") as session:
        await session.execute(text("SELECT pg_sleep(60)"))


async def test_a_restart_of_the_server_is_unavailable_meanwhile_and_over_afterwards(
    postgresql: Server, storage: Storage, fitness: "FitnessServiceAsyncStub"
) -> None:
    before = await create(fitness, "before")
    async with storage.open("fitness") as database:
        asleep = asyncio.ensure_future(sleep_in(database))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(postgresql.stop)
        try:
            with pytest.raises(Unavailable, match="may be made again"):
                await asleep
            refused = await refusal(create(fitness, "meanwhile"))
            assert (refused.code, refused.reason) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
            with pytest.raises(Unavailable):
                await database.ready()
        finally:
            await asyncio.to_thread(postgresql.start)
        assert await database.ready()
        # None of the connections from before the restart is used again.
        after = await asyncio.gather(*(create(fitness, f"after-{number}") for number in range(20)))
    listed = await fitness.ListVariants(pb.ListVariantsRequest(page_size=100))
    assert {variant.id for variant in listed.variants} == {before.id, *(variant.id for variant in after)}


async def test_the_event_log_goes_on_after_a_restart(postgresql: Server, storage: Storage) -> None:
    async with started(storage, retention_age_s=3600) as gateway, gateway.client() as client:
        stream = client.events.Subscribe(event_pb.SubscribeRequest(at=event_pb.START_AT_EARLIEST))
        async with working(client) as worker:
            await publish(client, [failed(1)])
            worker.acknowledge(await worker.next())
            await asyncio.to_thread(postgresql.stop)
            try:
                refused = await refusal(publish(client, [failed(2)]))
                assert (refused.code, refused.reason) == ("UNAVAILABLE", "LOG_UNAVAILABLE")
            finally:
                await asyncio.to_thread(postgresql.start)
        (cursor,) = await publish(client, [failed(3)])
        seen: list[str] = []
        async for response in stream:
            seen += [event.task_failed.episode_id for event in response.events]
            if response.head_cursor == cursor:
                break
        assert seen == ["episode-1", "episode-3"]
        async with working(client) as worker:
            assert (await worker.next()).event.task_failed.episode_id in seen


async def test_a_connection_lost_within_a_transaction_undoes_it(postgresql: Server, counters: Storage) -> None:
    async with counters.things() as database:
        with pytest.raises(Unavailable):
            await lose_connection(postgresql, database)
        assert await counts(database) == [0, 0]


async def lose_connection(postgresql: Server, database: Database) -> None:
    async with database.session("acme") as session:
        await session.execute(update(Counter).values(count=1))
        process = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await asyncio.to_thread(postgresql.execute, f"SELECT pg_terminate_backend({process})")
        await session.execute(select(Counter))


async def counts(database: Database) -> list[int]:
    async with database.reading("acme") as session:
        return list(await session.scalars(select(Counter.count).order_by(Counter.id)))


async def test_a_statement_that_takes_too_long_is_ended(counters: Storage) -> None:
    async with counters.things(statement_timeout=timedelta(milliseconds=100)) as database:
        with pytest.raises(Unavailable, match="busy"):
            await sleep_in(database)


async def test_a_lock_that_takes_too_long_is_given_up(counters: Storage) -> None:
    async with (
        counters.things() as holder,
        counters.things(lock_timeout=timedelta(milliseconds=100)) as database,
        holder.session("acme") as session,
    ):
        await session.execute(update(Counter).values(count=1))
        with pytest.raises(Unavailable, match="busy"):
            await add_one(database, 1)


async def test_a_transaction_that_does_nothing_is_ended(counters: Storage) -> None:
    async with counters.things(idle_in_transaction_timeout=timedelta(milliseconds=100)) as database:
        with pytest.raises(Unavailable):
            await idle(database)
        assert await counts(database) == [0, 0]


async def idle(database: Database) -> None:
    async with database.session("acme") as session:
        await session.execute(update(Counter).values(count=1))
        await asyncio.sleep(0.5)


async def test_who_waits_too_long_for_a_connection_is_told(counters: Storage) -> None:
    async with counters.things(pool_size=1, pool_wait=timedelta(milliseconds=100)) as database:
        async with database.session("acme") as session:
            await session.execute(text("SELECT 1"))
            with pytest.raises(Unavailable, match="busy"):
                await add_one(database, 1)
        await add_one(database, 1)


async def add_one(database: Database, *ids: int) -> None:
    """Add to counters, one after the other."""
    async with database.session("acme") as session:
        for number in ids:
            await session.execute(update(Counter).where(Counter.id == number).values(count=Counter.count + 1))
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def full(storage: Storage) -> AsyncIterator[Database]:
    """A database whose every connection is in use."""
    async with storage.things(pool_size=1) as database, database.session("acme") as session:
        await session.execute(text("SELECT 1"))
        async with database.across_tenants() as relay:
            await relay.execute(text("SELECT 1"))
            yield database


async def test_calls_that_use_all_connections_leave_the_database_ready(counters: Storage) -> None:
    async with full(counters) as database, asyncio.timeout(5):
        assert await database.ready()


async def test_a_server_that_takes_no_more_connections_is_ready(postgresql: Server, counters: Storage) -> None:
    roles = ("autodev_fitness", "autodev_fitness_all")
    async with full(counters) as database, asyncio.timeout(5):
        await asyncio.to_thread(postgresql.execute, *(f"ALTER ROLE {role} CONNECTION LIMIT 1" for role in roles))
        try:
            assert await database.ready()
        finally:
            await asyncio.to_thread(postgresql.execute, *(f"ALTER ROLE {role} CONNECTION LIMIT -1" for role in roles))


async def test_a_database_that_is_away_is_not_ready_whatever_uses_its_connections(
    postgresql: Server, counters: Storage
) -> None:
    async with full(counters) as database:
        with postgresql.paused(), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await database.ready()


async def test_transactions_that_deadlock_are_a_conflict_and_one_goes_on(counters: Storage) -> None:
    async with counters.things() as database:
        ended = await asyncio.gather(add_one(database, 1, 2), add_one(database, 2, 1), return_exceptions=True)
        assert [type(each) for each in ended].count(Conflict) == 1
        assert await counts(database) == [1, 1]


async def test_what_is_repeatable_survives_a_deadlock(counters: Storage) -> None:
    add = repeatable(add_one)
    async with counters.things() as database:
        await asyncio.gather(add(database, 1, 2), add(database, 2, 1), add(database, 1, 2))
        assert await counts(database) == [3, 3]


async def test_a_connection_over_the_network_notices_that_the_server_is_gone(
    postgresql: Server, storage: Storage, tmp_path: Path
) -> None:
    async with _over_tcp(postgresql) as port:
        url = make_url(storage.url("fitness")).set(host="127.0.0.1", port=port, query={})
        text_url = url.render_as_string(hide_password=False)
        connection = await connect(text_url, DatabaseOptions(schema="fitness"))
        made = connection._transport.get_extra_info("socket")
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        # The server frees after a minute what a client claimed that is gone: by then this one knows.
        silent_s = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) + 3 * 5
        assert silent_s < 60
        assert 0 < made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) < 60_000
        await connection.close()
        async with Database(text_url, DatabaseOptions(schema="fitness")) as database:
            assert await database.ready()


@contextlib.asynccontextmanager
async def _over_tcp(postgresql: Server) -> AsyncIterator[int]:
    """A port that leads to the server, which itself listens on a socket of the file system only."""

    async def passing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(postgresql.directory / ".s.PGSQL.5432"))
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    server = await asyncio.start_server(passing, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_claim_that_cannot_be_given_back_ends_with_its_connection(
    postgresql: Server, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "ANSWER_S", 0.2)
    lost, other_lost = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(30), storage.open("gateway") as database, storage.open("gateway") as others:
        own, other = claims.Claims(database, lost.set), claims.Claims(others, other_lost.set)
        assert await own.claim("it")
        assert not await other.claim("it")
        with postgresql.paused():
            await own.release("it")
            await lost.wait()
            with pytest.raises(Unavailable):
                await other.claim("it")
            await other_lost.wait()
        while not await other.claim("it"):  # noqa: ASYNC110 -- the server hears of it when it does
            await asyncio.sleep(0.01)
        await own.close()
        await other.close()


async def test_who_loses_its_claims_is_told_and_may_claim_again(postgresql: Server, storage: Storage) -> None:
    lost = asyncio.Event()
    async with storage.open("gateway") as database:
        own = claims.Claims(database, lost.set)
        assert await own.claim("it")
        assert storage.database is not None
        await asyncio.to_thread(postgresql.end_claims, storage.database.name)

        async def told() -> bool:
            return lost.is_set()

        await eventually(told, "who had the claims is told that they are lost", 10)
        assert await own.claim("it")
        await own.close()


async def test_a_database_that_does_not_answer_keeps_nobody_from_leaving(postgresql: Server, storage: Storage) -> None:
    async with asyncio.timeout(30), contextlib.AsyncExitStack() as stack:
        async with storage.open("gateway") as database:
            await asyncio.gather(*(database.ready() for _ in range(4)))
            assert (pool := cast(Pool, database.engine.pool)).checkedin() == 4
            stack.enter_context(postgresql.paused())
        assert pool.checkedin() == 0
