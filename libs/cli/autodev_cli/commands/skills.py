"""`autodev skills`: what agents of the workspace can do."""

import io
import zipfile
from pathlib import Path
from typing import Annotated

import typer

from autodev.learning.v1 import skill_service_pb2 as pb
from autodev_cli.errors import CommandError
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import as_dict, enum_word, moment, one_line, print_code, print_json, print_table, say, say_lines
from autodev_cli.paging import whole
from autodev_cli.target import ask
from autodev_sdk import AutoDevClient, uuid7

app = new_app("List, show, find, run, export, import and roll back skills.")

SkillName = Annotated[str, typer.Argument(metavar="NAME", help="The skill's name or id.")]


@app.command("list")
@connected
def list_skills(connection: Connection) -> None:
    """List the skills, by name."""
    answer = ask(
        connection, lambda mesh: whole(mesh.skills.ListSkills, pb.ListSkillsRequest(), lambda page: page.skills)
    )
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
        request = pb.ListSkillVersionsRequest(skill_id=name)
        answer = await whole(mesh.skills.ListSkillVersions, request, lambda page: page.versions)
        return skill, list(answer.versions)

    skill, versions = ask(connection, both)
    if connection.json:
        print_json({"skill": as_dict(skill), "versions": [as_dict(each) for each in versions]})
        return
    say(skill.active.version, head=skill.name)
    say_lines(skill.description)
    print_code("\n".join(part for part in (skill.active.preamble, skill.active.code) if part))
    if skill.HasField("trial"):
        say(f"{skill.canary.version} is on trial:")
        print_trial(skill.trial)
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
def examples(connection: Connection, name: SkillName) -> None:
    """List what each later version of a skill must give: its regression suite."""
    request = pb.ListSkillExamplesRequest(skill_id=name)
    answer = ask(connection, lambda mesh: whole(mesh.skills.ListSkillExamples, request, lambda page: page.examples))
    if connection.json:
        print_json(as_dict(answer))
        return
    print_table(
        ("call", "expected", "from", "held out", "since"),
        [
            (
                one_line(each.call, 60),
                one_line(each.expected, 40),
                enum_word(pb.SkillExampleSource.Name(each.source), "SKILL_EXAMPLE_SOURCE_"),
                "yes" if each.held_out else "",
                moment(each.created_at),
            )
            for each in answer.examples
        ],
        empty="No examples.",
    )


def print_trial(trial: pb.CanaryTrial) -> None:
    """How a version on trial does beside the active one."""
    print_table(
        ("on trial", "share", "runs", "failed", "median"),
        [
            (name, share, str(arm.runs), str(arm.failed), f"{1000 * arm.median_seconds:.1f} ms")
            for name, share, arm in (
                ("trial", f"{trial.share:.0%}", trial.canary),
                ("active", f"{1 - trial.share:.0%}", trial.stable),
            )
        ],
        empty="",
    )
    say(f"  {trial.standing}", style="dim")


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
        say_lines(answer.stdout.rstrip("\n"), style="dim")
    if not answer.success:
        raise CommandError(
            f"{name} {answer.skill_version} failed [{answer.sandbox_status}]: {one_line(answer.error, 300)}"
        )
    say(answer.result_literal)
    say(f"{name} {answer.skill_version}, {answer.execution_seconds:.3f} s", style="dim")


@app.command()
@connected
def search(
    connection: Connection,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="What its name or description must have.")],
) -> None:
    """Find skills by words."""
    request = pb.SearchSkillsRequest(query=" ".join(words))
    found = ask(connection, lambda mesh: whole(mesh.skills.SearchSkills, request, lambda page: page.skills)).skills
    if connection.json:
        print_json([as_dict(each) for each in found])
        return
    print_table(
        ("name", "version", "description"),
        [(each.name, each.active.version, one_line(each.description, 80)) for each in found],
        empty="No skill has these words.",
    )


@app.command("export")
@connected
def export_skill(
    connection: Connection,
    name: SkillName,
    to: Annotated[Path | None, typer.Option("--to", help="The file. Default: <name>-<version>.zip here.")] = None,
    version: Annotated[str, typer.Option("--version", help="Another version than the active one.")] = "",
) -> None:
    """Write a skill as a package that another workspace can import."""
    request = pb.ExportSkillRequest(skill_id=name, version=version)
    answer = ask(connection, lambda mesh: mesh.skills.ExportSkill(request))
    path = to or Path(f"{answer.name}-{answer.version}.zip")
    path.write_bytes(answer.package)
    if connection.json:
        print_json(
            {"file": str(path), "version": answer.version, "digest": answer.digest_sha256, "signed": answer.signed}
        )
    else:
        signed = "signed" if answer.signed else "not signed"
        say(f"{path}: {answer.name} {answer.version}, {signed}, sha256:{answer.digest_sha256}", soft_wrap=True)


@app.command("import")
@connected
def import_skill(
    connection: Connection,
    package: Annotated[Path, typer.Argument(help="A package: a zip, or a folder with SKILL.md.")],
    agent: Annotated[str, typer.Option("--agent", help="The agent that it is for.")] = "command-line",
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="Take it though nobody vouches for it whom the operator trusts.")
    ] = False,
) -> None:
    """Take a package in as a candidate: it is proven in the sandbox, and then waits for a review."""
    request = pb.ImportSkillRequest(
        request_id=uuid7(), agent_id=agent, package=package_in(package), allow_unsigned=allow_unsigned
    )
    candidate = ask(connection, lambda mesh: mesh.skills.ImportSkill(request)).candidate
    if connection.json:
        print_json(as_dict(candidate))
    else:
        say(f"{candidate.skill_name} is candidate {candidate.id}; see `autodev review list`", soft_wrap=True)


def package_in(path: Path) -> bytes:
    """The zip at a path, or one made of the folder there. Raises CommandError."""
    try:
        if not path.is_dir():
            return path.read_bytes()
        folder = path.resolve()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_symlink():
                    raise CommandError(f"{file} is a link, which no package has")
                if file.is_file():
                    archive.write(file, f"{folder.name}/{file.relative_to(folder).as_posix()}")
        return buffer.getvalue()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


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
        say(f"{skill.name} runs {skill.active.version} now")
