"""Where in the log an episode was last reported: retention goes by it."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the column, and an index by which a sweep finds what it deletes."""
    # Of those that are there it is not known. Places are times: no episode was reported later than now.
    now = sa.text(str(time.time_ns() // 1000))
    op.add_column("episodes", sa.Column("reported_seq", number, nullable=False, server_default=now))
    op.create_index("episodes_by_report", "episodes", ["tenant_id", "reported_seq"])


def downgrade() -> None:
    """Drop both."""
    op.drop_index("episodes_by_report", "episodes")
    op.drop_column("episodes", "reported_seq")
