"""Signatures of Standard Webhooks, version 1.0.0 (https://www.standardwebhooks.com).

A webhook says its id, the time of the attempt and one or more signatures: `v1,` and the base64 of HMAC-SHA256 over
`<id>.<time>.<body>`, by a secret that both sides have. While secrets are exchanged a sender signs by both, and a
receiver takes either.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

SECRET_PREFIX = "whsec_"
SECRET_BYTES = (24, 64)
MAX_SIGNATURES = 16
_TIME = re.compile(r"[1-9][0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """The headers of one attempt, as they came."""

    webhook_id: str
    timestamp: str
    signatures: str


def secret_from(text: str) -> bytes:
    """The key in `whsec_<base64>`. Raises ValueError, which does not say the text."""
    if not text.startswith(SECRET_PREFIX):
        raise ValueError(f"a secret begins with {SECRET_PREFIX}")
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {SECRET_PREFIX} is not base64") from None
    least, most = SECRET_BYTES
    if not least <= len(secret) <= most:
        raise ValueError(f"a secret has {least} to {most} bytes; this one has {len(secret)}")
    return secret


def signature_of(secret: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """The signature that belongs to a webhook."""
    signed = f"{webhook_id}.{timestamp}.".encode(errors="surrogatepass") + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def is_signed(secrets: Sequence[bytes], attempt: Attempt, body: bytes, now_s: float, tolerance_s: float) -> bool:
    """Whether one of the signatures is by one of the secrets, and the time is about the present.

    Signatures are compared as text: base64 has several texts for the same bytes, and only the canonical one is taken.
    Every secret is tried on every signature, in constant time each, so the time taken says nothing of them.
    """
    given = [each.encode(errors="surrogatepass") for each in attempt.signatures.split(" ", MAX_SIGNATURES)]
    given = given[:MAX_SIGNATURES]
    found = False
    for secret in secrets:
        right = signature_of(secret, attempt.webhook_id, attempt.timestamp, body).encode()
        for each in given:
            found |= hmac.compare_digest(right, each)
    return found and _is_present(attempt.timestamp, now_s, tolerance_s)


def _is_present(timestamp: str, now_s: float, tolerance_s: float) -> bool:
    return _TIME.fullmatch(timestamp) is not None and abs(now_s - int(timestamp)) <= tolerance_s
