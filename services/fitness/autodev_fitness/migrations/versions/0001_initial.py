"""The tables of the fitness service."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

large_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("position", large_integer, autoincrement=True, nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_table(
        "workflow_variants",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("parent_variant_id", sa.String(length=36), nullable=True),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("workflow_definition", sa.JSON(), nullable=False),
        sa.Column("fitness_function", sa.String(length=128), nullable=False),
        sa.Column("fitness_score", sa.Double(), nullable=False),
        sa.Column("proxy_score", sa.Double(), nullable=False),
        sa.Column("fitness_signals", sa.JSON(), nullable=False),
        sa.Column("evaluation_status", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_evaluated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent_variant_id"],
            ["workflow_variants.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "request_id"),
    )
    op.create_index("ix_workflow_variants_agent", "workflow_variants", ["tenant_id", "agent_id"], unique=False)
    op.create_index(
        "ix_workflow_variants_parent", "workflow_variants", ["tenant_id", "parent_variant_id"], unique=False
    )
    op.create_index("ix_workflow_variants_score", "workflow_variants", ["tenant_id", "fitness_score"], unique=False)
    op.create_index(
        "ix_workflow_variants_status", "workflow_variants", ["tenant_id", "evaluation_status"], unique=False
    )
    op.create_table(
        "comparisons",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("variant_id", sa.String(length=36), nullable=False),
        sa.Column("baseline_variant_id", sa.String(length=36), nullable=False),
        sa.Column("mutation_id", sa.String(length=128), nullable=False),
        sa.Column("time_ratio", sa.Double(), nullable=False),
        sa.Column("fitness_delta", sa.Double(), nullable=False),
        sa.Column("wins", sa.Boolean(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["baseline_variant_id"],
            ["workflow_variants.id"],
        ),
        sa.ForeignKeyConstraint(
            ["variant_id"],
            ["workflow_variants.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "request_id"),
    )
    op.create_index("ix_comparisons_variant", "comparisons", ["tenant_id", "variant_id"], unique=False)
    op.create_table(
        "signals",
        sa.Column("position", large_integer, autoincrement=True, nullable=False),
        sa.Column("variant_id", sa.String(length=36), nullable=False),
        sa.Column("signal_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("adjustment", sa.Double(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["variant_id"],
            ["workflow_variants.id"],
        ),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("tenant_id", "variant_id", "signal_id"),
    )


def downgrade() -> None:
    op.drop_table("signals")
    op.drop_index("ix_comparisons_variant", table_name="comparisons")
    op.drop_table("comparisons")
    op.drop_index("ix_workflow_variants_status", table_name="workflow_variants")
    op.drop_index("ix_workflow_variants_score", table_name="workflow_variants")
    op.drop_index("ix_workflow_variants_parent", table_name="workflow_variants")
    op.drop_index("ix_workflow_variants_agent", table_name="workflow_variants")
    op.drop_table("workflow_variants")
    op.drop_table("outbox")
