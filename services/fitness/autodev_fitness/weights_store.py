"""Queries of the weights' numbers, and of the scores that were computed with others."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, select, tuple_

from autodev_fitness.rows import SignalRow, VariantRow, WeightsRow
from autodev_fitness.weights import UNRECORDED, Weights
from autodev_runtime.columns import conflicting_insert
from autodev_runtime.database import Database
from autodev_runtime.repeating import Conflict, repeatable


class WeightsStore:
    """Serves all tenants: weights are the service's settings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def number(self, weights: Weights, since: datetime) -> int:
        """The newest number, which is that of these weights: given to them now where the newest ones are others."""
        async with self._database.across_tenants() as session:
            newest = await session.scalar(select(WeightsRow).order_by(WeightsRow.version.desc()).limit(1))
            if newest is not None and newest.digest == weights.digest:
                return newest.version
            version = (newest.version if newest is not None else UNRECORDED) + 1
            insert = conflicting_insert(session.get_bind().dialect.name)(WeightsRow).on_conflict_do_nothing()
            values = {"version": version, "digest": weights.digest, "weights": weights.as_json(), "since": since}
            result = await session.execute(insert.returning(WeightsRow.version), values)
            if result.scalar() is None:
                raise Conflict("another replica numbers its weights", reason="REQUEST_IN_PROGRESS")
            return version

    async def newest(self) -> tuple[int, str]:
        """The newest number, and the digest of its weights."""
        async with self._database.across_tenants() as session:
            query = select(WeightsRow.version, WeightsRow.digest).order_by(WeightsRow.version.desc()).limit(1)
            found = (await session.execute(query)).one_or_none()
            return (found.version, found.digest) if found is not None else (UNRECORDED, "")

    async def outdated(self, version: int, limit: int, away: Collection[str] = ()) -> list[tuple[str, str]]:
        """The tenants and ids of variants whose score is of earlier weights, at most `limit`, least recent first.

        Without those whose fitness function is one of those that are `away`.
        """
        async with self._database.across_tenants() as session:
            query = (
                select(VariantRow.tenant_id, VariantRow.id)
                .where(VariantRow.weights_version < version)
                .order_by(VariantRow.weights_version, VariantRow.tenant_id, VariantRow.id)
                .limit(limit)
            )
            if away:
                query = query.where(VariantRow.fitness_function.not_in(away))
            return [(row.tenant_id, row.id) for row in await session.execute(query)]

    async def signals_of(self, variants: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """How many signals each of the variants (tenant, id) has, where it has any."""
        async with self._database.across_tenants() as session:
            query = (
                select(SignalRow.tenant_id, SignalRow.variant_id, func.count())
                .where(tuple_(SignalRow.tenant_id, SignalRow.variant_id).in_(variants))
                .group_by(SignalRow.tenant_id, SignalRow.variant_id)
            )
            return {(tenant, variant): count for tenant, variant, count in await session.execute(query)}
