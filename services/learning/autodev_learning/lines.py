"""The lines of a program's text."""

import re

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def lines_of(code: str) -> list[str]:
    """The lines with their ends, as Python counts them: form feeds and Unicode's separators end none."""
    return _LINE.findall(code)


def with_line_feeds(code: str) -> str:
    """The same text, each of whose lines ends by a line feed, as Python reads it."""
    return code.replace("\r\n", "\n").replace("\r", "\n")
