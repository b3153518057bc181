"""An operator of NATS, who makes accounts and users by JWT, as `nsc` does."""

import base64
import binascii
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED = 18 << 3
KINDS = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
UNLIMITED = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
STREAMS = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)


@dataclass(frozen=True)
class Key:
    """A key of NATS: its kind is part of its names."""

    kind: str
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    @property
    def public(self) -> str:
        """Its public name: O..., A..., U..."""
        public = Ed25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()
        return _base32(bytes([KINDS[self.kind]]) + public)

    @property
    def seed(self) -> str:
        """What it is made from: SO..., SA..., SU..."""
        kind = KINDS[self.kind]
        return _base32(bytes([SEED | kind >> 5, (kind & 31) << 3]) + self.secret)

    def jwt(self, about: "Key", name: str, claims: Mapping[str, Any], expires_s: float | None = None) -> str:
        """What this key says of another."""
        stated: dict[str, Any] = {
            "jti": uuid.uuid4().hex,
            "iat": int(time.time()),
            "iss": self.public,
            "sub": about.public,
            "name": name,
            "nats": {"type": about.kind, "version": 2, **claims},
        }
        if expires_s is not None:
            stated["exp"] = int(expires_s)
        signed = f"{_base64({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_base64(stated)}"
        signature = Ed25519PrivateKey.from_private_bytes(self.secret).sign(signed.encode())
        return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


class Operator:
    """An operator with an account for the mesh, and the one that NATS wants for itself."""

    def __init__(self) -> None:
        self._key = Key("operator")
        self._account, self._system = Key("account"), Key("account")

    @property
    def config(self) -> str:
        """What a server's configuration says of them."""
        preloaded = (
            f"  {key.public}: {self._key.jwt(key, name, {'limits': limits})}\n"
            for key, name, limits in (
                (self._account, "mesh", {**UNLIMITED, **STREAMS, "wildcards": True}),
                (self._system, "system", {**UNLIMITED, "wildcards": True}),
            )
        )
        return (
            f"operator: {self._key.jwt(self._key, 'operator', {})}\nsystem_account: {self._system.public}\n"
            f"resolver: MEMORY\nresolver_preload {{\n{''.join(preloaded)}}}\n"
        )

    def credentials(self, expires_s: float | None = None) -> str:
        """A fresh user's credentials file. `expires_s`: when they end, in seconds since 1970."""
        user = Key("user")
        unlimited = {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        jwt = self._account.jwt(user, "gateway", unlimited, expires_s)
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            "NKEY Seed printed below can be used to sign and prove identity.\n"
            "NKEYs are sensitive and should be treated as secrets.\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n\n"
            "*************************************************************\n"
        )


def _base32(content: bytes) -> str:
    checked = content + binascii.crc_hqx(content, 0).to_bytes(2, "little")
    return base64.b32encode(checked).decode().rstrip("=")


def _base64(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
