"""Whether a mutation was approved to run on trial first."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was approved before was promoted at once."""
    op.add_column("reviews", sa.Column("on_trial", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """As before."""
    op.drop_column("reviews", "on_trial")
