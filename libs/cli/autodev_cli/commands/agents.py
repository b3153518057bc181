"""`autodev agents`: how far agents are trusted."""

from enum import StrEnum
from typing import Annotated

import typer

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import as_dict, enum_word, print_json, print_table, say
from autodev_cli.paging import whole
from autodev_cli.target import ask

app = new_app("See agents and set how far they are trusted.")


class Level(StrEnum):
    """The levels of maturity, lowest first."""

    STUDENT = "student"
    INTERN = "intern"
    SUPERVISED = "supervised"
    AUTONOMOUS = "autonomous"


@app.command("list")
@connected
def list_agents(connection: Connection) -> None:
    """List the agents that were heard of."""
    answer = ask(
        connection, lambda mesh: whole(mesh.capability.ListAgents, pb.ListAgentsRequest(), lambda page: page.agents)
    )
    if connection.json:
        print_json(as_dict(answer))
        return
    print_table(
        ("agent", "maturity", "verified", "self-reported", "where it differs"),
        [
            (
                each.id,
                level_word(each.maturity),
                each.verified_successes,
                each.self_reported_successes,
                ", ".join(
                    f"{other.capability} {level_word(other.maturity)}" for other in each.capabilities if other.maturity
                ),
            )
            for each in answer.agents
        ],
        empty="No agents yet.",
    )


@app.command("set-maturity")
@connected
def set_maturity(
    connection: Connection,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent.")],
    level: Annotated[Level, typer.Argument(help="The level.")],
    capability: Annotated[str, typer.Option("--capability", help="Only for this one. Default: agent-wide.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the record of changes.")] = "",
) -> None:
    """Set an agent's level."""
    request = pb.SetMaturityRequest(
        agent_id=agent,
        capability=capability,
        maturity=pb.MaturityLevel.Value(f"MATURITY_LEVEL_{level.name}"),
        reason=reason,
    )
    changed = ask(connection, lambda mesh: mesh.capability.SetMaturity(request)).agent
    if connection.json:
        print_json(as_dict(changed))
    else:
        say(f"{changed.id} is {level.name}" + (f" for {capability}" if capability else ""))


@app.command("unset-maturity")
@connected
def unset_maturity(
    connection: Connection,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent.")],
    capability: Annotated[str, typer.Option("--capability", help="For which one.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the record of changes.")] = "",
) -> None:
    """Take back the level that was set for one capability: the agent's own holds for it again."""
    request = pb.SetMaturityRequest(agent_id=agent, capability=capability, reason=reason)
    changed = ask(connection, lambda mesh: mesh.capability.SetMaturity(request)).agent
    if connection.json:
        print_json(as_dict(changed))
    else:
        say(f"{changed.id} has its own level for {capability} again")


def level_word(level: "pb.MaturityLevel.ValueType") -> str:
    """A level as a word."""
    return enum_word(pb.MaturityLevel.Name(level), "MATURITY_LEVEL_")
