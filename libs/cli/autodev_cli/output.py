"""Printing: compact text for people, one JSON document (or one a line) for machines."""

import json
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from autodev_sdk.visible import visible, visible_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WIDE = 200


@cache
def console() -> "Console":
    """Where text goes. Plain where no terminal is, and then wide enough that no line is broken."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDE
    return Console(markup=False, emoji=False, highlight=False, width=width, soft_wrap=not sys.stdout.isatty())


def say(text: str = "", *, head: str = "", style: str = "", soft_wrap: bool | None = None) -> None:
    """One line, whoever wrote what is in it; `head` stands before it in bold."""
    line = pieces((f"{head} ", "bold"), (text, "")) if head else pieces((text, ""))
    say_text(line, style=style, soft_wrap=soft_wrap)


def say_lines(text: str, *, style: str = "") -> None:
    """Text of many lines, whoever wrote it."""
    from rich.text import Text

    say_text(Text(visible_lines(text)), style=style)


def say_text(text: "Text", *, style: str = "", soft_wrap: bool | None = None) -> None:
    """Text that `pieces` made."""
    console().print(text, style=style or None, soft_wrap=soft_wrap)


def pieces(*parts: tuple[str, str]) -> "Text":
    """A line of parts, each with its style; what is in them may be from anyone."""
    from rich.text import Text

    return Text.assemble(*((visible(text), style) for text, style in parts))


def as_dict(message: Message) -> dict[str, Any]:
    """A message as JSON has it, with the field names of the protos; fields that are zero are there."""
    shaped: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return shaped


def print_json(value: Any) -> None:
    """One JSON document."""
    print(json.dumps(value, indent=2))


def print_json_line(value: Any) -> None:
    """One JSON document on one line, at once."""
    print(json.dumps(value), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Rows under bold heads, or one line that says that there are none. Numbers stand at the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    if not cells:
        say(empty)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for index, name in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) for row in cells)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(visible(cell(each))) for each in row))
    console().print(table)


def cell(value: Any) -> str:
    """A value in a table."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Timestamp):
        return moment(value)
    return str(value)


def moment(timestamp: Timestamp) -> str:
    """A time in the reader's zone, to the second; empty when it is not set."""
    if not timestamp.seconds:
        return ""
    return timestamp.ToDatetime().replace(tzinfo=_utc()).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _utc() -> Any:
    from datetime import UTC

    return UTC


def enum_word(name: str, prefix: str) -> str:
    """An enum's value as a word: ("CANDIDATE_STATUS_PENDING", "CANDIDATE_STATUS_") is "pending"."""
    return name.removeprefix(prefix).lower()


def one_line(text: str, most: int = 80) -> str:
    """The first line of a text, cut."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first if len(first) <= most else first[: most - 1] + "…"


def print_code(code: str, language: str = "python") -> None:
    """Code or a diff, whoever wrote it, in colour on a terminal, indented."""
    from rich.padding import Padding
    from rich.syntax import Syntax

    code = visible_lines(code)
    if console().is_terminal:
        syntax = Syntax(code.rstrip("\n"), language, theme="ansi_dark", background_color="default")
        console().print(Padding(syntax, (0, 0, 0, 4)))
        return
    for line in code.rstrip("\n").splitlines():
        print(f"    {line}".rstrip())
