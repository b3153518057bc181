"""Which limit it was that was announced to be met: one that was raised since is another, and is announced again.

Of limits that were met before this release it is not known: they are announced once more on the day of the migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column."""
    op.add_column("quota_counters", sa.Column("announced_limit", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("quota_counters", "announced_limit")
