"""The operators' page tells of every alert, and of no reason or command that there is none of."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs/operations.md").read_text()
COMMANDS = sorted(set(re.findall(r"autodev ((?:audit|certs|webhooks) [a-z]+|migrate|status)", PAGE)))


def first_column(title: str) -> list[str]:
    """The names in the table under a title."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    return [
        name for row in re.findall(r"^\| ([A-Z]\w+(?:, \w+)*) \|", section, re.MULTILINE) for name in row.split(", ")
    ]


def test_every_alert_has_a_line() -> None:
    groups = yaml.safe_load((REPOSITORY / "deploy/prometheus/alerts.yml").read_text())["groups"]
    assert first_column("What an alert means") == [rule["alert"] for group in groups for rule in group["rules"]]


def test_every_reason_is_one_that_the_code_gives() -> None:
    folders = (REPOSITORY / "libs", REPOSITORY / "services")
    code = "".join(path.read_text() for folder in folders for path in folder.rglob("autodev_*/**/*.py"))
    reasons = first_column("What a call is refused with")
    assert len(reasons) > 10
    assert [reason for reason in reasons if f'"{reason}"' not in code] == []


# What becomes of them is told in other words: an experiment's outcome, an event that comes again.
NEVER_ANSWERED = {"NO_SCORE", "VARIANT_CHANGED"}
RAISED = re.compile(
    r'reason="([A-Z_]+)"|\b(?:Aborted|Conflict|FailedPrecondition|OutOfRange|PermissionDenied|ResourceExhausted|'
    r'Unauthenticated|Unavailable)\([^()]*"([A-Z]+_[A-Z_]+)"'
)


def test_every_reason_is_in_a_contract_or_a_document() -> None:
    told = "".join(
        path.read_text() for path in (*(REPOSITORY / "docs").glob("*.md"), *(REPOSITORY / "protos").rglob("*.proto"))
    )
    code = "".join(
        path.read_text()
        for path in (
            *(REPOSITORY / "libs/runtime").rglob("autodev_*/**/*.py"),
            *(REPOSITORY / "services").rglob("*.py"),
        )
    )
    raised = {first or second for first, second in RAISED.findall(code)}
    assert len(raised) > 30
    assert {reason for reason in raised if not re.search(rf"\b{reason}\b", told)} <= NEVER_ANSWERED


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there(command: str) -> None:
    autodev = str(Path(sys.executable).parent / "autodev")
    assert subprocess.run([autodev, *command.split(), "--help"], capture_output=True, check=False).returncode == 0
