"""The public keys of an identity provider: a JSON Web Key Set, fetched, kept for a while, and fetched again.

It is fetched on age, and for a key id that is not in it, but no oftener than every `look_again_s`. One that could not
be fetched for `most_age_s` is no longer believed: nobody comes in by a token then.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from autodev_runtime.errors import Unavailable

logger = logging.getLogger(__name__)

MOST_BYTES = 256 * 1024
MOST_KEYS = 100
LEAST_RSA_BITS = 2048

Source = Callable[[], Awaitable[bytes]]
"""Gives the set's JSON. Raises SourceError."""

Gone = Callable[[frozenset[str]], None]

_ALGORITHM_OF = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}


class SourceError(Exception):
    """The set could not be had."""


@dataclass(frozen=True, slots=True)
class JwksOptions:
    """How long a set is good."""

    refresh_s: float = 300.0
    most_age_s: float = 3600.0
    look_again_s: float = 10.0


class Jwks:
    """The keys, by their ids."""

    def __init__(self, source: Source, algorithms: frozenset[str], options: JwksOptions, gone: Gone):
        """`gone` is told of keys that are no longer in the set, or are others now."""
        self._source = source
        self._algorithms = algorithms
        self._options = options
        self._gone = gone
        self._keys: Mapping[str, PyJWK] = {}
        self._texts: Mapping[str, str] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def key(self, key_id: str) -> PyJWK | None:
        """A key; None where the provider has none of that id. Raises Unavailable where no set is to be believed."""
        if key_id not in self._keys or not self._fresh():
            await self._look_again()
        self.check()
        return self._keys.get(key_id)

    def check(self) -> None:
        """Raises Unavailable where no set is to be believed."""
        if not self._fresh():
            raise Unavailable("the identity provider's keys cannot be had", reason="JWKS_UNAVAILABLE")

    async def follow(self) -> None:
        """Fetch the set now and then, for ever; soon again where it could not be had."""
        while True:
            await self._look_again()
            late = time.monotonic() - self._fetched_at > self._options.refresh_s
            await asyncio.sleep(self._options.look_again_s if late else self._options.refresh_s)

    def _fresh(self) -> bool:
        return time.monotonic() - self._fetched_at <= self._options.most_age_s

    async def _look_again(self) -> None:
        arrived = time.monotonic()
        async with self._asking:
            # Who waited for another's fetch has what that brought; and unknown ids must not hammer the provider.
            if self._asked_at > arrived or arrived - self._asked_at < self._options.look_again_s:
                return
            self._asked_at = time.monotonic()
            try:
                keys = keys_of(await self._source(), self._algorithms)
            except SourceError as error:
                logger.warning("the identity provider's keys were not fetched: %s", error)
                return
            self._take(keys)

    def _take(self, keys: Mapping[str, tuple[PyJWK, str]]) -> None:
        texts = {key_id: text for key_id, (_, text) in keys.items()}
        lost = frozenset(key_id for key_id, text in self._texts.items() if texts.get(key_id) != text)
        self._keys = {key_id: key for key_id, (key, _) in keys.items()}
        self._texts = texts
        self._fetched_at = self._asked_at
        if lost:
            self._gone(lost)


def keys_of(content: bytes, algorithms: frozenset[str]) -> dict[str, tuple[PyJWK, str]]:
    """The keys of a set that verify by one of the algorithms, by id, each with what it is. Raises SourceError.

    What else is in the set is left out: keys for encryption, of other kinds, without an id, too short, or private.
    """
    if len(content) > MOST_BYTES:
        raise SourceError(f"the set is larger than {MOST_BYTES} bytes")
    try:
        stated = json.loads(content)["keys"]
        if not isinstance(stated, list) or len(stated) > MOST_KEYS:
            raise SourceError(f"`keys` is no list of at most {MOST_KEYS}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SourceError("what came is no JSON Web Key Set") from error
    found: dict[str, tuple[PyJWK, str]] = {}
    for each in stated:
        key = _key_of(each, algorithms)
        if key is not None:
            found[each["kid"]] = key, json.dumps(each, sort_keys=True)
    if not found:
        raise SourceError(f"no key of the set verifies by {', '.join(sorted(algorithms))}")
    return found


def _key_of(stated: Any, algorithms: frozenset[str]) -> PyJWK | None:
    if not isinstance(stated, dict) or not all(isinstance(stated.get(name), str) for name in ("kid", "kty")):
        return None
    kind, curve = stated["kty"], str(stated.get("crv", ""))
    algorithm = _ALGORITHM_OF.get((kind, curve if kind != "RSA" else ""))
    fits = algorithm in algorithms and stated.get("alg", algorithm) == algorithm and stated.get("use", "sig") == "sig"
    if algorithm is None or not fits or "d" in stated:
        return None
    try:
        key = PyJWK(stated, algorithm)
    except (PyJWTError, ValueError, TypeError) as error:
        logger.warning("a key of the identity provider is left out: %s", type(error).__name__)
        return None
    return None if kind == "RSA" and key.key.key_size < LEAST_RSA_BITS else key
