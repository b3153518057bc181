"""The latest failure of a task that is in a pattern is found without looking at the failure itself."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PLACED = sa.text("pattern_id IS NOT NULL")


def upgrade() -> None:
    """Make the index."""
    columns = ["tenant_id", "failure_task", "id"]
    op.create_index("ix_episodes_placed_task", "episodes", columns, sqlite_where=PLACED, postgresql_where=PLACED)


def downgrade() -> None:
    """As before."""
    op.drop_index("ix_episodes_placed_task", "episodes")
