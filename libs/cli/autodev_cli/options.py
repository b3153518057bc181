"""Options that many commands share."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

DEFAULT_DATA_DIR = Path(".autodev")
DEFAULT_TENANT = "default"
_WHOLE = 1000

INT64 = {"min": -(2**63), "max": 2**63 - 1}
"""The range of an option that the contracts have as int64."""


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="AUTODEV_DATA_DIR", help="Where the mesh of this machine keeps its files."),
]
Tenant = Annotated[str, typer.Option("--tenant", envvar="AUTODEV_TENANT", help="The workspace.")]
StatedTenant = Annotated[
    str | None, typer.Option("--tenant", envvar="AUTODEV_TENANT", help=f"The workspace. Default: {DEFAULT_TENANT}.")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", envvar="AUTODEV_ADDRESS", help="The gateway's host:port. Default: the mesh of --data-dir."
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="AUTODEV_API_KEY",
        help="The credential. Whoever may list this machine's processes reads it here: better AUTODEV_API_KEY, or "
        "--api-key-file.",
        show_envvar=True,
    ),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        envvar="AUTODEV_API_KEY_FILE",
        help="A file with the credential, where none is stated. Default: the development key in --data-dir.",
        show_envvar=True,
    ),
]
CaFile = Annotated[
    str | None,
    typer.Option(
        "--ca-file",
        envvar="AUTODEV_CA_FILE",
        help="Speak TLS to the gateway: PEM of the authority that signed its certificate, or `system` for this "
        "machine's authorities. Default: plain text, for loopback.",
    ),
]
PlainText = Annotated[
    bool,
    typer.Option(
        "--plain-text",
        envvar="AUTODEV_PLAIN_TEXT",
        help="Speak plain text to a gateway on another machine too, the key included: only where something else "
        "protects the way.",
    ),
]
OutputFormat = Annotated[Output, typer.Option("--output", "-o", help="text, or json for machines.")]
AllowProcess = Annotated[
    bool,
    typer.Option(
        "--allow-process-sandbox",
        help="Also run agents' code with resource limits alone, where this machine has no better sandbox. Such code "
        "can read your files and reach the network.",
    ),
]
MutualTls = Annotated[
    bool,
    typer.Option(
        "--mtls", help="Let the services know each other by certificates, made in --data-dir, as on several machines."
    ),
]
Ports = Annotated[
    str,
    typer.Option(
        "--ports",
        help="default (50050 to 50055 and 9464), auto (free ones), or a number to count from.",
    ),
]


class _Group(TyperGroup):
    """Lists what its commands do by whole sentences, not by their first 45 characters."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(_WHOLE)) for name, each in commands if each is not None])


def new_app(help: str | None = None) -> typer.Typer:
    """An app as all commands have it: one command, or with `help` a group of them."""
    return typer.Typer(
        cls=_Group,
        help=help,
        no_args_is_help=help is not None,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


@dataclass(frozen=True)
class Connection:
    """What the shared options say: which mesh, as whom, and how to print."""

    address: str | None
    api_key: str | None
    data_dir: Path
    tenant: str
    output: Output
    ca_file: str | None = None
    plain_text: bool = False
    api_key_file: Path | None = None
    tenant_stated: bool = False

    @property
    def known_tenant(self) -> str | None:
        """The workspace, as far as it is known here: one that is stated, or the development key's."""
        own_key = not self.api_key and self.api_key_file is None
        return self.tenant if self.tenant_stated or own_key else None

    @property
    def json(self) -> bool:
        """Whether a machine reads."""
        return self.output is Output.JSON


_SHARED = (
    ("address", Address, None),
    ("api_key", ApiKey, None),
    ("data_dir", DataDir, DEFAULT_DATA_DIR),
    ("tenant", StatedTenant, None),
    ("api_key_file", ApiKeyFile, None),
    ("output", OutputFormat, Output.TEXT),
    ("ca_file", CaFile, None),
    ("plain_text", PlainText, False),
)


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options; it gets them as its first argument, a Connection."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, annotation, default in _SHARED
    ]

    def with_connection(**given: Any) -> None:
        tenant: str | None = given.pop("tenant")
        options = {name: given.pop(name) for name, *_ in _SHARED if name != "tenant"}
        command(Connection(tenant=tenant or DEFAULT_TENANT, tenant_stated=tenant is not None, **options), **given)

    parameters = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *shared]
    # Typer reads the signature for the options, the annotations for their types, and the docstring for the help.
    described: Any = with_connection
    described.__name__, described.__doc__ = command.__name__, command.__doc__
    described.__signature__ = inspect.Signature(parameters)
    described.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_connection
