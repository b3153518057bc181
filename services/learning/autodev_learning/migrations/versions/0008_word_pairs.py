"""Tasks that agents failed at are found by pairs of their words, and most are told apart by bits of these.

What was stored by word is stored by pair. Its bits are not known: it is told apart in full, as before.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

large_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PLACED: Any = {name: sa.text("pattern_id IS NOT NULL") for name in ("sqlite_where", "postgresql_where")}
ONE_IS_HALF, LONGEST_PAIRED = 2, 20


def upgrade() -> None:
    """Put in the pairs of what is there, which is each task's first words; then take out the words by themselves."""
    op.add_column("failure_tasks", sa.Column("bits", large_integer, nullable=False, server_default="-1"))
    # What tells the latest apart stands in the index, or each would be read with all its code.
    _index("ix_episodes_placed", ["tenant_id", "agent_id", "id", "failure_task", "signature_key"])
    _index("ix_episodes_placed_of_all", ["tenant_id", "id", "agent_id", "failure_task", "signature_key"])
    pair = "-1 - ((one.word % 2147483648) * 4294967296 + other.word % 4294967296)"
    op.execute(
        sa.text(
            "INSERT INTO failure_words (tenant_id, word, agent_id, size, task)"
            f" SELECT one.tenant_id, {pair}, one.agent_id, one.size, one.task"
            " FROM failure_words AS one JOIN failure_words AS other"
            " ON other.tenant_id = one.tenant_id AND other.task = one.task AND other.word < one.word"
            f" WHERE one.size <= {LONGEST_PAIRED}"
        )
    )
    op.execute(
        sa.text(f"DELETE FROM failure_words WHERE word > 0 AND size > {ONE_IS_HALF} AND size <= {LONGEST_PAIRED}")
    )


def downgrade() -> None:
    """As before: the words of each task that its pairs are made of."""
    halves = (
        "SELECT tenant_id, (-1 - word) / 4294967296 AS word, agent_id, size, task FROM failure_words WHERE word < 0"
        " UNION SELECT tenant_id, (-1 - word) % 4294967296, agent_id, size, task FROM failure_words WHERE word < 0"
    )
    op.execute(
        sa.text(
            "INSERT INTO failure_words (tenant_id, word, agent_id, size, task)"
            f" SELECT tenant_id, word, agent_id, size, task FROM ({halves}) AS words WHERE true ON CONFLICT DO NOTHING"
        )
    )
    op.execute(sa.text("DELETE FROM failure_words WHERE word < 0"))
    _index("ix_episodes_placed", ["tenant_id", "agent_id", "id"])
    _index("ix_episodes_placed_of_all", ["tenant_id", "id"])
    op.drop_column("failure_tasks", "bits")


def _index(name: str, columns: list[str]) -> None:
    op.drop_index(name, "episodes")
    op.create_index(name, "episodes", columns, **PLACED)
