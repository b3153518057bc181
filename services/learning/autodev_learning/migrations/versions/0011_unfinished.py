"""An index of the experiments that are not over: replicas look for those that nobody works at."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Of those alone: most are over, and their rows are long."""
    unfinished = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_experiments_unfinished",
        "experiments",
        ["tenant_id", "id"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_experiments_unfinished", "experiments")
