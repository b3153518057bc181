"""Which mesh a command talks to, and as whom."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from autodev_cli.errors import CommandError, UsageError
from autodev_cli.failures import line_of
from autodev_cli.mesh import state as mesh_state
from autodev_cli.options import Connection
from autodev_cli.told import finished
from autodev_sdk import AutoDevClient
from autodev_sdk.channel import AddressUnclear, PlainTextRefused

T = TypeVar("T")

CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
SYSTEM = "system"
"""In place of a file: the authorities that this machine trusts."""


@dataclass(frozen=True)
class Target:
    """A gateway and a credential for it. `root_certificates`: as for AutoDevClient; None for plain text."""

    address: str
    api_key: str
    root_certificates: bytes | None = None
    plain_text_anywhere: bool = False

    def client(self) -> AutoDevClient:
        """A connection; an asynchronous context manager. Raises CommandError."""
        options = {"plain_text_anywhere": self.plain_text_anywhere}
        try:
            return AutoDevClient(self.address, self.api_key, self.root_certificates, **options)
        except AddressUnclear as unclear:
            raise UsageError(str(unclear)) from unclear
        except PlainTextRefused as refused:
            raise CommandError(f"{refused}: give --ca-file (or --plain-text, if the way is safe)") from refused


def find(connection: Connection) -> Target:
    """The target that the options name; what they leave out comes from the mesh of the data directory.

    Raises CommandError where no mesh or no key is found.
    """
    address, ca_file = connection.address, connection.ca_file
    if address is None:
        state = mesh_state.read(connection.data_dir)
        if state is None:
            raise CommandError(
                f"no mesh runs in {connection.data_dir}: start one with `autodev up`, or give --address or --data-dir"
            )
        address, ca_file = state.gateway, ca_file or state.certificate
    key = connection.api_key or key_from_files(connection.data_dir, connection.tenant, connection.api_key_file)
    # gRPC would fail without a word of what is wrong.
    if not key or not key.isascii() or not key.isprintable():
        raise CommandError(
            "the API key is empty, or has a character that no key has: a line's end, or one beyond ASCII"
        )
    return Target(address, key, _root_certificates(ca_file), connection.plain_text)


def _root_certificates(ca_file: str | None) -> bytes | None:
    if ca_file is None:
        return None
    if ca_file == SYSTEM:
        return b""
    try:
        found = Path(ca_file).read_bytes()
    except OSError as error:
        raise CommandError(f"--ca-file {ca_file}: {error.strerror}") from error
    # gRPC would say that the gateway does not answer.
    if CERTIFICATE not in found:
        raise CommandError(f"--ca-file {ca_file}: it holds no certificate in PEM")
    return found


def key_from_files(data_dir: Path, tenant: str, stated: Path | None = None) -> str:
    """The key in the stated file, or AUTODEV_API_KEY_FILE, else the development key. Raises CommandError for none."""
    named = stated or os.environ.get("AUTODEV_API_KEY_FILE")
    path = Path(named) if named else key_path(data_dir, tenant)
    try:
        # As one character a byte, so that a file which is no key's is told from one that is.
        return path.read_text(encoding="latin-1").strip()
    except OSError as error:
        raise CommandError(
            f"no API key: {path}: {error.strerror}. Give --api-key-file, AUTODEV_API_KEY or AUTODEV_API_KEY_FILE"
        ) from error


def key_path(data_dir: Path, tenant: str) -> Path:
    """Where the gateway leaves a tenant's development key."""
    return data_dir / "keys" / f"{tenant}.key"


def run(target: Target, work: Callable[[AutoDevClient], Awaitable[T]]) -> T:
    """Run `work` with a client of the target. Raises CommandError for an RPC that fails, and Told."""

    async def connected() -> T:
        async with target.client() as client:
            return await work(client)

    with telling_failures(target):
        return finished(connected())


def ask(connection: Connection, work: Callable[[AutoDevClient], Awaitable[T]]) -> T:
    """Run `work` with a client of the mesh that the options name. Raises CommandError, and Told."""
    return run(find(connection), work)


@contextmanager
def telling_failures(target: Target) -> Iterator[None]:
    """Turns an RPC that fails within the block into a CommandError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise CommandError(line_of(error, target.address)) from error
