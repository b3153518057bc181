"""The audit log's chain: how an entry is written as bytes and hashed, and how a chain is verified.

An entry is a JSON object in one form: UTF-8, keys sorted, no white space, nothing escaped that need not be. Its hash is
SHA-256 over the 32 bytes of the hash before it (zeros at the start) and the entry's bytes. Number and tenant are in the
entry, so that one that is moved, left out or put into another tenant's chain does not fit.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERSION = 1
START = bytes(32)
"""What stands for the hash before the first entry."""


class ChainBroken(Exception):
    """A chain is not as it was written."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"entry {number}: {why}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain goes: the last entry's number and hash. Who keeps one can tell later that the end is missing."""

    number: int = 0
    hash: bytes = START

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """The head that a text is. Raises ValueError."""
        number, _, digest = text.partition(":")
        if not number.isdecimal() or len(digest) != 2 * len(START):
            raise ValueError(f"{text!r} is no head of a chain: <number>:<64 hexadecimal digits>")
        return cls(int(number), bytes.fromhex(digest))


def canonical(entry: Mapping[str, Any]) -> bytes:
    """The bytes of an entry."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def chained(before: bytes, content: bytes) -> bytes:
    """The hash of the entry with these bytes, after the one with the hash `before`."""
    return hashlib.sha256(before + content).digest()


class Verifier:
    """Goes along a chain from its start."""

    def __init__(self, tenant: str | None = None, expected: Head | None = None) -> None:
        """Of a tenant; None: of whose the first entry is. `expected`: a head that the chain has had."""
        self.head = Head()
        self._tenant = tenant
        self._expected = expected

    @property
    def tenant(self) -> str | None:
        """Whose chain it is; None while nobody has said."""
        return self._tenant

    def take(self, content: bytes, stated: str) -> dict[str, Any]:
        """The next entry, by its bytes and its hash in hexadecimal. Raises ChainBroken."""
        number = self.head.number + 1
        digest = chained(self.head.hash, content)
        if digest.hex() != stated:
            raise ChainBroken(number, "its hash is not that of its content and the entry before")
        entry = self._parsed(number, content)
        if entry.get("number") != number:
            raise ChainBroken(number, f"the entry here is number {entry.get('number')}")
        if self._tenant is None:
            self._tenant = entry.get("tenant")
        if entry.get("tenant") != self._tenant:
            raise ChainBroken(number, "it is of another tenant")
        self.head = Head(number, digest)
        if self._expected is not None and self._expected.number == number and self._expected != self.head:
            raise ChainBroken(number, "its hash is not the one that was expected")
        return entry

    def finish(self) -> Head:
        """The chain ends here. Returns its head. Raises ChainBroken where there were more entries once."""
        if self._expected is not None and self.head.number < self._expected.number:
            raise ChainBroken(self.head.number + 1, f"it is missing, as are all up to {self._expected.number}")
        return self.head

    def _parsed(self, number: int, content: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(content)
            if isinstance(entry, dict) and canonical(entry) == content:
                return entry
        except ValueError:
            pass
        raise ChainBroken(number, "it is not written as entries are")
