"""The interval of a comparison's time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = ("time_ratio_low", "time_ratio_high")


def upgrade() -> None:
    """0 where a comparison was made before."""
    for name in COLUMNS:
        op.add_column("comparisons", sa.Column(name, sa.Double(), nullable=False, server_default="0"))


def downgrade() -> None:
    """As before."""
    for name in COLUMNS:
        op.drop_column("comparisons", name)
