"""Which weights a score was computed with, and how a workflow was made of another."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = "workflow_variants"
large_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Scores that are there are of weights that nobody recorded: version 0, so that they are computed again."""
    op.create_table(
        "weights",
        sa.Column("version", large_integer, autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("weights", sa.JSON(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.add_column(TABLE, sa.Column("origin", sa.JSON(), nullable=True))
    op.add_column(TABLE, sa.Column("weights_version", large_integer, nullable=True))
    op.execute("UPDATE workflow_variants SET weights_version = 0 WHERE evaluation_status = 'evaluated'")
    op.create_index("ix_workflow_variants_weights", TABLE, ["weights_version", "tenant_id", "id"])


def downgrade() -> None:
    """As before."""
    op.drop_index("ix_workflow_variants_weights", TABLE)
    op.drop_column(TABLE, "weights_version")
    op.drop_column(TABLE, "origin")
    op.drop_table("weights")
