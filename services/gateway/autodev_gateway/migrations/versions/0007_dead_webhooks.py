"""An index in the order of the list of dead webhooks, so that a page costs the same however many there are."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Of those that are dead alone."""
    dead = sa.text("state = 'dead'")
    columns = ["tenant_id", "due_us", "source", "webhook_id"]
    op.create_index("webhook_receipts_dead", "webhook_receipts", columns, sqlite_where=dead, postgresql_where=dead)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("webhook_receipts_dead", "webhook_receipts")
