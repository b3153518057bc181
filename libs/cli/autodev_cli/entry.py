"""Where the command `autodev` begins."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C while it is still importing ends it as quietly as later."""
    try:
        from autodev_cli.__main__ import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
