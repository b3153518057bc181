"""No statement of a tenant's session reaches another tenant."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Executable, delete, exists, func, insert, literal, select, union_all, update
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

from autodev_runtime.columns import conflicting_insert, insert_if_absent
from autodev_runtime.database import Database
from autodev_runtime.scoped_session import TenantRequired, TenantScoped
from tests.storage import Storage


class Base(DeclarativeBase):
    """Base of the tests' tables."""


class Book(TenantScoped, Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    pages: Mapped[int] = mapped_column(default=0)
    shelf_id: Mapped[int] = mapped_column(default=0)


class Shelf(TenantScoped, Base):
    __tablename__ = "shelves"
    id: Mapped[int] = mapped_column(primary_key=True)
    pages: Mapped[int] = mapped_column(default=0)


class Country(Base):
    __tablename__ = "countries"
    name: Mapped[str] = mapped_column(primary_key=True)


@pytest_asyncio.fixture
async def database(storage: Storage) -> AsyncIterator[Database]:
    """Book 1 on shelf 1, of 100 pages, is acme's; book 2 on shelf 2, of 200 pages, is globex's."""
    async with storage.holding(Base.metadata) as opened:
        for number, tenant in ((1, "acme"), (2, "globex")):
            async with opened.session(tenant) as session:
                session.add(Book(id=number, pages=100 * number, shelf_id=number))
                session.add(Shelf(id=number, pages=100 * number))
        yield opened


async def rows_of(database: Database, tenant: str, model: Any = Book) -> list[tuple[int, int]]:
    async with database.reading(tenant) as session:
        return [(row.id, row.pages) for row in await session.scalars(select(model))]


OTHER = aliased(Book)
LINE = select(Book.id).cte("line", recursive=True)
LINE = LINE.union_all(select(Book.id).join(LINE, Book.shelf_id == LINE.c.id + 1))

# What acme asks, and what it may see: never anything of book 2, shelf 2 or their 200 pages.
QUERIES: dict[str, tuple[Executable, list[Any]]] = {
    "a class": (select(Book.id), [1]),
    "stating another tenant": (select(Book.id).where(Book.tenant_id == "globex"), []),
    "any tenant": (select(Book.id).where((Book.tenant_id == "globex") | literal(True)), [1]),
    "an alias": (select(OTHER.id), [1]),
    "a count": (select(func.count()).select_from(Book), [1]),
    "an aggregate": (select(func.coalesce(func.max(Book.pages), 0)), [100]),
    "a filter with its class": (select(func.count().filter(Book.pages > 0)).select_from(Book), [1]),
    "a literal": (select(literal("seen")).where(Book.pages == 200), []),
    "EXISTS": (select(Shelf.id).where(exists().where(Book.pages == 200)), []),
    "EXISTS at the top": (select(exists().where(Book.pages == 200)), [False]),
    "IN": (select(Shelf.id).where(literal(2).in_(select(Book.id))), []),
    "a scalar subquery": (select(select(func.sum(Book.pages)).scalar_subquery()), [100]),
    "a subquery": (select(select(Book.id).subquery().c.id), [1]),
    "a count of a subquery": (select(func.count()).select_from(select(Book.id).subquery()), [1]),
    "a recursive query": (select(LINE.c.id), [1]),
    "UNION": (union_all(select(Book.id), select(Shelf.id)), [1, 1]),
    "a join": (select(Book.id).join(Shelf, literal(True)), [1]),
    "a column of its class's table": (select(Book.id).where(Book.__table__.c.pages == 200), []),
    "an outer join": (select(Shelf.id).select_from(Book).outerjoin(Shelf, Shelf.id == 2), [None]),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_sees_its_tenant_alone(database: Database, name: str) -> None:
    query, expected = QUERIES[name]
    async with database.reading("acme") as session:
        assert list((await session.execute(query)).scalars()) == expected


CHANGES: dict[str, Executable] = {
    "UPDATE": update(Book).values(pages=1),
    "UPDATE of another's row": update(Book).where(Book.id == 2).values(pages=1),
    "UPDATE by a subquery": update(Book).where(Book.id.in_(select(Shelf.id))).values(pages=1),
    "UPDATE RETURNING": update(Book).values(pages=Book.pages + 1).returning(Book.id),
    "DELETE": delete(Book),
    "DELETE by a subquery": delete(Book).where(Book.id.in_(select(Shelf.id))),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_changes_its_tenant_alone(database: Database, name: str) -> None:
    async with database.session("acme") as session:
        await session.execute(CHANGES[name])
    assert await rows_of(database, "globex") == [(2, 200)]


REFUSED: dict[str, Executable] = {
    "a FILTER without its class": select(func.count().filter(Book.pages > 0)),
    "one in a subquery": select(Shelf.id, select(func.count().filter(Book.pages > 0)).scalar_subquery()),
    "a window": select(func.row_number().over(order_by=Book.pages)),
    "a table": select(Book.__table__),
    "a table's column": select(Book.__table__.c.pages),
    "a table's alias": select(Book.__table__.alias().c.pages),
    "a class and a table": select(Shelf.id, Book.__table__.c.pages),
    "a count of a table": select(func.count()).select_from(Book.__table__),
    "a class and a count of a table": select(Shelf.id, func.count()).select_from(Shelf, Book.__table__),
    "UPDATE of a table": update(Book.__table__).values(pages=1),  # type: ignore[arg-type]
    "UPDATE with a second table": update(Shelf).where(Shelf.id == Book.shelf_id).values(pages=1),
    "DELETE of a table": delete(Book.__table__),  # type: ignore[arg-type]
    "DELETE with a second table": delete(Shelf).where(Shelf.id == Book.shelf_id),
    "INSERT into a table": insert(Book.__table__).values(pages=1),  # type: ignore[arg-type]
    "INSERT from SELECT": insert(Shelf).from_select(["pages"], select(Book.pages)),
    "INSERT of many": insert(Book).values([{"pages": 1}, {"pages": 2}]),
    "INSERT for another tenant": insert(Book).values(pages=1, tenant_id="globex"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_form_that_cannot_be_narrowed_is_refused_before_any_sql(database: Database, name: str) -> None:
    async with database.session("acme") as session:
        with pytest.raises(TenantRequired):
            await session.execute(REFUSED[name])
    assert await rows_of(database, "globex") == [(2, 200)]
    assert await rows_of(database, "globex", Shelf) == [(2, 200)]


async def test_tables_of_no_tenant_are_free_to_use(database: Database) -> None:
    async with database.session("acme") as session:
        await session.execute(insert(Country).values([{"name": "Iceland"}, {"name": "Peru"}]))
        assert list(await session.scalars(select(Country.__table__.c.name))) == ["Iceland", "Peru"]
        assert await session.scalar(select(func.count()).select_from(Country)) == 2


async def test_another_tenants_row_is_not_got_by_its_key(database: Database) -> None:
    async with database.reading("acme") as session:
        assert await session.get(Book, 2) is None
        assert await session.get(Book, 1) is not None


async def test_a_new_row_belongs_to_the_sessions_tenant(database: Database) -> None:
    dialect = database.engine.dialect.name
    async with database.session("acme") as session:
        session.add(Book(id=10))
        await session.execute(insert(Book).values(id=11))
        await session.execute(insert(Book), [{"id": 12}, {"id": 13, "tenant_id": "acme"}])
        await session.execute(conflicting_insert(dialect)(Book).values(id=14).on_conflict_do_nothing())
    assert [number for number, _ in await rows_of(database, "acme")] == [1, 10, 11, 12, 13, 14]
    assert await rows_of(database, "globex") == [(2, 200)]


async def test_a_row_of_another_tenant_is_not_added(database: Database) -> None:
    with pytest.raises(TenantRequired):
        async with database.session("acme") as session:
            session.add(Book(id=10, tenant_id="globex"))
    async with database.session("acme") as session:
        with pytest.raises(TenantRequired):
            await session.execute(insert(Book), [{"id": 12}, {"id": 13, "tenant_id": "globex"}])
    assert await rows_of(database, "globex") == [(2, 200)]


async def test_an_insert_that_meets_another_tenants_key_takes_nothing_over(database: Database) -> None:
    async with database.session("acme") as session:
        assert not await insert_if_absent(session, Book, id=2, pages=7)
        assert await insert_if_absent(session, Book, id=3, pages=7)
        assert not await insert_if_absent(session, Book, id=3, pages=8)
    assert await rows_of(database, "globex") == [(2, 200)]
    assert await rows_of(database, "acme") == [(1, 100), (3, 7)]


@pytest.mark.parametrize("tenant", ["", "*"])
async def test_a_session_needs_one_tenant(database: Database, tenant: str) -> None:
    for opening in (database.session(tenant), database.reading(tenant)):
        with pytest.raises(TenantRequired):
            async with opening:
                pytest.fail("the session opened")
    with pytest.raises(TenantRequired):
        await database.script(tenant, lambda: pytest.fail("the script began"))


async def test_a_job_for_all_tenants_says_so(database: Database) -> None:
    async with database.across_tenants() as session:
        assert list(await session.scalars(select(Book.tenant_id).order_by(Book.id))) == ["acme", "globex"]
        with pytest.raises(TenantRequired):
            await insert_if_absent(session, Book, id=9)
