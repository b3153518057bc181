"""SQLite deletes what an INSERT OR REPLACE replaces without asking the triggers of deletions: it is refused before."""

from alembic import op

revision = "0010"
down_revision = "0009"

CHANGES = {
    "audit_entries_no_replace": "INSERT ON audit_entries WHEN EXISTS (SELECT 1 FROM audit_entries"
    " WHERE tenant_id = new.tenant_id AND number = new.number)",
    "audit_acts_no_update": "UPDATE ON audit_acts",
    "audit_acts_no_delete": "DELETE ON audit_acts",
}


def upgrade() -> None:
    """Make the triggers."""
    if op.get_context().dialect.name == "sqlite":
        for name, change in CHANGES.items():
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {change} BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )


def downgrade() -> None:
    """Drop the triggers."""
    if op.get_context().dialect.name == "sqlite":
        for name in CHANGES:
            op.execute(f"DROP TRIGGER {name}")
