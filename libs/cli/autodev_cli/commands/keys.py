"""`autodev keys`: the workspace's API keys."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from autodev.gateway.v1 import key_service_pb2 as pb
from autodev.options.v1 import access_pb2
from autodev_cli.errors import CommandError, UsageError
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import as_dict, enum_word, moment, print_json, print_table, say
from autodev_cli.paging import PAGE, whole
from autodev_cli.spans import span_given
from autodev_cli.target import ask
from autodev_sdk import AutoDevClient, uuid7
from autodev_sdk.visible import visible

app = new_app("Make, list, rotate and revoke API keys. Needs the role operator.")

IDENTIFIER = re.compile(r"[A-Za-z0-9._:/@-]{1,128}")

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `list` shows it.")]
Save = Annotated[
    Path | None,
    typer.Option("--save", help="Write the key's text to this file, which only you can read, instead of printing it."),
]


class RoleName(StrEnum):
    """What a key lets its holder do."""

    RUNTIME = "runtime"
    REVIEWER = "reviewer"
    OPERATOR = "operator"


@app.command()
@connected
def create(
    connection: Connection,
    subject: Annotated[str, typer.Argument(help="Who will hold it: the name in records of what is done with it.")],
    roles: Annotated[
        list[RoleName] | None, typer.Option("--role", help="May be given again. Default: none.", show_default=False)
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="It opens only RPCs that read.")] = False,
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", help="How long it is good: 12h, 90d. Default: until it is revoked.")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
    save: Save = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Write to the gateway's database itself (AUTODEV_GATEWAY_DATABASE_URL, else the file in --data-dir): "
            "for the first key of a workspace.",
        ),
    ] = False,
) -> None:
    """Make a key. Its text is shown here, once."""
    request = pb.CreateKeyRequest(
        request_id=uuid7(),
        subject=subject,
        roles=[access_pb2.Role.Value(f"ROLE_{role.name}") for role in roles or ()],
        read_only=read_only,
        description=description,
    )
    if expires_in is not None:
        request.lifetime.FromTimedelta(span_given("--expires-in", expires_in))
    with _saved(save) as keep:
        made = _create_offline(connection, request) if offline else _create(connection, request)
        keep(_text_of(made))
    _print_made(connection, made, save)


async def all_keys(mesh: AutoDevClient, page_size: int = PAGE) -> pb.ListKeysResponse:
    """Every page of the keys as one."""
    return await whole(mesh.keys.ListKeys, pb.ListKeysRequest(), lambda page: page.keys, page_size)


@app.command("list")
@connected
def list_keys(connection: Connection) -> None:
    """List the keys that were made here, newest first. Those of the gateway's settings are not among them."""
    answer = ask(connection, all_keys)
    if connection.json:
        print_json(as_dict(answer))
        return
    print_table(
        ("id", "begins", "subject", "may", "made", "used", "state"),
        [
            (each.id, f"{each.prefix}…", each.subject, _scope(each), moment(each.created_at), _used(each), _state(each))
            for each in answer.keys
        ],
        empty="No keys were made.",
    )


@app.command()
@connected
def rotate(
    connection: Connection,
    key_id: KeyId,
    overlap: Annotated[str, typer.Option("--overlap", help="How long the old one stays good: 0s, 2h, 7d.")] = "1d",
    save: Save = None,
) -> None:
    """Make a key that takes another's place."""
    request = pb.RotateKeyRequest(request_id=uuid7(), key_id=key_id)
    request.overlap.FromTimedelta(span_given("--overlap", overlap))
    with _saved(save) as keep:
        made = ask(connection, lambda mesh: mesh.keys.RotateKey(request))
        keep(_text_of(made))
    _print_made(connection, made, save)


@app.command()
@connected
def revoke(connection: Connection, key_id: KeyId) -> None:
    """End a key, and its open streams."""
    key = ask(connection, lambda mesh: mesh.keys.RevokeKey(pb.RevokeKeyRequest(key_id=key_id))).key
    if connection.json:
        print_json(as_dict(key))
    else:
        say(f"{key.id} of {key.subject} is {_state(key)}")


def _create(connection: Connection, request: pb.CreateKeyRequest) -> pb.CreateKeyResponse:
    return ask(connection, lambda mesh: mesh.keys.CreateKey(request))


def _create_offline(connection: Connection, request: pb.CreateKeyRequest) -> pb.CreateKeyResponse:
    # Imported when asked for: it loads what a service is made of.
    from autodev_cli.offline_keys import create_offline, gateway_database

    for given in (connection.tenant, request.subject):
        if not IDENTIFIER.fullmatch(given):
            raise UsageError(f"{given!r} is no name: up to 128 of letters, digits and . _ : / @ -")
    database = gateway_database(connection.data_dir)
    made = create_offline(database, connection.tenant, request)
    # On stderr, since stdout may be for a machine.
    print(f"in the gateway's database {database.place}", file=sys.stderr)
    return made


def _text_of(made: pb.CreateKeyResponse | pb.RotateKeyResponse) -> str:
    """The key's text. Raises CommandError where the first answer was lost: the call's repetition is not told it."""
    if not made.text:
        key_id = made.key.id
        raise CommandError(
            f"the key {key_id} was made, and its text was lost on the way here, so that nobody has it: revoke it "
            f"(`autodev keys revoke {key_id}`) and make another, or `autodev keys rotate {key_id} --overlap 0s`"
        )
    return made.text


@contextmanager
def _saved(path: Path | None) -> Iterator[Callable[[str], None]]:
    """A file that takes the key's text, made before the key is, so that no text is lost. Raises CommandError."""
    if path is None:
        yield lambda text: None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"--save {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w") as file:
            yield lambda text: print(text, file=file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _print_made(connection: Connection, made: pb.CreateKeyResponse | pb.RotateKeyResponse, saved: Path | None) -> None:
    if saved is not None:
        made.ClearField("text")
    if connection.json:
        print_json(as_dict(made))
        return
    key = made.key
    until = f" until {moment(key.expires_at)}" if key.HasField("expires_at") else ""
    say(f"{key.id} of {key.subject} may {_scope(key)}{until}")
    if isinstance(made, pb.RotateKeyResponse):
        say(f"{made.replaced.id} ends {moment(made.replaced.expires_at)}")
    if saved is not None:
        say(f"its text is in {saved}")
    else:
        say("its text, which is shown only now:")
        print(visible(made.text))


def _scope(key: pb.ApiKey) -> str:
    roles = ", ".join(enum_word(access_pb2.Role.Name(role), "ROLE_") for role in key.roles) or "no role"
    return f"{roles} (read only)" if key.read_only else roles


def _used(key: pb.ApiKey) -> str:
    return moment(key.last_used_at) or "not yet"


def _state(key: pb.ApiKey) -> str:
    if key.HasField("revoked_at"):
        return f"revoked {moment(key.revoked_at)}"
    if not key.HasField("expires_at"):
        return "good"
    over = key.expires_at.ToDatetime(UTC) <= datetime.now(UTC)
    return f"{'expired' if over else 'good until'} {moment(key.expires_at)}"
