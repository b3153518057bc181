"""What is counted by day is found by its day: forgetting old days must not read all.

Events that were counted before this release get the day of the migration, and so do those that a replica of the release
before counts while this one is rolled out.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add events' days, and the indexes."""
    today = datetime.now(UTC).date().isoformat()
    op.add_column("counted_events", sa.Column("day", sa.String(10), nullable=False, server_default=today))
    op.create_index("ix_counted_events_day", "counted_events", ["day"])
    op.create_index("ix_quota_counters_day", "quota_counters", ["day"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_quota_counters_day", "quota_counters")
    op.drop_index("ix_counted_events_day", "counted_events")
    op.drop_column("counted_events", "day")
