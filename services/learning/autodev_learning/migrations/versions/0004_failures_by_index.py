"""Failures are found by their error's key, and by an inverted index of their tasks' words."""

import hashlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from autodev_learning.similarity import task_words
from autodev_learning.word_index import prefix

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COMPARED_CHARACTERS, LONGEST_WORD, ROWS = 4_000, 48, 500
large_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PLACED: dict[str, Any] = {name: sa.text("pattern_id IS NOT NULL") for name in ("sqlite_where", "postgresql_where")}


def upgrade() -> None:
    """Make the index, and put the failures that are there into it."""
    op.create_table(
        "task_words",
        sa.Column("number", large_integer, autoincrement=True, nullable=False),
        sa.Column("word", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("tenant_id", "word"),
    )
    op.create_table(
        "failure_tasks",
        sa.Column("id", large_integer, autoincrement=True, nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("words_key", sa.String(length=64), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "agent_id", "words_key"),
    )
    op.create_table(
        "failure_words",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("word", large_integer, autoincrement=False, nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("task", large_integer, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "word", "agent_id", "size", "task"),
        sqlite_with_rowid=False,
    )
    op.add_column("episodes", sa.Column("signature_key", sa.String(length=64), nullable=True))
    op.add_column("episodes", sa.Column("failure_task", large_integer, nullable=True))
    _index_failures(op.get_bind())
    op.drop_index("ix_episodes_pattern", "episodes")
    op.create_index("ix_episodes_pattern", "episodes", ["tenant_id", "pattern_id", "occurred_at", "id"])
    op.create_index("ix_episodes_signature", "episodes", ["tenant_id", "signature_key", "agent_id", "id"])
    op.create_index("ix_episodes_failure_task", "episodes", ["tenant_id", "failure_task", "id"])
    op.create_index("ix_episodes_placed", "episodes", ["tenant_id", "agent_id", "id"], **PLACED)
    op.create_index("ix_episodes_placed_of_all", "episodes", ["tenant_id", "id"], **PLACED)


def downgrade() -> None:
    """As before."""
    for name in ("signature", "failure_task", "placed", "placed_of_all", "pattern"):
        op.drop_index(f"ix_episodes_{name}", "episodes")
    op.create_index("ix_episodes_pattern", "episodes", ["tenant_id", "pattern_id"])
    op.drop_column("episodes", "failure_task")
    op.drop_column("episodes", "signature_key")
    for table in ("failure_words", "failure_tasks", "task_words"):
        op.drop_table(table)


def _index_failures(connection: sa.Connection) -> None:
    index = _Index(connection)
    for row in _failures(connection):
        signature = hashlib.sha256(row.error_signature.encode()).hexdigest() if row.error_signature else None
        words = task_words(row.task_description[:COMPARED_CHARACTERS])
        connection.execute(
            sa.text("UPDATE episodes SET signature_key = :signature, failure_task = :task WHERE id = :id"),
            {"signature": signature, "task": index.task(row.tenant_id, row.agent_id, words), "id": row.id},
        )


def _failures(connection: sa.Connection) -> Iterator[Any]:
    query = sa.text(
        "SELECT id, tenant_id, agent_id, task_description, error_signature FROM episodes"
        " WHERE outcome <> 'success' AND id > :after ORDER BY id LIMIT :rows"
    )
    after = ""
    while rows := connection.execute(query, {"after": after, "rows": ROWS}).all():
        yield from rows
        after = rows[-1].id


class _Index:
    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._words: dict[tuple[str, str], int] = {}
        self._tasks: dict[tuple[str, str, str], int] = {}

    def task(self, tenant: str, agent_id: str, words: frozenset[str]) -> int:
        key = hashlib.sha256("\0".join(sorted(words)).encode()).hexdigest()
        if (tenant, agent_id, key) not in self._tasks:
            values = {"tenant_id": tenant, "agent_id": agent_id, "words_key": key, "words": sorted(words)}
            table = sa.table(
                "failure_tasks",
                *(sa.column(name) for name in ("id", "tenant_id", "agent_id", "words_key")),
                sa.column("words", sa.JSON()),
            )
            task = self._connection.execute(sa.insert(table).values(values).returning(table.c.id)).scalar_one()
            self._tasks[tenant, agent_id, key] = task
            stored = sorted({word if len(word) <= LONGEST_WORD else _digest(word) for word in words})
            ordered = sorted((self._number(tenant, word) for word in stored), reverse=True)
            entries = [
                {"tenant_id": tenant, "word": number, "agent_id": agent_id, "size": len(ordered), "task": task}
                for number in prefix(ordered)
            ]
            names = ("tenant_id", "word", "agent_id", "size", "task")
            if entries:
                self._connection.execute(sa.insert(sa.table("failure_words", *map(sa.column, names))), entries)
        return self._tasks[tenant, agent_id, key]

    def _number(self, tenant: str, word: str) -> int:
        if (tenant, word) not in self._words:
            table = sa.table("task_words", *map(sa.column, ("number", "tenant_id", "word")))
            statement = sa.insert(table).values(tenant_id=tenant, word=word).returning(table.c.number)
            self._words[tenant, word] = self._connection.execute(statement).scalar_one()
        return self._words[tenant, word]


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()
