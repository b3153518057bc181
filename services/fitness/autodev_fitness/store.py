"""Queries of the fitness service. Each is narrowed to the session's tenant by the session itself."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TypeVarTuple

from sqlalchemy import Select, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from autodev_fitness.events import event_of
from autodev_fitness.explanation import Heard
from autodev_fitness.rows import ComparisonRow, Json, SignalRow, VariantRow, WeightsRow
from autodev_fitness.scoring import ExternalSignal, ProxySignals, SignalKind
from autodev_fitness.variants import Cause, Compared, Notice, Origin, Variant
from autodev_fitness.weights import NumberedWeights, weights_from
from autodev_runtime.columns import insert_if_absent
from autodev_runtime.database import Database
from autodev_runtime.errors import NotFound
from autodev_runtime.outbox import Outbox
from autodev_runtime.request_ids import RequestId

LINEAGE_DEPTH = 1000
MOST_SIGNALS = 20_000
"""Of the variants of one answer together."""

Chosen = TypeVarTuple("Chosen")


@dataclass(frozen=True, slots=True)
class Listed:
    """Variants in an order, and whether there are more."""

    variants: Sequence[Variant]
    more: bool


class FitnessStore:
    """Opens transactions, each for one tenant."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator["Transaction"]:
        """A transaction that only reads."""
        async with self._database.reading(tenant) as session:
            yield Transaction(session, self._outbox)

    @contextlib.asynccontextmanager
    async def writing(self, tenant: str) -> AsyncIterator["Transaction"]:
        """A transaction that may write: committed at the block's end, undone by an exception."""
        async with self._database.session(tenant) as session:
            yield Transaction(session, self._outbox)


class Transaction:
    """What can be asked and changed, all or none of it."""

    def __init__(self, session: AsyncSession, outbox: Outbox) -> None:
        self._session = session
        self._outbox = outbox

    def announce(self, notice: Notice, cause: Cause) -> None:
        """Publish an event once this is committed."""
        self._outbox.add(self._session, event_of(notice, cause))

    async def variant(self, variant_id: str) -> Variant:
        """The variant. Raises NotFound."""
        return await self._one(variant_id, select(VariantRow).where(VariantRow.id == variant_id))

    async def variant_to_change(self, variant_id: str) -> Variant:
        """The variant, which no other transaction changes until this one ends. Raises NotFound."""
        return await self._one(variant_id, select(VariantRow).where(VariantRow.id == variant_id).with_for_update())

    async def variant_of(self, request_id: RequestId) -> Variant | None:
        """The variant that a request made."""
        found = await self._variants(_made_by(select(VariantRow), VariantRow.request_id, request_id))
        return found[0] if found else None

    async def variants(self, agent_id: str, before: str, limit: int, request_id: RequestId | None = None) -> Listed:
        """Variants, newest first (ids sort by age), older than `before`; each condition unless it is empty."""
        query = select(VariantRow).order_by(VariantRow.id.desc()).limit(limit + 1)
        if agent_id:
            query = query.where(VariantRow.agent_id == agent_id)
        if request_id is not None:
            found = _made_by(select(VariantRow.id), VariantRow.request_id, request_id)
            query = query.where(VariantRow.id.in_(found))
        if before:
            query = query.where(VariantRow.id < before)
        rows = await self._rows(query)
        variants = await self._with_signals(rows[:limit])
        return Listed(variants, more=len(rows) > len(variants))

    async def top(self, limit: int) -> list[Variant]:
        """The fittest variants whose score is above 0, best first; ties by age, oldest first; at most MOST_SIGNALS."""
        best = VariantRow.fitness_score.desc(), VariantRow.created_at, VariantRow.id
        return await self._variants(select(VariantRow).where(VariantRow.fitness_score > 0).order_by(*best).limit(limit))

    async def lineage(self, variant_id: str) -> list[Variant]:
        """The variant and its ancestors, the root last, at most 1,000 or MOST_SIGNALS. Raises NotFound."""
        await self.variant(variant_id)
        start = select(VariantRow.id, VariantRow.parent_variant_id, literal(0).label("depth"))
        line = start.where(VariantRow.id == variant_id).cte("line", recursive=True)
        parents = (
            select(VariantRow.id, VariantRow.parent_variant_id, line.c.depth + 1)
            .join(line, VariantRow.id == line.c.parent_variant_id)
            .where(line.c.depth + 1 < LINEAGE_DEPTH)
        )
        line = line.union_all(parents)
        # Looked up by a list and put in order here: for a join SQLite reads all of the tenant's variants.
        found = await self._rows(select(VariantRow).where(VariantRow.id.in_(select(line.c.id))))
        by_id = {row.id: row for row in found}
        ancestors: list[VariantRow] = []
        while variant_id in by_id:
            ancestors.append(by_id.pop(variant_id))
            variant_id = ancestors[-1].parent_variant_id or ""
        return await self._with_signals(ancestors)

    async def add_variant(self, variant: Variant, request_id: str) -> bool:
        """Add a pending variant. Returns False when the request made one already."""
        return await insert_if_absent(
            self._session,
            VariantRow,
            id=variant.id,
            request_id=request_id,
            parent_variant_id=variant.parent_variant_id or None,
            agent_id=variant.agent_id,
            workflow_definition=dict(variant.workflow_definition),
            fitness_function=variant.fitness_function,
            origin=asdict(variant.origin) if variant.origin is not None else None,
            created_at=variant.created_at,
        )

    async def save_score(self, variant: Variant) -> None:
        """Write a variant's score and what its first run showed."""
        signals: Json = {}
        if variant.proxy_signals is not None:
            shown = variant.proxy_signals
            # Not asdict, which copies deeply and so fails on a measurements' read-only view.
            signals["proxy"] = {each.name: getattr(shown, each.name) for each in fields(shown)} | {
                "measurements": dict(shown.measurements)
            }
        await self._session.execute(
            update(VariantRow)
            .where(VariantRow.id == variant.id)
            .values(
                fitness_score=variant.fitness_score,
                proxy_score=variant.proxy_score,
                fitness_signals=signals,
                evaluation_status="evaluated",
                last_evaluated_at=variant.last_evaluated_at,
                weights_version=variant.weights_version,
                function_version=variant.function_version,
            )
        )

    async def add_signal(
        self, variant_id: str, signal: ExternalSignal, adjustment: float, accepted_at: datetime
    ) -> bool:
        """Add a signal. Returns False when the variant has one with its id."""
        return await insert_if_absent(
            self._session,
            SignalRow,
            variant_id=variant_id,
            signal_id=signal.id,
            kind=signal.kind,
            value=signal.value,
            adjustment=adjustment,
            occurred_at=signal.occurred_at,
            accepted_at=accepted_at,
        )

    async def heard(self, variant_id: str) -> list[Heard]:
        """The variant's signals in the order they came."""
        query = select(SignalRow).where(SignalRow.variant_id == variant_id).order_by(SignalRow.position)
        return [Heard(_signal_from(row), row.accepted_at, row.adjustment) for row in await self._session.scalars(query)]

    async def weights(self, version: int) -> NumberedWeights:
        """The weights of a number; version 0 where there are none."""
        row = await self._session.scalar(select(WeightsRow).where(WeightsRow.version == version))
        return NumberedWeights(row.version, weights_from(row.weights), row.since) if row else NumberedWeights(0)

    async def comparison_of(self, request_id: RequestId) -> Compared | None:
        """The comparison that a request made."""
        query = select(ComparisonRow, VariantRow.agent_id).join(VariantRow, VariantRow.id == ComparisonRow.variant_id)
        made = _made_by(query, ComparisonRow.request_id, request_id)
        found = (await self._session.execute(made)).one_or_none()
        if found is None:
            return None
        row, agent_id = found
        return Compared(
            row.variant_id,
            row.baseline_variant_id,
            agent_id,
            row.mutation_id,
            row.time_ratio,
            row.time_ratio_low,
            row.time_ratio_high,
            row.fitness_delta,
            row.wins,
            row.explanation,
        )

    async def add_comparison(self, compared: Compared, request_id: str) -> bool:
        """Add a comparison. Returns False when the request made one already."""
        values = asdict(compared)
        del values["agent_id"]
        return await insert_if_absent(
            self._session,
            ComparisonRow,
            request_id=request_id,
            **values,
        )

    async def _one(self, variant_id: str, query: Select[VariantRow]) -> Variant:
        found = await self._variants(query)
        if not found:
            raise NotFound("variant", variant_id)
        return found[0]

    async def _variants(self, query: Select[VariantRow]) -> list[Variant]:
        return await self._with_signals(await self._rows(query))

    async def _rows(self, query: Select[VariantRow]) -> list[VariantRow]:
        return list(await self._session.scalars(query.execution_options(populate_existing=True)))

    async def _with_signals(self, rows: Sequence[VariantRow]) -> list[Variant]:
        """The first of the variants, as many as have MOST_SIGNALS in all; one at least."""
        kept = await self._bounded(rows) if len(rows) > 1 else rows
        signals = await self._signals([row.id for row in kept])
        return [_variant_from(row, signals[row.id]) for row in kept]

    async def _bounded(self, rows: Sequence[VariantRow]) -> Sequence[VariantRow]:
        query = select(SignalRow.variant_id, func.count().label("signals")).group_by(SignalRow.variant_id)
        found = await self._session.execute(query.where(SignalRow.variant_id.in_([row.id for row in rows])))
        signals = {row.variant_id: row.signals for row in found}
        total = 0
        for count, row in enumerate(rows):
            total += signals.get(row.id, 0)
            if total > MOST_SIGNALS and count:
                return rows[:count]
        return rows

    async def _signals(self, variant_ids: Sequence[str]) -> dict[str, list[ExternalSignal]]:
        signals: dict[str, list[ExternalSignal]] = {variant_id: [] for variant_id in variant_ids}
        query = select(SignalRow).where(SignalRow.variant_id.in_(variant_ids)).order_by(SignalRow.position)
        for row in await self._session.scalars(query):
            signals[row.variant_id].append(_signal_from(row))
        return signals


def _made_by(query: Select[*Chosen], column: InstrumentedAttribute[str], request_id: RequestId) -> Select[*Chosen]:
    """Narrowed to what a request made, by whichever of its ids that is kept."""
    return query.where(column.in_(request_id)).order_by(column == request_id.formerly).limit(1)


def _signal_from(row: SignalRow) -> ExternalSignal:
    return ExternalSignal(row.signal_id, SignalKind(row.kind), row.value, row.occurred_at)


def _variant_from(row: VariantRow, signals: Sequence[ExternalSignal]) -> Variant:
    proxy = row.fitness_signals.get("proxy")
    return Variant(
        id=row.id,
        parent_variant_id=row.parent_variant_id or "",
        agent_id=row.agent_id,
        workflow_definition=row.workflow_definition,
        fitness_function=row.fitness_function,
        created_at=row.created_at,
        fitness_score=row.fitness_score,
        proxy_signals=ProxySignals(**proxy) if proxy is not None else None,
        proxy_score=row.proxy_score,
        external_signals=tuple(signals),
        last_evaluated_at=row.last_evaluated_at,
        origin=Origin(**row.origin) if row.origin is not None else None,
        weights_version=row.weights_version,
        function_version=row.function_version,
    )
