"""Counts by their day: forgetting those of old days must not read all."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME, TABLE = "ix_quota_counters_day", "quota_counters"


def upgrade() -> None:
    op.create_index(NAME, TABLE, ["day"], unique=False)


def downgrade() -> None:
    op.drop_index(NAME, table_name=TABLE)
