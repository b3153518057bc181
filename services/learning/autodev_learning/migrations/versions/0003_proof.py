"""Marks of overfitting, generated inputs, regression suites, and the share of a version on trial."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MARKED = ("skill_candidates", "reviews", "tool_mutations")


def upgrade() -> None:
    """Add them; what is there has no mark."""
    for table in MARKED:
        op.add_column(table, sa.Column("overfit", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("tool_mutations", sa.Column("generated", sa.JSON(), nullable=True))
    op.add_column("skills", sa.Column("canary_share", sa.Double(), nullable=True))
    op.create_index("ix_skill_executions_version", "skill_executions", ["tenant_id", "skill_id", "skill_version", "id"])
    op.create_table(
        "skill_examples",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("skill_id", sa.String(length=36), nullable=False),
        sa.Column("call_sha256", sa.String(length=64), nullable=False),
        sa.Column("call", sa.Text(), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("source_id", sa.String(length=160), nullable=False),
        sa.Column("held_out", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "skill_id", "call_sha256"),
    )
    op.create_index("ix_skill_examples_age", "skill_examples", ["tenant_id", "skill_id", "id"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("skill_examples")
    op.drop_index("ix_skill_executions_version", "skill_executions")
    op.drop_column("skills", "canary_share")
    op.drop_column("tool_mutations", "generated")
    for table in MARKED:
        op.drop_column(table, "overfit")
