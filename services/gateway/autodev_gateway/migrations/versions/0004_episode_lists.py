"""Indexes in the order of each list of episodes, so that a page costs the same however many there are."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """For the lists of one agent, and of one outcome."""
    op.create_index("episodes_by_agent", "episodes", ["tenant_id", "agent_id", "recorded_seq"])
    op.create_index("episodes_by_outcome", "episodes", ["tenant_id", "outcome", "recorded_seq"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("episodes_by_agent", "episodes")
    op.drop_index("episodes_by_outcome", "episodes")
