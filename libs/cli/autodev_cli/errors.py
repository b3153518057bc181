"""The one error of commands."""


class CommandError(Exception):
    """A command cannot go on. Its text is the whole line that a person is told."""
