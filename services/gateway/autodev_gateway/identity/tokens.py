"""JSON Web Tokens of an identity provider: who a token says it is, if the provider signed it for us and it is in time.

Only the algorithms that the settings pin are accepted, whatever a token or a key says. A token must name its key, its
issuer, its audience, its end, its tenant and its subject.
"""

import re
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from autodev_gateway.identity.jwks import Jwks, JwksOptions, Source
from autodev_runtime.errors import Unauthenticated
from autodev_runtime.identity import Caller, Role
from autodev_runtime.lease import Lease

MOST_TOKEN_BYTES = 6 * 1024
"""gRPC itself refuses ever more of the calls whose metadata is beyond 8 KiB, by chance."""
MOST_KNOWN = 10_000
"""How many verified tokens are remembered, so that not every call costs a signature's verification."""
TYPES = ("jwt", "at+jwt", "application/at+jwt")
REQUIRED = ("exp", "iss", "aud")

_TENANT = re.compile(r"[A-Za-z0-9._:/@-]{1,128}")
_SUBJECT = re.compile(r"[!-~]{1,128}")
_GRANTED = {role.value: role for role in (Role.RUNTIME, Role.REVIEWER, Role.OPERATOR)}


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must be, and where it says who it is."""

    issuer: str
    audience: str
    algorithms: frozenset[str]
    tenant_claim: str = "tenant"
    subject_claim: str = "sub"
    roles_claim: str = "roles"
    leeway_s: float = 30.0


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was verified."""

    caller: Caller
    lease: Lease


class Tokens:
    """Verifies tokens."""

    def __init__(self, rules: TokenRules, source: Source, options: JwksOptions) -> None:
        self._rules = rules
        self._known: dict[bytes, _Known] = {}
        self._signed: dict[str, WeakSet[Lease]] = {}
        """What is in use by key id, also of tokens that are remembered no more."""
        self.jwks = Jwks(source, rules.algorithms, options, self._forget)

    async def caller(self, text: str, digest: bytes) -> Caller:
        """Whom the token makes its holder. Raises Unauthenticated; Unavailable where no key set is to be believed."""
        known = self._known.get(digest)
        if known is not None:
            self.jwks.check()
        else:
            known = await self._verified(text)
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[digest] = known
        if known.lease.ended:
            self._known.pop(digest, None)
            raise Unauthenticated("the token has expired", reason="CREDENTIAL_ENDED")
        return known.caller

    def _forget(self, key_ids: frozenset[str]) -> None:
        """Keys are gone: what they have signed is good no more, also where it is in use."""
        for key_id in key_ids:
            for lease in self._signed.pop(key_id, ()):
                lease.end()
        self._known = {digest: known for digest, known in self._known.items() if not known.lease.ended}

    async def _verified(self, text: str) -> _Known:
        if len(text) > MOST_TOKEN_BYTES:
            raise _refused("it is too long")
        try:
            header = jwt.get_unverified_header(text)
        except (PyJWTError, ValueError, RecursionError) as error:
            raise _refused("it is no JSON Web Token") from error
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._rules.algorithms:
            raise _refused(f"its algorithm is none of {', '.join(sorted(self._rules.algorithms))}")
        if "crit" in header or str(header.get("typ", "JWT")).lower() not in TYPES:
            raise _refused("it is not an access token that is understood here")
        key = await self.jwks.key(key_id) if isinstance(key_id, str) else None
        if key is None or key.algorithm_name != algorithm:
            raise _refused("the provider has no such key")
        claims = self._claims(text, key, algorithm)
        lease = Lease(claims["exp"] + self._rules.leeway_s)
        known = _Known(self._caller(claims, lease), lease)
        self._signed.setdefault(str(key_id), WeakSet()).add(lease)
        return known

    def _claims(self, text: str, key: Any, algorithm: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(
                text,
                key,
                algorithms=[algorithm],
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=self._rules.leeway_s,
                options={"require": list(REQUIRED)},
            )
            return {**claims, "exp": float(claims["exp"])}
        except ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired", reason="CREDENTIAL_ENDED") from error
        except (PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _refused(f"it does not hold ({type(error).__name__})") from error

    def _caller(self, claims: dict[str, Any], lease: Lease) -> Caller:
        tenant = _at(claims, self._rules.tenant_claim)
        subject = _at(claims, self._rules.subject_claim)
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise _refused(f"its claim {self._rules.tenant_claim!r} names no tenant")
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise _refused(f"its claim {self._rules.subject_claim!r} names no subject")
        roles = roles_of(_at(claims, self._rules.roles_claim))
        return Caller(tenant, subject, roles, f"token:{self._rules.issuer}", lease=lease)


def roles_of(claim: Any) -> frozenset[Role]:
    """The roles among what a claim holds: a list of words, or words with spaces between. Others mean nothing here."""
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(_GRANTED[word] for word in words if isinstance(word, str) and word in _GRANTED)


def _at(claims: dict[str, Any], name: str) -> Any:
    """A claim by its name, or by its path, as `realm_access.roles`."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"the token is not accepted: {why}")
