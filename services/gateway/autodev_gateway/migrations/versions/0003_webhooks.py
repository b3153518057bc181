"""The receipts of webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

large = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "webhook_receipts",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("webhook_id", sa.String(128), primary_key=True),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("call", sa.LargeBinary(), nullable=False),
        sa.Column("traceparent", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("received_us", large, nullable=False),
        sa.Column("pending_since_us", large, nullable=False),
        sa.Column("due_us", large, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "webhook_receipts_due", "webhook_receipts", ["due_us"], sqlite_where=pending, postgresql_where=pending
    )
    op.create_index("webhook_receipts_by_age", "webhook_receipts", ["received_us"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("webhook_receipts")
