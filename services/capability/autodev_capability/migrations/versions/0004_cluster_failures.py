"""Whether a workspace's agents' failures are compared with each other's."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Off, also for rows that a release without the column writes."""
    op.add_column(
        "workspace_settings", sa.Column("cluster_failures", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """As before."""
    op.drop_column("workspace_settings", "cluster_failures")
