"""Who reads what is printed, and may have seen enough."""

import os
import sys


def print_nowhere() -> None:
    """Print for nobody from now on: to a reader that is gone, the interpreter would complain when it closes stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
