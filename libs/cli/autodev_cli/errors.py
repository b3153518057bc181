"""The errors of commands."""


class CommandError(Exception):
    """A command cannot go on. Its text is the whole line that a person is told."""

    status = 1
    """The exit status."""


class UsageError(CommandError):
    """A command was called as it cannot be: the same call will never do."""

    status = 2


class Told(Exception):
    """A signal asked the command to end before it was done."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number
        """The exit status, as a shell has it for what a signal ended."""
