"""What services' tables share: times that keep their zone, and rows that are inserted at most once."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, CursorResult, DateTime, Integer
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeDecorator

from autodev_runtime.scoped_session import TenantRequired, TenantScoped

# SQLite takes only a column of type INTEGER as its own row number, which saves an index; its integers are large anyway.
LargeInteger = BigInteger().with_variant(Integer, "sqlite")


class Moment(TypeDecorator[datetime]):
    """A time in UTC: stored as UTC, and aware on the way out also where the database forgets the zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn to UTC; a time without a zone is a mistake."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value!r}")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def conflicting_insert(dialect: str) -> Any:
    """The database's own INSERT, which can say what to do where a key is taken."""
    # Imported when asked for: a mesh on SQLite should not start PostgreSQL's dialect in every process.
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert

        return insert
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert


async def insert_if_absent(session: AsyncSession, model: type[TenantScoped], **values: Any) -> bool:
    """Insert a row for the session's tenant unless a unique key is taken. Returns whether it was inserted.

    One statement, so the database decides between concurrent callers.
    """
    if session.info.get("tenant") is None:
        raise TenantRequired(f"a row of {model.__name__} needs a session with a tenant")
    insert = conflicting_insert(session.get_bind().dialect.name)
    statement = insert(model).values(**values).on_conflict_do_nothing()
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
