"""Text that others wrote, made fit for a terminal or a log: who wrote it may have put into it what deceives."""


def visible(text: str) -> str:
    """The text on one line: what does not print, moves the cursor or turns the writing's direction is spelled out."""
    return text if text.isprintable() else "".join(map(_spelled, text))


def visible_lines(text: str) -> str:
    """The same, of a text of many lines: line ends and tabs stay."""
    return "".join(each if each in "\n\t" else _spelled(each) for each in text)


def _spelled(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
