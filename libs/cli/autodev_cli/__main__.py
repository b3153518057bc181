"""The command line: which commands there are. Each is imported when it is called, so that `--help` is quick."""

import importlib
import sys
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

from autodev_cli.errors import CommandError, Told
from autodev_cli.quiet import grpc_silent
from autodev_cli.readers import print_nowhere

COMMANDS = {
    "up": "Start the whole mesh on this machine.",
    "demo": "Watch both learning loops close on sample episodes.",
    "replay": "Report recorded attempts as episodes and see what is learnt.",
    "status": "What of the mesh serves, and what waits.",
    "events": "Follow what happens; see what workers could not handle, and deliver it again.",
    "review": "See, approve and reject what waits for a person.",
    "skills": "List, show, run and roll back skills.",
    "evolve": "See what could be improved, start it, and run experiments.",
    "fitness": "See how variants of workflows score, and why; make others of them.",
    "keys": "Make, list, rotate and revoke API keys.",
    "audit": "See who decided what, and verify that nothing of it was changed.",
    "webhooks": "See webhooks that were given up, and have them passed on after all.",
    "agents": "See agents and set how far they are trusted.",
    "certs": "Make and renew the certificates that services know each other by.",
    "migrate": "Bring the services' databases to the schema of this release.",
    "settings": "See and change what the workspace allows.",
}


class _LazyGroup(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        with grpc_silent():
            command = importlib.import_module(f"autodev_cli.commands.{cmd_name}")
        return typer.main.get_command(command.app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=_LazyGroup,
    name="autodev",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        # Imported when asked for, as everything else.
        from importlib.metadata import version

        print(version("autodev-cli"))
        raise typer.Exit


@app.callback()
def autodev(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Agents that learn from their own failures: a mesh of gRPC services, from one terminal."""


def main() -> None:
    """Run the command line; what goes wrong is one line on stderr and an exit status (docs/operations.md)."""
    try:
        app()
    except CommandError as error:
        # With it comes gRPC, which the command that failed has imported by now.
        from autodev_sdk.visible import visible_lines

        print(f"autodev: {visible_lines(str(error))}", file=sys.stderr)
        sys.exit(error.status)
    except Told as told:
        sys.exit(told.status)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader has seen enough.
        print_nowhere()
        sys.exit(141)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"autodev: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
