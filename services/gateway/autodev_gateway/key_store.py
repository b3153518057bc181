"""The table `api_keys`: the credentials that the gateway accepts now."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from autodev_gateway.keys import ApiKey
from autodev_gateway.rows import ApiKeyRow
from autodev_runtime.columns import conflicting_insert
from autodev_runtime.database import Database
from autodev_runtime.identity import Identity, Role
from autodev_runtime.repeating import repeatable


class KeyStore:
    """Keys by their hashes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def replace(self, keys: Sequence[ApiKey]) -> None:
        """Accept these keys and no others: one that the settings no longer name is revoked."""
        rows = [
            {
                "sha256": key.sha256,
                "prefix": key.prefix,
                "tenant_id": key.identity.tenant,
                "subject": key.identity.subject,
                "roles": ",".join(sorted(key.identity.roles)),
            }
            for key in keys
        ]
        add = conflicting_insert(self._database.engine.dialect.name)(ApiKeyRow.__table__)
        latest = {name: add.excluded[name] for name in ("prefix", "tenant_id", "subject", "roles")}
        # Another gateway may start with the same keys at the same time.
        add = add.on_conflict_do_update(index_elements=["sha256"], set_=latest)
        async with self._database.across_tenants() as session:
            await session.execute(delete(ApiKeyRow).where(ApiKeyRow.sha256.not_in([key.sha256 for key in keys])))
            connection = await session.connection()
            await connection.execute(add, sorted(rows, key=lambda row: row["sha256"]))

    @repeatable
    async def all(self) -> list[ApiKey]:
        """Every key."""
        async with self._database.across_tenants() as session:
            rows = list(await session.scalars(select(ApiKeyRow)))
        return [ApiKey(row.sha256, row.prefix, Identity(row.tenant_id, row.subject, _roles(row.roles))) for row in rows]


def _roles(text: str) -> frozenset[Role]:
    return frozenset(Role(role) for role in text.split(",") if role)
