"""Who vouches for a package: an Ed25519 signature over the digest of every file but the signature's own."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autodev_learning.skills.packages.archive import BadPackage
from autodev_learning.skills.packages.contents import SIGNATURE
from autodev_runtime.starting import CannotStart

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

DOMAIN = b"autodev skill package 1\n"
"""What is signed begins with it, so that no signature for something else is one for a package."""
ALGORITHM = "ed25519"
PEM_END = b"-----END PUBLIC KEY-----"


class KeyFileError(CannotStart):
    """A file of keys that cannot be used; the text says which and why, and nothing of the key."""


class Untrusted(Exception):
    """A package that nobody vouches for whom the operator trusts. `reason` is the error's."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Vouched:
    """Who vouches for a package: the key's id."""

    key_id: str


def digest(files: Mapping[str, bytes]) -> str:
    """The SHA-256 over each file's path and SHA-256, by path, the signature left out; hexadecimal."""
    lines = [f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files) if path != SIGNATURE]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class Signer:
    """Signs with the operator's key."""

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        self._key = key

    @classmethod
    def read(cls, path: Path) -> "Signer":
        """The key in a PEM file, unencrypted PKCS 8. Raises KeyFileError."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise KeyFileError(f"{path} holds no private key that can be read: {type(error).__name__}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path} holds no Ed25519 key")
        return cls(key)

    def sign(self, files: Mapping[str, bytes]) -> bytes:
        """What the signature's file holds."""
        told = digest(files)
        signature = self._key.sign(DOMAIN + told.encode())
        stated = {
            "algorithm": ALGORITHM,
            "key_id": key_id(self._key.public_key()),
            "digest": f"sha256:{told}",
            "signature": base64.b64encode(signature).decode(),
        }
        return (json.dumps(stated, indent=2) + "\n").encode()


class TrustedKeys:
    """The public keys that the operator trusts, by id."""

    def __init__(self, keys: Sequence["Ed25519PublicKey"] = ()) -> None:
        self._keys = {key_id(key): key for key in keys}

    @classmethod
    def read(cls, path: Path) -> "TrustedKeys":
        """Those of a file: PEM public keys, one after the other. Raises KeyFileError."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        keys: list[Ed25519PublicKey] = []
        try:
            parts = [part.strip() + b"\n" + PEM_END for part in path.read_bytes().split(PEM_END)[:-1]]
            for part in parts:
                key = load_pem_public_key(part)
                if not isinstance(key, Ed25519PublicKey):
                    raise KeyFileError(f"{path} holds a key that is not Ed25519")
                keys.append(key)
        except (OSError, ValueError) as error:
            if isinstance(error, KeyFileError):
                raise
            raise KeyFileError(f"{path} holds no public keys that can be read: {type(error).__name__}") from error
        if not keys:
            raise KeyFileError(f"{path} holds no public key")
        return cls(keys)

    def check(self, files: Mapping[str, bytes]) -> Vouched:
        """Who vouches for the files. Raises Untrusted, BadPackage."""
        if SIGNATURE not in files:
            raise Untrusted("nobody signed the package", "PACKAGE_UNSIGNED")
        stated = _stated(files[SIGNATURE])
        key = self._keys.get(stated["key_id"])
        if key is None:
            raise Untrusted(f"no trusted key is {stated['key_id'][:64]!r}", "PACKAGE_UNTRUSTED")
        if stated["digest"] != f"sha256:{digest(files)}" or not _verifies(key, stated["signature"], digest(files)):
            raise Untrusted("the package is not what was signed", "PACKAGE_CHANGED")
        return Vouched(stated["key_id"])


def key_id(key: "Ed25519PublicKey") -> str:
    """The SHA-256 of the public key's 32 bytes, the first half; hexadecimal."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def _stated(text: bytes) -> dict[str, str]:
    try:
        stated = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadPackage(f"{SIGNATURE}: is no JSON") from error
    match stated:
        case {"algorithm": "ed25519", "key_id": str(), "digest": str(), "signature": str()}:
            return dict(stated)
    raise BadPackage(f"{SIGNATURE}: must have the algorithm ed25519, a key_id, a digest and a signature")


def _verifies(key: "Ed25519PublicKey", signature: str, told: str) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(base64.b64decode(signature, validate=True), DOMAIN + told.encode())
    except (InvalidSignature, ValueError):
        return False
    return True
