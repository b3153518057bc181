"""Events whose acts are in the audit log: an act is recorded once, however often its event comes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "audit_acts",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("event_id", sa.String(36), primary_key=True),
        comment="append-only",
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("audit_acts")
