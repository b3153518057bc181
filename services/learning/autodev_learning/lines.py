"""The lines of a program's text."""

import re

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def lines_of(code: str) -> list[str]:
    """The lines with their ends, as Python counts them: form feeds and Unicode's separators end none."""
    return _LINE.findall(code)
