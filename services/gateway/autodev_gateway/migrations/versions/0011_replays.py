"""Dead letters are chosen for delivery at any gateway, and delivered by the one that serves their group."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column, and an index of what is chosen alone."""
    op.add_column("dead_letters", sa.Column("replaying", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "dead_letters_replaying",
        "dead_letters",
        ["tenant_id", "group_name", "seq"],
        sqlite_where=sa.text("replaying = 1"),
        postgresql_where=sa.text("replaying"),
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_index("dead_letters_replaying", "dead_letters")
    op.drop_column("dead_letters", "replaying")
