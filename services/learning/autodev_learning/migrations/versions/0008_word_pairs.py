"""Tasks that agents failed at are found by pairs of their words, and most are told apart by bits of these.

What is stored by words stays so, and is still found, by the release before too: the service stores it by pairs later
(`store/reindexing.py`). Done here, it would keep everybody from these tables for minutes.
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


def upgrade() -> None:
    """Make room for bits; nobody has any yet."""
    # What tells the latest apart stands in the index, or each would be read with all its code.
    _index("ix_episodes_placed", ["tenant_id", "agent_id", "id", "failure_task", "signature_key"])
    _index("ix_episodes_placed_of_all", ["tenant_id", "id", "agent_id", "failure_task", "signature_key"])
    # The tables in the order in which a service at work comes to them, or the two would wait for each other.
    op.add_column("failure_tasks", sa.Column("bits", large_integer, nullable=False, server_default="-1"))


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
