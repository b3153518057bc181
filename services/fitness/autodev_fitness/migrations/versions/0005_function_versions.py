"""Which version of its fitness function scored a variant's first run."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE = "workflow_variants"


def upgrade() -> None:
    """No function stated a version before."""
    op.add_column(TABLE, sa.Column("function_version", sa.String(length=64), nullable=False, server_default=""))


def downgrade() -> None:
    """As before."""
    op.drop_column(TABLE, "function_version")
