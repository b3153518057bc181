"""What a mutation is for is kept, and no longer told from who wrote it."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Of those that are there, and of what the release before writes meanwhile, it is told from who wrote it."""
    op.add_column("tool_mutations", sa.Column("purpose", sa.String(length=16), nullable=False, server_default=""))


def downgrade() -> None:
    """As before."""
    op.drop_column("tool_mutations", "purpose")
