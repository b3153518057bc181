"""Whether a tenant has tasks that are stored by words, and which, is known without reading the others."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BY_WORDS = sa.text("bits < 0")


def upgrade() -> None:
    """Make the index."""
    columns = ["tenant_id", "id"]
    op.create_index(
        "ix_failure_tasks_by_words", "failure_tasks", columns, sqlite_where=BY_WORDS, postgresql_where=BY_WORDS
    )


def downgrade() -> None:
    """As before."""
    op.drop_index("ix_failure_tasks_by_words", "failure_tasks")
