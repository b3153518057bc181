"""The tables of the capability service. Shapes only: queries are in `store.py`."""

from datetime import datetime

from sqlalchemy import JSON, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from autodev_runtime import outbox
from autodev_runtime.columns import LargeInteger, Moment, now
from autodev_runtime.scoped_session import TenantScoped
from autodev_sdk.events import uuid7

AGENT_WIDE = ""
"""The `capability` of a change that is for all of an agent's capabilities."""


class Base(DeclarativeBase):
    """Base of the service's tables."""


class OutboxRow(outbox.OutboxRow, Base):
    """Events written and not yet published."""


class WorkspaceSettingsRow(TenantScoped, Base):
    """A workspace's settings, once someone changed them."""

    __tablename__ = "workspace_settings"
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    enabled: Mapped[bool]
    memento_skills: Mapped[bool]
    alpha_evolver: Mapped[bool]
    background_evolution: Mapped[bool]
    max_mutations_per_day: Mapped[int]
    max_skill_candidates_per_day: Mapped[int]
    auto_promote: Mapped[bool]
    proposers: Mapped[list[str]] = mapped_column(JSON, default=list)
    canary_percent: Mapped[int] = mapped_column(default=0)
    cluster_failures: Mapped[bool] = mapped_column(default=False, server_default=false())
    updated_by: Mapped[str] = mapped_column(String(256), default="")
    updated_at: Mapped[datetime] = mapped_column(Moment, default=now)


class GateRow(TenantScoped, Base):
    """A gate of the workspace's own."""

    __tablename__ = "gates"
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    capability: Mapped[str] = mapped_column(String(128), primary_key=True)
    required: Mapped[int]
    limit_per_agent_per_day: Mapped[int] = mapped_column(default=0)


class AgentRow(TenantScoped, Base):
    """An agent that was heard of."""

    __tablename__ = "agents"
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    agent_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    level: Mapped[int] = mapped_column(default=1)
    credit: Mapped[int] = mapped_column(default=0)
    refutations: Mapped[int] = mapped_column(default=0)
    verified_successes: Mapped[int] = mapped_column(default=0)
    self_reported_successes: Mapped[int] = mapped_column(default=0)


class StandingRow(TenantScoped, Base):
    """What an agent earned, or was given, for one capability."""

    __tablename__ = "capability_standings"
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    agent_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    capability: Mapped[str] = mapped_column(String(128), primary_key=True)
    level: Mapped[int] = mapped_column(default=1)
    credit: Mapped[int] = mapped_column(default=0)
    refutations: Mapped[int] = mapped_column(default=0)
    verified_successes: Mapped[int] = mapped_column(default=0)
    set_by_operator: Mapped[bool] = mapped_column(default=False)


class MaturityChangeRow(TenantScoped, Base):
    """One change of a level: the audit."""

    __tablename__ = "maturity_changes"
    __table_args__ = (Index("ix_maturity_changes_tenant", "tenant_id", "position"),)
    position: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=True)
    agent_id: Mapped[str] = mapped_column(String(128))
    capability: Mapped[str] = mapped_column(String(128), default=AGENT_WIDE)
    level_before: Mapped[int]
    level_after: Mapped[int]
    changed_by: Mapped[str] = mapped_column(String(256))
    reason: Mapped[str] = mapped_column(Text, default="")
    changed_at: Mapped[datetime] = mapped_column(Moment)


class CountedEventRow(TenantScoped, Base):
    """An event that was counted, so that it counts once. `day`: the UTC day on which it was recorded."""

    __tablename__ = "counted_events"
    __table_args__ = (Index("ix_counted_events_day", "day"),)
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    event_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    day: Mapped[str] = mapped_column(String(10))


class CountedEpisodeRow(TenantScoped, Base):
    """What was counted of an agent's episode (`standing.Work`), so that each counts once, whichever events say it."""

    __tablename__ = "counted_episodes"
    __table_args__ = (Index("ix_counted_episodes_day", "day"),)
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    agent_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    episode_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    work: Mapped[str] = mapped_column(String(32), primary_key=True)
    day: Mapped[str] = mapped_column(String(10))


class CounterRow(TenantScoped, Base):
    """Uses granted on one day, to one agent or (with an empty holder) to the tenant."""

    __tablename__ = "quota_counters"
    __table_args__ = (Index("ix_quota_counters_day", "day"),)
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    capability: Mapped[str] = mapped_column(String(128), primary_key=True)
    holder: Mapped[str] = mapped_column(String(128), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    granted: Mapped[int] = mapped_column(default=0)
    announced: Mapped[bool] = mapped_column(default=False)
    """For the release before, which told of the first limit that was met, and of no other."""
    announced_limit: Mapped[int | None] = mapped_column(default=None)


class ReservationRow(TenantScoped, Base):
    """One use of a capability."""

    __tablename__ = "reservations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "request_id"),
        Index("ix_reservations_counter", "tenant_id", "capability", "holder", "day", "state", "expires_at"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    request_id: Mapped[str] = mapped_column(String(128))
    agent_id: Mapped[str] = mapped_column(String(128))
    capability: Mapped[str] = mapped_column(String(128))
    holder: Mapped[str] = mapped_column(String(128))
    day: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(16))
    expires_at: Mapped[datetime] = mapped_column(Moment)
    used: Mapped[int]
    quota: Mapped[int]
