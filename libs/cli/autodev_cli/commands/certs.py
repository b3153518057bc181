"""`autodev certs`: the certificates that services know each other by."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from autodev_cli.certs.directory import AUTHORITY_LIFETIME, LIFETIME, PUBLIC, CertificateDirectory
from autodev_cli.errors import CommandError
from autodev_cli.options import Output, OutputFormat, new_app
from autodev_cli.output import print_json, print_table, say
from autodev_cli.told import until_told

app = new_app("Make and renew the certificates that services know each other by.")

Directory = Annotated[Path, typer.Option("--dir", envvar="AUTODEV_CERTS_DIR", help="Where they are.")]
MOST_DAYS = 36_500.0
Days = Annotated[
    float,
    typer.Option("--days", min=0.01, max=MOST_DAYS, help="How long a certificate is valid."),
]

DEFAULT_DIRECTORY = Path("certs")


@app.command()
def create(
    directory: Directory = DEFAULT_DIRECTORY,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="A name or address at which clients reach the gateway, besides localhost."),
    ] = None,
    days: Days = LIFETIME / timedelta(days=1),
    authority_days: Annotated[
        float,
        typer.Option("--ca-days", min=0.01, max=MOST_DAYS, help="How long the authority is valid."),
    ] = AUTHORITY_LIFETIME / timedelta(days=1),
    force: Annotated[
        bool, typer.Option("--force", help="Replace an authority that is there; services must all be given the new.")
    ] = False,
    output: OutputFormat = Output.TEXT,
) -> None:
    """Make an authority, a certificate for each service, and one for the gateway's public address.

    Whoever has ca.key can make themselves any service: keep it off the machines that the services run on.
    """
    certificates = CertificateDirectory(directory)
    if certificates.made and not force:
        raise CommandError(
            f"{directory} holds an authority: renew what it signed with `autodev certs renew`, or --force"
        )
    certificates.create(host or (), timedelta(days=days), timedelta(days=authority_days))
    _show(certificates, output)
    if output is Output.TEXT:
        say(
            "Give each service its folder: AUTODEV_MESH_CA_FILE=.../ca.crt AUTODEV_MESH_CERT_FILE=.../tls.crt "
            f"AUTODEV_MESH_KEY_FILE=.../tls.key; the gateway {PUBLIC}/ besides: AUTODEV_GATEWAY_TLS_CERT_FILE, "
            "AUTODEV_GATEWAY_TLS_KEY_FILE",
        )


@app.command()
def renew(
    directory: Directory = DEFAULT_DIRECTORY,
    days: Days = LIFETIME / timedelta(days=1),
    output: OutputFormat = Output.TEXT,
) -> None:
    """Sign every certificate anew, by the same authority; running services take them within seconds."""
    certificates = CertificateDirectory(directory)
    certificates.renew(timedelta(days=days))
    _show(certificates, output)


@app.command()
def keep(
    directory: Directory = DEFAULT_DIRECTORY,
    every_s: Annotated[float, typer.Option("--every", min=1.0, max=604_800.0, help="Seconds between looks.")] = 3600.0,
) -> None:
    """Make what is missing, and renew what is past the middle of its time, until told to end."""
    until_told(_keeping(CertificateDirectory(directory), every_s))


async def _keeping(certificates: CertificateDirectory, every_s: float) -> None:
    while True:
        await asyncio.to_thread(certificates.keep_valid)
        await asyncio.sleep(every_s)


@app.command("list")
def list_certificates(directory: Directory = DEFAULT_DIRECTORY, output: OutputFormat = Output.TEXT) -> None:
    """List the certificates, what they are for, and when they expire."""
    _show(CertificateDirectory(directory), output)


def _show(certificates: CertificateDirectory, output: Output) -> None:
    held = certificates.all()
    if output is Output.JSON:
        print_json([{"name": each.name, "hosts": each.hosts, "expires": each.expires.isoformat()} for each in held])
        return
    print_table(
        ("certificate", "for", "expires (UTC)"),
        [(each.name, ", ".join(each.hosts), f"{each.expires:%Y-%m-%d %H:%M}") for each in held],
        empty="",
    )
