"""The gateway's tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "events",
        sa.Column("seq", sequence, primary_key=True, autoincrement=False),
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.String(128), nullable=False),
        sa.Column("skill_id", sa.String(128), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
    )
    op.create_index("events_by_id", "events", ["tenant_id", "event_id"], unique=True)
    op.create_index("events_by_tenant", "events", ["tenant_id", "seq", "size_bytes"])
    op.create_table(
        "event_trims",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("through_seq", sequence, nullable=False),
    )
    op.create_table(
        "consumer_groups",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("position", sequence, nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("group_name", sa.String(128), primary_key=True),
        sa.Column("seq", sequence, primary_key=True, autoincrement=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
    )
    op.create_table(
        "dead_letters",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("group_name", sa.String(128), primary_key=True),
        sa.Column("seq", sequence, primary_key=True, autoincrement=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("dead_us", sequence, nullable=False),
    )
    op.create_table(
        "episodes",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("agent_id", sa.String(128), nullable=False),
        sa.Column("outcome", sa.Integer(), nullable=False),
        sa.Column("recorded_seq", sequence, nullable=False),
        sa.Column("task", sa.LargeBinary(), nullable=False),
    )
    op.create_index("episodes_by_age", "episodes", ["tenant_id", "recorded_seq"])
    op.create_table(
        "api_keys",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("roles", sa.String(256), nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "api_keys",
        "episodes",
        "dead_letters",
        "deliveries",
        "consumer_groups",
        "event_trims",
        "events",
    ):
        op.drop_table(table)
