"""Which failures are of a kind: by the signature of the error, or by the words of the task."""

import re
from collections.abc import Collection

SIMILAR_OVERLAP = 0.5
COMPARED_CHARACTERS = 4_000

_MASKS = (
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"), "<text>"),
    (re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.@+-]+)+[\\/]?"), "<path>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b0[xX][0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b"), "<id>"),
    (re.compile(r"[-+]?\d+(?:[._]\d+)*(?:[eE][-+]?\d+)?"), "<n>"),
)
# Blanks and not any space: what begins a line would be looked for through all the empty lines after it.
_FRAME = re.compile(r'^[ \t]*File "[^"\n]*", line \d+, in (?P<function>\S+)', re.MULTILINE)
_ERROR = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?::\s*(?P<message>.*))?$")
_WORD = re.compile(r"[^\W_]+")
# Words that every task has say nothing about which task it is.
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "function",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "task",
        "that",
        "the",
        "this",
        "to",
        "with",
        "write",
    ]
)


def error_signature(error_trace: str) -> str:
    """Give a trace's kind: "type|message|function of the last frame", numbers, ids, quoted text and paths masked.

    It is empty for an empty trace.
    """
    lines = [line.strip() for line in error_trace.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    frames = _FRAME.findall(error_trace)
    match = _ERROR.match(lines[-1])
    kind, message = (match["type"], match["message"] or "") if match else ("", lines[-1])
    return f"{kind.rpartition('.')[2]}|{masked(message)}|{frames[-1] if frames else ''}"


def masked(message: str) -> str:
    """Put placeholders for what differs between two occurrences of one error."""
    for pattern, placeholder in _MASKS:
        message = pattern.sub(placeholder, message)
    return " ".join(message.split())


def task_words(description: str) -> frozenset[str]:
    """The words that tell a task, in lower case, of its first COMPARED_CHARACTERS.

    Those that every task has are left out unless there are no others.
    """
    # A name in snake_case or camelCase is the words it is made of.
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", description[:COMPARED_CHARACTERS])
    words = frozenset(word.lower() for word in _WORD.findall(apart))
    return words - _COMMON or words


def word_overlap(left: frozenset[str], right: Collection[str]) -> float:
    """The share of the longer description's words that both have, in [0, 1]; 0 where one has no words.

    No word may be in `right` twice.
    """
    if not left or not right:
        return 0.0
    return len(left.intersection(right)) / max(len(left), len(right))


def similar_tasks(left: str, right: str) -> bool:
    """Tell whether two descriptions share at least half the words of the longer."""
    return word_overlap(task_words(left), task_words(right)) >= SIMILAR_OVERLAP
