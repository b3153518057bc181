"""The text of an API key: 256 random bits, so that its plain SHA-256 tells nothing of it."""

import hashlib
import secrets

KEY_BYTES = 32
PREFIX_LENGTH = 8


def new_text() -> str:
    """A key that nobody has."""
    return f"ad_{secrets.token_urlsafe(KEY_BYTES)}"


def digest_of(text: str) -> bytes:
    """What is kept of a key, and what it is found by: looking up a digest takes time that says nothing of the keys."""
    return hashlib.sha256(text.encode()).digest()
