"""Reservations by when they lapse: finding those that did must not read all that did not."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAME, TABLE = "ix_reservations_counter", "reservations"
COUNTER = ["tenant_id", "capability", "holder", "day", "state"]


def upgrade() -> None:
    op.drop_index(NAME, table_name=TABLE)
    op.create_index(NAME, TABLE, [*COUNTER, "expires_at"], unique=False)


def downgrade() -> None:
    op.drop_index(NAME, table_name=TABLE)
    op.create_index(NAME, TABLE, COUNTER, unique=False)
