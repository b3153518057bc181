"""Transactions, and a database that is away."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from autodev_runtime import sqlite
from autodev_runtime.columns import Moment
from autodev_runtime.database import Database, done_within
from autodev_runtime.errors import Unavailable
from autodev_runtime.repeating import Conflict
from autodev_runtime.scoped_session import TenantScoped
from autodev_runtime.scripts import Script, Statement
from tests.storage import Storage


class Base(DeclarativeBase):
    """Base of the tests' tables."""


class Visit(TenantScoped, Base):
    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime | None] = mapped_column(Moment, default=None)


@pytest_asyncio.fixture
async def database(storage: Storage) -> AsyncIterator[Database]:
    async with storage.holding(Base.metadata) as opened:
        async with opened.session("acme") as session:
            session.add(Visit(id=1))
        yield opened


async def count_up(database: Database) -> None:
    async with database.session("acme") as session:
        visit = (await session.scalars(select(Visit).with_for_update())).one()
        seen = visit.count
        await asyncio.sleep(0)
        visit.count = seen + 1


async def test_nobody_else_on_the_machine_reads_a_file_or_what_is_beside_it(tmp_path: Path) -> None:
    files = [tmp_path / f"test.sqlite3{suffix}" for suffix in ("", "-wal", "-shm")]
    umask = os.umask(0o022)
    try:
        for _ in range(2):
            async with Database(f"sqlite+aiosqlite:///{files[0]}") as database:
                await database.run(lambda connection: None)
                await database.read_on_sqlite(lambda connection: None)
                assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
                # As an earlier release left them, when it was killed.
                for each in files:
                    each.chmod(0o644)
    finally:
        os.umask(umask)


async def test_writers_that_read_first_lose_no_update(database: Database, storage: Storage) -> None:
    async with storage.things() as other_process:
        await asyncio.gather(*(count_up(each) for each in [database, other_process] * 20))
    async with database.reading("acme") as session:
        assert list(await session.scalars(select(Visit.count))) == [40]


async def test_a_reader_waits_for_no_writer(database: Database) -> None:
    async with database.session("acme") as session:
        session.add(Visit(id=2))
        await session.flush()
        async with asyncio.timeout(5), database.reading("acme") as reader:
            assert list(await reader.scalars(select(Visit.id))) == [1]


async def fail_after_writing(database: Database, error: Exception) -> None:
    async with database.session("acme") as session:
        session.add(Visit(id=2))
        await session.flush()
        raise error


async def test_an_exception_undoes_the_transaction_and_flies_on(database: Database) -> None:
    with pytest.raises(ValueError, match="stop"):
        await fail_after_writing(database, ValueError("stop"))
    async with database.reading("acme") as session:
        assert list(await session.scalars(select(Visit.id))) == [1]


async def add_again(database: Database) -> None:
    async with database.session("acme") as session:
        session.add(Visit(id=1))


async def test_a_statements_own_fault_is_no_fault_of_the_database(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await add_again(database)


async def read(database: Database) -> None:
    async with database.reading("acme") as session:
        await session.scalars(select(Visit))


@pytest.mark.parametrize("content", [None, b"this is no database at all, but a text of some length" * 40])
async def test_a_database_that_is_away_or_broken_is_unavailable(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "directory"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    async with Database(f"sqlite+aiosqlite:///{path}") as broken:
        with pytest.raises(Unavailable):
            await read(broken)


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    def configure(path: Path) -> None:
        connection = sqlite3.connect(path)
        sqlite.configure(connection, None)
        connection.close()

    with ThreadPoolExecutor(5) as threads:
        for number in range(100):
            list(threads.map(configure, [tmp_path / f"{number}.sqlite3"] * 5))


def adding(number: int) -> Script[int]:
    added = yield Statement(
        "INSERT INTO visits (tenant_id, id, count) VALUES ($1, $2, 0) RETURNING id", ("acme", number)
    )
    seen = yield Statement("SELECT count(*) FROM visits WHERE tenant_id = $1", ("acme",))
    assert [number for (number,) in added] == [number]
    return int(seen[0][0])


async def add_by_script(database: Database, number: int, then: Exception | None = None) -> int:
    async with database.session("acme") as session:
        seen = await done_within(session, adding(number))
        if then is not None:
            raise then
        return seen


async def test_a_script_within_a_session_is_part_of_its_transaction(database: Database) -> None:
    with pytest.raises(ValueError, match="stop"):
        await add_by_script(database, 2, ValueError("stop"))
    assert await add_by_script(database, 3) == 2
    async with database.reading("acme") as session:
        assert list(await session.scalars(select(Visit.id).order_by(Visit.id))) == [1, 3]


async def test_within_a_session_too_a_scripts_own_fault_is_no_fault_of_the_database(database: Database) -> None:
    with pytest.raises((sqlite3.IntegrityError, asyncpg.UniqueViolationError)):
        await add_by_script(database, 1)
    assert await add_by_script(database, 2) == 2


async def meet_another(database: Database) -> None:
    on_postgresql = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$"

    def script() -> Script[None]:
        # SQLite's transactions never meet; that a table is not there is what it says of a file that is not ours.
        yield Statement("SELECT 1 FROM nowhere" if database.is_sqlite else on_postgresql, ())

    async with database.session("acme") as session:
        await done_within(session, script())


async def test_what_a_database_does_to_a_script_within_a_session_is_told_as_of_any_other(database: Database) -> None:
    with pytest.raises(Unavailable if database.is_sqlite else Conflict):
        await meet_another(database)
    assert await add_by_script(database, 2) == 2


async def end_amid(database: Database, error: Exception) -> None:
    async with database.driver() as driver:
        await driver.execute("BEGIN")
        raise error


@pytest.mark.parametrize("storages", ["postgresql"], indirect=True)
@pytest.mark.parametrize("error", [asyncpg.InternalClientError("cannot switch to state 15"), OSError("gone")])
async def test_whatever_the_driver_calls_a_server_that_goes_away_it_is_unavailable(
    database: Database, error: Exception
) -> None:
    with pytest.raises(Unavailable):
        await end_amid(database, error)


async def test_a_time_comes_back_as_the_same_moment_in_utc(database: Database) -> None:
    tokyo = datetime(2025, 11, 24, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=9)))
    async with database.session("acme") as session:
        session.add(Visit(id=2, at=tokyo))
    async with database.reading("acme") as session:
        found = (await session.scalars(select(Visit.at).where(Visit.id == 2))).one()
    assert found == tokyo
    assert found is not None
    assert found.tzinfo is UTC


async def add_at(database: Database, at: datetime) -> None:
    async with database.session("acme") as session:
        session.add(Visit(id=2, at=at))


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="without a zone"):
        await add_at(database, datetime(2025, 11, 24))
