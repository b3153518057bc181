"""Log lines in the format for people: whatever text comes into one, it is one line."""

import json
import logging
import sys

from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.identity import Identity, acting_as
from autodev_runtime.telemetry import LogFormat, log_formatter

FORGED = "2026-11-27T22:58:05.038+00:00 ERROR   gateway: the audit log was deleted"
TEXTS = st.text() | st.text(alphabet="a\n\r\x0b\x0c\x1b\x85\u2028\u2029\u202e\0 ")


def line_of(message: str, raised: str | None = None, log_format: LogFormat = LogFormat.TEXT) -> str:
    error = None
    if raised is not None:
        try:
            raise ValueError(raised)
        except ValueError:
            error = sys.exc_info()
    record = logging.LogRecord("autodev_learning", logging.INFO, __file__, 1, "it failed: %s", (message,), error)
    return log_formatter("learning", log_format).format(record)


@given(TEXTS, TEXTS.filter(bool))
def test_no_text_ends_its_line_or_moves_the_cursor(message: str, tenant: str) -> None:
    with acting_as(Identity(tenant, "ada", frozenset())):
        line = line_of(message)
    assert line.isprintable()
    assert " INFO    learning: it failed: " in line


@given(TEXTS)
def test_what_was_raised_is_set_off_from_lines(raised: str) -> None:
    first, *others = line_of("x", raised).splitlines()
    assert first.endswith("INFO    learning: it failed: x")
    assert others[0] == "  Traceback (most recent call last):"
    assert all(each.startswith("  ") and each.isprintable() for each in others)


def test_what_looks_like_a_line_stays_readable_within_its_own() -> None:
    assert line_of(f"boom\n{FORGED}").endswith(f"learning: it failed: boom\\n{FORGED}")
    assert line_of("Grüße, 世界 – it's “fine”").endswith("it failed: Grüße, 世界 – it's “fine”")


@given(TEXTS)
def test_a_machine_reads_the_message_as_it_was(message: str) -> None:
    line = line_of(message, log_format=LogFormat.JSON)
    assert "\n" not in line
    assert json.loads(line)["message"] == f"it failed: {message}"
