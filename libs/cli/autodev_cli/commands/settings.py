"""`autodev settings`: what the workspace allows."""

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.learning.v1.memento_service_pb2 import ListProposersRequest, Proposer
from autodev_cli.errors import CommandError, UsageError
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import as_dict, print_json, print_table
from autodev_cli.target import ask
from autodev_sdk import AutoDevClient

app = new_app("See and change what the workspace allows.")

Switch = bool | None

MOST = 2**31 - 1
"""What the contract has room for."""


@app.command()
@connected
def show(connection: Connection) -> None:
    """Show the workspace's settings."""
    request = pb.GetWorkspaceSettingsRequest()
    _print(connection, ask(connection, lambda mesh: mesh.capability.GetWorkspaceSettings(request)).settings)


@app.command("set")
@connected
def set_settings(
    connection: Connection,
    enabled: Annotated[Switch, typer.Option(help="Whether Auto-Dev works for this workspace at all.")] = None,
    memento_skills: Annotated[Switch, typer.Option(help="Write skills for failing agents.")] = None,
    alpha_evolver: Annotated[Switch, typer.Option(help="Improve skills.")] = None,
    background_evolution: Annotated[Switch, typer.Option(help="Improve autonomous agents' skills by itself.")] = None,
    auto_promote: Annotated[
        Switch, typer.Option(help="Try autonomous agents' wins on some runs, without a person.")
    ] = None,
    canary_percent: Annotated[
        int | None, typer.Option(help="Of runs, for a version on trial. 0: the service's.", min=0, max=100)
    ] = None,
    cluster_failures: Annotated[Switch, typer.Option(help="Find patterns across agents, too.")] = None,
    max_mutations_per_day: Annotated[int | None, typer.Option(help="Of all agents.", min=0, max=MOST)] = None,
    max_skill_candidates_per_day: Annotated[int | None, typer.Option(help="For each agent.", min=0, max=MOST)] = None,
    proposers: Annotated[
        str | None, typer.Option(help="Names with commas between, in order: llm,case_bank,search,crossover. '': all.")
    ] = None,
) -> None:
    """Change some settings; the rest stay."""
    given = {
        "enabled": enabled,
        "memento_skills": memento_skills,
        "alpha_evolver": alpha_evolver,
        "background_evolution": background_evolution,
        "auto_promote": auto_promote,
        "canary_percent": canary_percent,
        "cluster_failures": cluster_failures,
        "max_mutations_per_day": max_mutations_per_day,
        "max_skill_candidates_per_day": max_skill_candidates_per_day,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes and proposers is None:
        raise UsageError("nothing to set: see `autodev settings set --help`")

    async def change(mesh: AutoDevClient) -> pb.WorkspaceSettings:
        named = [name.strip() for name in (proposers or "").split(",") if name.strip()]
        if named:
            check_proposers(named, (await mesh.memento.ListProposers(ListProposersRequest())).proposers)
        settings = (await mesh.capability.GetWorkspaceSettings(pb.GetWorkspaceSettingsRequest())).settings
        for name, value in changes.items():
            setattr(settings, name, value)
        if proposers is not None:
            settings.proposers[:] = named
        return (
            await mesh.capability.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings))
        ).settings

    _print(connection, ask(connection, change))


def check_proposers(named: Sequence[str], known: Iterable[Proposer]) -> None:
    """Raise CommandError for a name that is no proposer's, or is there twice; say which cannot be asked yet."""
    available = {each.name: each.available for each in known}
    if unknown := [name for name in named if name not in available]:
        raise CommandError(f"no proposer is named {', '.join(unknown)}; there are: {', '.join(available)}")
    if len(set(named)) < len(named):
        raise UsageError("--proposers: a name is there twice")
    for name in named:
        if not available[name]:
            print(f"{name} is not asked before the learning service has it configured", file=sys.stderr)


def _print(connection: Connection, settings: pb.WorkspaceSettings) -> None:
    shaped = as_dict(settings)
    if connection.json:
        print_json(shaped)
        return
    shaped["proposers"] = ", ".join(settings.proposers) or "all"
    # A message's JSON has what is set first.
    names = [field.name for field in settings.DESCRIPTOR.fields]
    print_table(("setting", "value"), [(name, str(shaped[name]).lower()) for name in names], empty="")
