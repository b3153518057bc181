"""The tables of the fitness service. Shapes only: queries are in `store.py`."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, desc
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from autodev_runtime import outbox
from autodev_runtime.columns import LargeInteger, Moment, now
from autodev_runtime.scoped_session import TenantScoped
from autodev_sdk.events import uuid7

Json = dict[str, Any]


class Base(DeclarativeBase):
    """Base of the service's tables."""


class OutboxRow(outbox.OutboxRow, Base):
    """Events written and not yet published."""


class VariantRow(TenantScoped, Base):
    """A workflow variant. `fitness_signals` holds what its first run showed: {"proxy": {...}}."""

    __tablename__ = "workflow_variants"
    __table_args__ = (
        UniqueConstraint("tenant_id", "request_id"),
        Index("ix_workflow_variants_parent", "tenant_id", "parent_variant_id"),
        # In the order of each list, so that a page reads its own rows only; `id` sorts by age.
        Index("ix_workflow_variants_age", "tenant_id", "id"),
        Index("ix_workflow_variants_agent", "tenant_id", "agent_id", "id"),
        Index("ix_workflow_variants_status", "tenant_id", "evaluation_status"),
        # First runs give few different scores, so ties are many: what orders them belongs to the index.
        Index("ix_workflow_variants_best", "tenant_id", desc("fitness_score"), "created_at", "id"),
        # For the sweep over all tenants after weights changed.
        Index("ix_workflow_variants_weights", "weights_version", "tenant_id", "id"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    request_id: Mapped[str] = mapped_column(String(128))
    parent_variant_id: Mapped[str | None] = mapped_column(ForeignKey("workflow_variants.id"), default=None)
    agent_id: Mapped[str] = mapped_column(String(128))
    workflow_definition: Mapped[Json] = mapped_column(JSON)
    fitness_function: Mapped[str] = mapped_column(String(128))
    fitness_score: Mapped[float] = mapped_column(default=0.0)
    proxy_score: Mapped[float] = mapped_column(default=0.0)
    fitness_signals: Mapped[Json] = mapped_column(JSON, default=dict)
    evaluation_status: Mapped[str] = mapped_column(String(16), default="pending")  # pending, evaluated
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    last_evaluated_at: Mapped[datetime | None] = mapped_column(Moment, default=None)
    origin: Mapped[Json | None] = mapped_column(JSON(none_as_null=True), default=None)
    weights_version: Mapped[int | None] = mapped_column(LargeInteger, default=None)  # None: pending
    # Of the function that gave `proxy_score`, where it states one.
    function_version: Mapped[str] = mapped_column(String(64), default="", server_default="")


class WeightsRow(Base):
    """Weights that scores were computed with, numbered as they came into use. Settings of the service: no tenant's."""

    __tablename__ = "weights"
    version: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(64))
    weights: Mapped[Json] = mapped_column(JSON)
    since: Mapped[datetime] = mapped_column(Moment, default=now)


class SignalRow(TenantScoped, Base):
    """A signal that was accepted. `adjustment` is what it added when it came; changed weights rewrite no history."""

    __tablename__ = "signals"
    __table_args__ = (UniqueConstraint("tenant_id", "variant_id", "signal_id"),)
    position: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=True)
    variant_id: Mapped[str] = mapped_column(ForeignKey("workflow_variants.id"))
    signal_id: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(32))
    value: Mapped[float] = mapped_column(default=0.0)
    adjustment: Mapped[float]
    occurred_at: Mapped[datetime | None] = mapped_column(Moment, default=None)
    accepted_at: Mapped[datetime] = mapped_column(Moment, default=now)


class ComparisonRow(TenantScoped, Base):
    """The result of a comparison."""

    __tablename__ = "comparisons"
    __table_args__ = (
        UniqueConstraint("tenant_id", "request_id"),
        Index("ix_comparisons_variant", "tenant_id", "variant_id"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    request_id: Mapped[str] = mapped_column(String(128))
    variant_id: Mapped[str] = mapped_column(ForeignKey("workflow_variants.id"))
    baseline_variant_id: Mapped[str] = mapped_column(ForeignKey("workflow_variants.id"))
    mutation_id: Mapped[str] = mapped_column(String(128), default="")
    time_ratio: Mapped[float]
    time_ratio_low: Mapped[float] = mapped_column(server_default="0")
    time_ratio_high: Mapped[float] = mapped_column(server_default="0")
    fitness_delta: Mapped[float]
    wins: Mapped[bool]
    explanation: Mapped[str] = mapped_column(Text)
    compared_at: Mapped[datetime] = mapped_column(Moment, default=now)
