"""`autodev skills`: what agents of the workspace can do."""

from typing import Annotated

import typer

from autodev.learning.v1 import skill_service_pb2 as pb
from autodev_cli.errors import CommandError
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import as_dict, console, moment, one_line, print_code, print_json, print_table
from autodev_cli.target import ask
from autodev_sdk import AutoDevClient, uuid7

app = new_app("List, show, run and roll back skills.")

SkillName = Annotated[str, typer.Argument(metavar="NAME", help="The skill's name or id.")]
MOST = 500


@app.command("list")
@connected
def list_skills(connection: Connection) -> None:
    """List the skills, by name."""
    answer = ask(connection, lambda mesh: mesh.skills.ListSkills(pb.ListSkillsRequest(page_size=MOST)))
    if connection.json:
        print_json(as_dict(answer))
        return
    print_table(
        ("name", "version", "from", "approved by", "since", "what it does"),
        [
            (
                each.name,
                each.active.version,
                each.active.provenance.proposer,
                each.active.approved_by,
                moment(each.active.created_at),
                one_line(each.description, 60),
            )
            for each in answer.skills
        ],
        empty="No skills yet.",
    )


@app.command()
@connected
def show(connection: Connection, name: SkillName) -> None:
    """Show a skill's code and its versions."""

    async def both(mesh: AutoDevClient) -> tuple[pb.Skill, list[pb.SkillVersion]]:
        skill = (await mesh.skills.GetSkill(pb.GetSkillRequest(skill_id=name))).skill
        request = pb.ListSkillVersionsRequest(skill_id=name, page_size=MOST)
        return skill, list((await mesh.skills.ListSkillVersions(request)).versions)

    skill, versions = ask(connection, both)
    if connection.json:
        print_json({"skill": as_dict(skill), "versions": [as_dict(each) for each in versions]})
        return
    console().print(f"[bold]{skill.name}[/] {skill.active.version}")
    console().print(skill.description, markup=False)
    print_code("\n".join(part for part in (skill.active.preamble, skill.active.code) if part))
    print_table(
        ("version", "from", "by", "approved by", "made"),
        [
            (each.version, each.parent_version, each.provenance.proposer, each.approved_by, moment(each.created_at))
            for each in versions
        ],
        empty="",
    )


@app.command()
@connected
def run(
    connection: Connection,
    name: SkillName,
    call: Annotated[str, typer.Argument(metavar="EXPRESSION", help="What to run: 'unique([3, 1, 3])'.")],
    agent: Annotated[str, typer.Option("--agent", help="The agent that runs it.")] = "command-line",
    version: Annotated[str, typer.Option("--version", help="Another version than the active one.")] = "",
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds it may take.", min=0.01, max=300)] = 30.0,
) -> None:
    """Run a skill in the sandbox. Exit status 1 when it fails."""
    request = pb.ExecuteSkillRequest(request_id=uuid7(), skill_id=name, agent_id=agent, call=call, version=version)
    request.timeout.FromMilliseconds(int(timeout_s * 1000))
    answer = ask(connection, lambda mesh: mesh.skills.ExecuteSkill(request))
    if connection.json:
        print_json(as_dict(answer))
        raise typer.Exit(0 if answer.success else 1)
    if answer.stdout:
        console().print(answer.stdout.rstrip("\n"), markup=False, style="dim")
    if not answer.success:
        raise CommandError(
            f"{name} {answer.skill_version} failed [{answer.sandbox_status}]: {one_line(answer.error, 300)}"
        )
    console().print(answer.result_literal, markup=False)
    console().print(f"{name} {answer.skill_version}, {answer.execution_seconds:.3f} s", style="dim")


@app.command()
@connected
def rollback(
    connection: Connection,
    name: SkillName,
    to: Annotated[str, typer.Option("--to", help="The version to go back to. Default: the active one's parent.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the log.")] = "",
) -> None:
    """Make an earlier version the active one."""
    request = pb.RollbackSkillRequest(request_id=uuid7(), skill_id=name, to_version=to, reason=reason)
    skill = ask(connection, lambda mesh: mesh.skills.RollbackSkill(request)).skill
    if connection.json:
        print_json(as_dict(skill))
    else:
        console().print(f"{skill.name} runs {skill.active.version} now")
