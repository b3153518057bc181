"""A password as PostgreSQL keeps it (RFC 5803): enough to check it, not to know it."""

import base64
import hashlib
import hmac
import os

ITERATIONS = 4096
SALT_BYTES = 16


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """The SCRAM-SHA-256 verifier of a password, with a fresh salt unless one is given."""
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return f"SCRAM-SHA-256${ITERATIONS}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
