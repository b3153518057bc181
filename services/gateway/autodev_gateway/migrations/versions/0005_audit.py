"""The audit log. On PostgreSQL the table's comment has `autodev migrate` grant no more than reading and adding."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "audit_entries",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("number", number, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        comment="append-only",
    )
    op.create_table(
        "audit_open",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("number", number, primary_key=True, autoincrement=False),
        sa.Column("at_us", number, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_entries_no_{change.lower()} BEFORE {change} ON audit_entries"
                " BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("audit_open")
    op.drop_table("audit_entries")
