"""The table `issued_keys`.

Every change takes the next revision, of all tenants', and holds it locked until it is committed. So who has seen a
revision has seen all before it, and a gateway follows the keys by asking for what came after the last it knows.
"""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_gateway.identity.issued_key import IssuedKey
from autodev_gateway.rows import IssuedKeyRow, KeyRevisionRow
from autodev_runtime.columns import conflicting_insert
from autodev_runtime.database import Database
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import ALL_TENANTS, Role
from autodev_runtime.repeating import repeatable

IDS_AT_ONCE = 1000
"""How many a statement names: PostgreSQL takes 32,767 parameters."""

_KEYS = IssuedKeyRow.__table__
_REVISION = KeyRevisionRow.__table__


@dataclass(frozen=True, slots=True)
class Changes:
    """The keys that changed, up to a revision."""

    revision: int
    keys: Sequence[IssuedKey]


class KeyChange:
    """One transaction on a tenant's keys. No other changes any key meanwhile."""

    def __init__(self, session: AsyncSession, revision: int) -> None:
        self._session = session
        self._revision = revision

    async def made_by(self, request: str) -> IssuedKey | None:
        """The key that a request has made."""
        row = await self._session.scalar(select(IssuedKeyRow).where(IssuedKeyRow.request_id == request))
        return _key(row) if row is not None else None

    async def get(self, key_id: str) -> IssuedKey:
        """A key. Raises NotFound."""
        row = await self._session.scalar(select(IssuedKeyRow).where(IssuedKeyRow.id == key_id))
        if row is None:
            raise NotFound("key", key_id)
        return _key(row)

    async def replaced_by(self, key_id: str) -> IssuedKey:
        """The key whose place this one took. Raises NotFound."""
        row = await self._session.scalar(select(IssuedKeyRow).where(IssuedKeyRow.replaced_by == key_id))
        if row is None:
            raise NotFound("key", key_id)
        return _key(row)

    async def living(self, now_us: int) -> int:
        """How many of the tenant's keys open something."""
        alive = _alive(now_us)
        return await self._session.scalar(select(func.count(IssuedKeyRow.id)).where(*alive)) or 0

    def add(self, key: IssuedKey, request: str) -> None:
        """Store a new key."""
        self._session.add(
            IssuedKeyRow(
                id=key.id,
                sha256=key.sha256,
                prefix=key.prefix,
                subject=key.subject,
                roles=",".join(sorted(key.roles)),
                read_only=key.read_only,
                description=key.description,
                request_id=request,
                created_us=key.created_us,
                created_by=key.created_by,
                expires_us=key.expires_us,
                revoked_us=key.revoked_us,
                last_used_us=key.last_used_us,
                replaced_by=key.replaced_by,
                revision=self._revision,
            )
        )

    async def put(self, key: IssuedKey) -> None:
        """Store how a key ends."""
        ending = {"expires_us": key.expires_us, "revoked_us": key.revoked_us, "replaced_by": key.replaced_by}
        await self._session.execute(
            update(IssuedKeyRow).where(IssuedKeyRow.id == key.id).values(**ending, revision=self._revision)
        )


class KeyStore:
    """Keys that operators made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.asynccontextmanager
    async def changing(self, tenant: str) -> AsyncIterator[KeyChange]:
        """A transaction on a tenant's keys, committed at the block's end."""
        insert = conflicting_insert(self._database.engine.dialect.name)
        first = insert(_REVISION).values(id=1, revision=1)
        counted = first.on_conflict_do_update(
            index_elements=["id"], set_={"revision": _REVISION.c.revision + 1}
        ).returning(_REVISION.c.revision)
        async with self._database.session(tenant) as session:
            revision = (await session.execute(counted)).scalar_one()
            yield KeyChange(session, revision)

    async def page(self, tenant: str, before: tuple[int, str] | None, limit: int) -> list[IssuedKey]:
        """The newest keys before one, newest first."""
        statement = select(IssuedKeyRow).order_by(IssuedKeyRow.created_us.desc(), IssuedKeyRow.id.desc()).limit(limit)
        if before is not None:
            created_us, key_id = before
            earlier = IssuedKeyRow.created_us < created_us
            same = (IssuedKeyRow.created_us == created_us) & (IssuedKeyRow.id < key_id)
            statement = statement.where(or_(earlier, same))
        async with self._database.reading(tenant) as session:
            return [_key(row) for row in await session.scalars(statement)]

    async def living(self, now_us: int) -> Changes:
        """Every tenant's keys that open something."""
        return await self._changes(_alive(now_us))

    async def changes(self, after: int) -> Changes:
        """Every tenant's keys that changed after a revision."""
        return await self._changes([IssuedKeyRow.revision > after], after)

    async def _changes(self, conditions: Sequence[Any], known: int = -1) -> Changes:
        async with self._database.connection(ALL_TENANTS) as connection:
            revision = (await connection.execute(select(_REVISION.c.revision))).scalar() or 0
            if revision == known:
                return Changes(revision, ())
            rows = await connection.execute(select(_KEYS).where(*conditions))
            return Changes(revision, [_key(row) for row in rows])

    @repeatable
    async def used(self, key_ids: Collection[str], now_us: int) -> None:
        """Note that the keys were used, of any tenant."""
        ids = sorted(key_ids)
        async with self._database.across_tenants() as session:
            for start in range(0, len(ids), IDS_AT_ONCE):
                part = ids[start : start + IDS_AT_ONCE]
                await session.execute(update(IssuedKeyRow).where(IssuedKeyRow.id.in_(part)).values(last_used_us=now_us))


def _alive(now_us: int) -> list[Any]:
    return [
        IssuedKeyRow.revoked_us.is_(None),
        or_(IssuedKeyRow.expires_us.is_(None), IssuedKeyRow.expires_us > now_us),
    ]


def _key(row: Any) -> IssuedKey:
    return IssuedKey(
        id=row.id,
        tenant=row.tenant_id,
        sha256=row.sha256,
        prefix=row.prefix,
        subject=row.subject,
        roles=frozenset(Role(role) for role in row.roles.split(",") if role),
        read_only=row.read_only,
        description=row.description,
        created_us=row.created_us,
        created_by=row.created_by,
        expires_us=row.expires_us,
        revoked_us=row.revoked_us,
        last_used_us=row.last_used_us,
        replaced_by=row.replaced_by,
    )
