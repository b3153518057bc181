"""A workspace's own share of executions for versions on trial."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; 0 leaves it to the learning service."""
    op.add_column("workspace_settings", sa.Column("canary_percent", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("workspace_settings", "canary_percent")
