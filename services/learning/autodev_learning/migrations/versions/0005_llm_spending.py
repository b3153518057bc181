"""What tenants have spent on language models, a row a day."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

large_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "llm_spending",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("calls", large_integer, nullable=False),
        sa.Column("tokens", large_integer, nullable=False),
        sa.Column("nanousd", large_integer, nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "day"),
    )
