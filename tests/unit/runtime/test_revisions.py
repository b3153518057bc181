"""What revisions leave to the release before, whose services work on until they are replaced (docs/operations.md)."""

import importlib
import re
from importlib.resources import files
from io import StringIO
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations

RELEASE_BEFORE = {"gateway": "0008", "capability": "0004", "learning": "0007", "fitness": "0005"}
"""To which revision it brings each service's tables. At a release, those of it take these places."""
TAKES_AWAY = re.compile(
    r"DROP (TABLE|COLUMN|SEQUENCE)|RENAME|SET NOT NULL|ALTER COLUMN \S+ TYPE|ADD CONSTRAINT|CREATE UNIQUE INDEX"
    r"|ADD COLUMN (?!.*DEFAULT).* NOT NULL"
)
MOVES_ROWS = re.compile(r"^\s*(INSERT|UPDATE|DELETE)")


def revisions(service: str, after: str) -> list[str]:
    """The revisions of a service past one."""
    versions = Path(str(files(f"autodev_{service}") / "migrations" / "versions"))
    return sorted(path.stem for path in versions.glob("[0-9]*.py") if path.stem.split("_")[0] > after)


def statements(service: str, revision: str) -> list[str]:
    """What a revision has PostgreSQL do."""
    written = StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written, "literal_binds": True}
    )
    with Operations.context(context):
        importlib.import_module(f"autodev_{service}.migrations.versions.{revision}").upgrade()
    return [statement.strip() for statement in written.getvalue().split(";") if statement.strip()]


def breaking(service: str, revision: str) -> list[str]:
    """The statements that take something from who uses the tables already, or keep them from these for long."""
    stated = statements(service, revision)
    made = {name for each in stated for name in re.findall(r"CREATE TABLE (\w+)", each)}
    return [
        each
        for each in stated
        if MOVES_ROWS.search(each)
        or (TAKES_AWAY.search(each) and made.isdisjoint(re.findall(r"(?:ON|ALTER TABLE) (\w+)", each)))
    ]


@pytest.mark.parametrize("service", RELEASE_BEFORE)
def test_revisions_take_nothing_from_the_release_before_and_keep_it_from_no_table_for_long(service: str) -> None:
    for revision in revisions(service, RELEASE_BEFORE[service]):
        assert breaking(service, revision) == [], revision


def test_a_revision_that_takes_something_away_is_seen() -> None:
    (issued_keys,) = (each for each in revisions("gateway", "0001") if each.startswith("0002"))
    assert breaking("gateway", issued_keys) == ["DROP TABLE api_keys"]
