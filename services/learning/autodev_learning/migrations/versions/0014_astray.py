"""A pattern's failures that came to it by their error alone are told from those at its task, and found by their own.

Nobody has that of the failures that are there, nor of those that the release before stores meanwhile: they stay in
their patterns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

AT_HOME = sa.text("NOT astray")
WAITING = sa.text("COALESCE(astray, pattern_id IS NULL) AND failure_task IS NOT NULL")


def upgrade() -> None:
    """Make room for it, and the indexes of both kinds by task."""
    op.add_column("episodes", sa.Column("astray", sa.Boolean(), nullable=True))
    _index("ix_episodes_home_task", ["tenant_id", "failure_task", "id"], AT_HOME)
    _index("ix_episodes_waiting_task", ["tenant_id", "failure_task", "occurred_at"], WAITING)


def downgrade() -> None:
    """As before."""
    op.drop_index("ix_episodes_waiting_task", "episodes")
    op.drop_index("ix_episodes_home_task", "episodes")
    op.drop_column("episodes", "astray")


def _index(name: str, columns: list[str], of: sa.TextClause) -> None:
    op.create_index(name, "episodes", columns, sqlite_where=of, postgresql_where=of)
