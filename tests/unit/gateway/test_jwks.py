"""Key sets: what is left out of them, and that nothing in them breaks the gateway."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from autodev_gateway.identity.jwks import MOST_BYTES, SourceError, keys_of
from autodev_gateway.identity.tokens import roles_of
from autodev_runtime.identity import Role

ALL = frozenset({"RS256", "ES256", "EdDSA"})
KEY = ec.generate_private_key(ec.SECP256R1())
GOOD: dict[str, Any] = {**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "good"}
WORDS = st.sampled_from(["EC", "RSA", "OKP", "oct", "P-256", "Ed25519", "ES256", "AQAB", "sig", "k", "", GOOD["x"]])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "kid", "alg", "use", "k"])


def short_rsa(bits: int) -> dict[str, Any]:
    made: dict[str, Any] = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, bits).public_key(), as_dict=True)
    return made


@pytest.mark.parametrize(
    "key",
    [
        {**GOOD, "kid": None},
        {**GOOD, "kid": "x", "use": "enc"},
        {**GOOD, "kid": "x", "alg": "ES384"},
        {**GOOD, "kid": "x", "crv": "P-384"},
        {**GOOD, "kid": "x", "y": GOOD["x"]},
        {**ECAlgorithm.to_jwk(KEY, as_dict=True), "kid": "x"},
        {"kty": "oct", "k": "AQAB", "kid": "x"},
        {"kty": "oct", "k": "AQAB", "kid": "x", "alg": "ES256"},
        {**short_rsa(1024), "kid": "x"},
        {**short_rsa(2047), "kid": "x"},
        "x",
    ],
)
def test_keys_that_must_not_verify_are_left_out(key: Any) -> None:
    assert set(keys_of(json.dumps({"keys": [key, GOOD]}).encode(), ALL)) == {"good"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"keys": {}}', b'{"keys": []}', b"\xff", b"[" * 100_000, b" " * (MOST_BYTES + 1)],
)
def test_what_is_no_set_is_refused(content: bytes) -> None:
    with pytest.raises(SourceError):
        keys_of(content, ALL)


@given(st.lists(st.dictionaries(NAMES, VALUES), max_size=4))
def test_whatever_a_set_holds_the_good_key_is_found(others: list[dict[str, Any]]) -> None:
    assert "good" in keys_of(json.dumps({"keys": [*others, GOOD]}).encode(), ALL)


@pytest.mark.parametrize(
    ("claim", "roles"),
    [
        (["operator", "runtime"], {Role.OPERATOR, Role.RUNTIME}),
        ("openid reviewer", {Role.REVIEWER}),
        (["service", "Operator", 1, None, ["operator"]], set()),
        ({"operator": True}, set()),
        (None, set()),
    ],
)
def test_only_known_words_are_roles(claim: Any, roles: set[Role]) -> None:
    assert roles_of(claim) == roles
