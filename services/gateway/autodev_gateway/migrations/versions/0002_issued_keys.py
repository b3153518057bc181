"""Keys that operators make. Those that the settings name are in no table any more.

The table `api_keys` goes, so that no gateway of the release before, which accepts exactly its own file's keys, can find
or delete what operators made.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "issued_keys",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("roles", sa.String(256), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(160), nullable=False),
        sa.Column("created_us", number, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("expires_us", number),
        sa.Column("revoked_us", number),
        sa.Column("last_used_us", number),
        sa.Column("replaced_by", sa.String(36), nullable=False),
        sa.Column("revision", number, nullable=False),
    )
    op.create_index("issued_keys_by_request", "issued_keys", ["tenant_id", "request_id"], unique=True)
    op.create_index("issued_keys_by_age", "issued_keys", ["tenant_id", "created_us", "id"])
    op.create_index("issued_keys_by_revision", "issued_keys", ["revision"])
    op.create_table(
        "key_revision",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("revision", number, nullable=False),
    )
    op.drop_table("api_keys")


def downgrade() -> None:
    """Drop the tables, and have the old one again."""
    op.create_table(
        "api_keys",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("roles", sa.String(256), nullable=False),
    )
    op.drop_table("key_revision")
    op.drop_table("issued_keys")
