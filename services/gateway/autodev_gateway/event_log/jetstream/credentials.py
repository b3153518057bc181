"""Who the gateway is to NATS: one line, or a NATS credentials file. Read again for each connection, never logged.

A credentials file (`nsc generate creds`) holds a JWT, which an account signed, and the seed of the key that it is for.
The JWT goes to the server; the seed signs what the server then asks for, and goes nowhere. The client library leaves
that to the package `nkeys`, of which there is no wheel, and which brings a second library of cryptography; what is
needed of it are a few lines here.
"""

import asyncio
import base64
import binascii
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats.errors
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client

log = logging.getLogger(__name__)

BEGIN = "-----BEGIN NATS USER JWT-----"
_JWT = re.compile(r"-{3,}BEGIN NATS USER JWT-{3,}\s+([\w.=-]+)\s+-{3,}END")
_SEED = re.compile(r"-{3,}BEGIN USER NKEY SEED-{3,}\s+([A-Z2-7]+)\s+-{3,}END")
NOT_PERMITTED = "permissions violation"
"""The one error after which a connection goes on."""
FAREWELL_S = 2.0
SEED_BYTES = 36
"""Two for the kind of key, 32 of the key, two of a checksum."""
SEED_OF_USER = base64.b32decode("SUAAAAAA")[:2]


class UnusableCredentials(nats.errors.Error):
    """The file cannot be used now. One of the client's own errors, so that it tries again: it may be half written."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a credentials file holds."""

    jwt: str = field(repr=False)
    key: Ed25519PrivateKey = field(repr=False)

    def signature_of(self, nonce: str) -> bytes:
        """What proves that the key is ours, as the protocol has it."""
        return base64.b64encode(self.key.sign(nonce.encode()))


def credentials_in(text: str) -> Credentials:
    """Read a credentials file. Raises UnusableCredentials, which says nothing of what is in it."""
    jwt, seed = _JWT.search(text), _SEED.search(text)
    if jwt is None or seed is None:
        missing = "the user's JWT" if jwt is None else "the seed of the user's key"
        raise UnusableCredentials(f"nats_credentials_file lacks {missing}")
    try:
        decoded = base64.b32decode(seed[1] + "=" * (-len(seed[1]) % 8))
    except binascii.Error:
        decoded = b""
    whole = len(decoded) == SEED_BYTES and binascii.crc_hqx(decoded[:-2], 0).to_bytes(2, "little") == decoded[-2:]
    if not whole or decoded[:2] != SEED_OF_USER:
        raise UnusableCredentials("nats_credentials_file holds no seed of a user's key")
    return Credentials(jwt[1], Ed25519PrivateKey.from_private_bytes(decoded[2:-2]))


def read(file: Path) -> str:
    """What a file of credentials holds. Raises UnusableCredentials."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableCredentials(f"nats_credentials_file cannot be read: {type(error).__name__}") from error


def stated(file: Path) -> dict[str, Any]:
    """How the client is told of a file that holds what it holds now. Raises UnusableCredentials."""
    text = read(file)
    if BEGIN in text:
        credentials_in(text)
        # Asked for with each connection, as below, so that credentials may change while the gateway runs.
        return {
            "user_jwt_cb": lambda: credentials_in(read(file)).jwt.encode(),
            "signature_cb": lambda nonce: credentials_in(read(file)).signature_of(nonce),
        }
    if ":" in text:
        return {"user": lambda: read(file).partition(":")[0], "password": lambda: read(file).partition(":")[2]}
    return {"token": lambda: read(file)}


class PersistentClient(Client):
    """Connects again whatever ended a connection, until it leaves by itself.

    The library's own is closed for good by any error of the server's but one, also by "User Authentication Expired",
    which is how a JWT ends that was renewed meanwhile.
    """

    async def leave(self) -> None:
        """Close the connection. To a server that reads nothing the library would wait for ever to say the rest."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self.close()
        except TimeoutError:
            log.warning("NATS does not read; its connection is left")
            # The library shows no other way to be done with what it holds back.
            if (writer := getattr(self._transport, "_io_writer", None)) is not None:
                writer.transport.abort()

    async def _process_err(self, err_msg: str) -> None:
        if not self.is_connected or NOT_PERMITTED in err_msg.lower():
            await super()._process_err(err_msg)
            return
        log.warning("NATS ends the connection: %s", err_msg)
        await self._process_op_err(nats.errors.Error(f"nats: {err_msg}"))
