"""What was counted of an episode, so that it counts once, however many events say it.

Of episodes that were counted before this release it is not known. Neither is it of those that a replica of the release
before counts while this one is rolled out: another event of such an episode counts once more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "counted_episodes",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("episode_id", sa.String(length=128), nullable=False),
        sa.Column("work", sa.String(length=32), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", "episode_id", "work"),
    )
    op.create_index("ix_counted_episodes_day", "counted_episodes", ["day"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_counted_episodes_day", "counted_episodes")
    op.drop_table("counted_episodes")
