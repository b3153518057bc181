"""Each gateway that begins to serve a group does so under a term of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the column."""
    op.add_column("consumer_groups", sa.Column("term", number, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("consumer_groups", "term")
