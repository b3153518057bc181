"""The tables of the capability service."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

large_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("credit", sa.Integer(), nullable=False),
        sa.Column("refutations", sa.Integer(), nullable=False),
        sa.Column("verified_successes", sa.Integer(), nullable=False),
        sa.Column("self_reported_successes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id"),
    )
    op.create_table(
        "capability_standings",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("capability", sa.String(length=128), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("credit", sa.Integer(), nullable=False),
        sa.Column("refutations", sa.Integer(), nullable=False),
        sa.Column("verified_successes", sa.Integer(), nullable=False),
        sa.Column("set_by_operator", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", "capability"),
    )
    op.create_table(
        "counted_events",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "event_id"),
    )
    op.create_table(
        "gates",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("capability", sa.String(length=128), nullable=False),
        sa.Column("required", sa.Integer(), nullable=False),
        sa.Column("limit_per_agent_per_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "capability"),
    )
    op.create_table(
        "maturity_changes",
        sa.Column("position", large_integer, autoincrement=True, nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("capability", sa.String(length=128), nullable=False),
        sa.Column("level_before", sa.Integer(), nullable=False),
        sa.Column("level_after", sa.Integer(), nullable=False),
        sa.Column("changed_by", sa.String(length=256), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("ix_maturity_changes_tenant", "maturity_changes", ["tenant_id", "position"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("position", large_integer, autoincrement=True, nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_table(
        "quota_counters",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("capability", sa.String(length=128), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("granted", sa.Integer(), nullable=False),
        sa.Column("announced", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "capability", "holder", "day"),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("capability", sa.String(length=128), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "request_id"),
    )
    op.create_index(
        "ix_reservations_counter", "reservations", ["tenant_id", "capability", "holder", "day", "state"], unique=False
    )
    op.create_table(
        "workspace_settings",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("memento_skills", sa.Boolean(), nullable=False),
        sa.Column("alpha_evolver", sa.Boolean(), nullable=False),
        sa.Column("background_evolution", sa.Boolean(), nullable=False),
        sa.Column("max_mutations_per_day", sa.Integer(), nullable=False),
        sa.Column("max_skill_candidates_per_day", sa.Integer(), nullable=False),
        sa.Column("auto_promote", sa.Boolean(), nullable=False),
        sa.Column("proposers", sa.JSON(), nullable=False),
        sa.Column("updated_by", sa.String(length=256), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )


def downgrade() -> None:
    op.drop_table("workspace_settings")
    op.drop_index("ix_reservations_counter", table_name="reservations")
    op.drop_table("reservations")
    op.drop_table("quota_counters")
    op.drop_table("outbox")
    op.drop_index("ix_maturity_changes_tenant", table_name="maturity_changes")
    op.drop_table("maturity_changes")
    op.drop_table("gates")
    op.drop_table("counted_events")
    op.drop_table("capability_standings")
    op.drop_table("agents")
