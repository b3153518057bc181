"""The errors of commands."""


class CommandError(Exception):
    """A command cannot go on. Its text is the whole line that a person is told."""


class Told(Exception):
    """A signal asked the command to end before it was done."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number
        """The exit status, as a shell has it for what a signal ended."""
