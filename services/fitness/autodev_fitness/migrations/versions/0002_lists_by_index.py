"""Indexes in the order of each list of variants, so that a page costs the same however many there are."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLE = "workflow_variants"


def upgrade() -> None:
    """Order ties of a score, and an agent's variants."""
    op.drop_index("ix_workflow_variants_score", TABLE)
    op.drop_index("ix_workflow_variants_agent", TABLE)
    op.create_index("ix_workflow_variants_best", TABLE, ["tenant_id", sa.desc("fitness_score"), "created_at", "id"])
    op.create_index("ix_workflow_variants_agent", TABLE, ["tenant_id", "agent_id", "id"])
    op.create_index("ix_workflow_variants_age", TABLE, ["tenant_id", "id"])


def downgrade() -> None:
    """As before."""
    for name in ("best", "agent", "age"):
        op.drop_index(f"ix_workflow_variants_{name}", TABLE)
    op.create_index("ix_workflow_variants_agent", TABLE, ["tenant_id", "agent_id"])
    op.create_index("ix_workflow_variants_score", TABLE, ["tenant_id", "fitness_score"])
