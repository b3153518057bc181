"""What an experiment makes, program by program; how it searches, and by what it scores."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table and the columns."""
    op.add_column("experiments", sa.Column("plan", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("experiments", sa.Column("objective", sa.JSON(), nullable=True))
    op.create_table(
        "experiment_individuals",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("experiment_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("island", sa.Integer(), nullable=False),
        sa.Column("parent", sa.Integer(), nullable=False),
        sa.Column("operator", sa.String(length=128), nullable=False),
        sa.Column("offer", sa.JSON(), nullable=False),
        sa.Column("evaluation", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("novelty", sa.Double(), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "experiment_id", "number"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("experiment_individuals")
    op.drop_column("experiments", "objective")
    op.drop_column("experiments", "plan")
