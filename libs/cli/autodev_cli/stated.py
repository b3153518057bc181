"""What a variable says, or the file that stands for it."""

from autodev_cli.errors import CommandError
from autodev_runtime.secret_files import stated


def stated_here(variable: str) -> str:
    """The variable's value, or its file's; "" where there is neither. Raises CommandError."""
    try:
        return stated(variable)
    except ValueError as error:
        raise CommandError(str(error)) from error
