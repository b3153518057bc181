"""The latest episode of a task is found without reading the others."""

from alembic import op

revision = "0012"
down_revision = "0011"

INDEX, COLUMNS = "ix_episodes_task", ["tenant_id", "task_key", "outcome"]


def upgrade() -> None:
    """Sort the episodes of a task by age in their index."""
    op.drop_index(INDEX, "episodes")
    op.create_index(INDEX, "episodes", [*COLUMNS, "id"])


def downgrade() -> None:
    """Leave them in no order."""
    op.drop_index(INDEX, "episodes")
    op.create_index(INDEX, "episodes", COLUMNS)
