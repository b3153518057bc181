"""What a mutation is for is kept, and no longer told from who wrote it."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What speed-ups and models wrote is held to its parent, as most of it was made faster; the others only mend."""
    op.add_column("tool_mutations", sa.Column("purpose", sa.String(length=16), nullable=False, server_default="faster"))
    mutations = sa.table("tool_mutations", sa.column("purpose"), sa.column("provenance", sa.JSON()))
    proposer = mutations.c.provenance["proposer"].as_string()
    mends = sa.and_(proposer != "performance", proposer.not_like("llm%"))
    op.execute(sa.update(mutations).where(mends).values(purpose="mend"))


def downgrade() -> None:
    """As before."""
    op.drop_column("tool_mutations", "purpose")
