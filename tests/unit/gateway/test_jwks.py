"""Key sets: what is left out of them, and that nothing in them breaks the gateway."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from autodev_gateway.identity.jwks import MOST_BYTES, Jwks, JwksOptions, SourceError, keys_of
from autodev_gateway.identity.tokens import roles_of
from autodev_runtime.errors import Unavailable
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


def test_the_least_key_that_is_large_enough_is_found() -> None:
    key = {**short_rsa(2048), "kid": "least"}
    assert set(keys_of(json.dumps({"keys": [key, GOOD]}).encode(), ALL)) == {"least", "good"}


def test_keys_of_algorithms_that_are_not_pinned_are_left_out() -> None:
    key = {**short_rsa(2048), "kid": "other"}
    assert set(keys_of(json.dumps({"keys": [key, GOOD]}).encode(), frozenset({"ES256"}))) == {"good"}


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


class Provider:
    """A source that takes its time, by a clock that only it and the test move."""

    def __init__(self, takes_s: float) -> None:
        self.now_s = 1000.0
        self.asked = 0
        self._takes_s = takes_s

    async def keys(self) -> bytes:
        self.asked += 1
        self.now_s += self._takes_s
        return json.dumps({"keys": [GOOD]}).encode()

    def jwks(self, monkeypatch: pytest.MonkeyPatch, options: JwksOptions) -> Jwks:
        monkeypatch.setattr("autodev_gateway.identity.jwks.time", SimpleNamespace(monotonic=lambda: self.now_s))
        return Jwks(self.keys, ALL, options, lambda _: None)


async def test_keys_are_as_old_as_the_question_that_they_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider(takes_s=5)
    jwks = provider.jwks(monkeypatch, JwksOptions(most_age_s=60, look_again_s=10))
    asked_s = provider.now_s
    assert await jwks.key("good") is not None
    provider.now_s = asked_s + 60
    jwks.check()
    provider.now_s = asked_s + 60.001
    with pytest.raises(Unavailable):
        jwks.check()


async def test_a_key_that_is_too_old_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider(takes_s=0)
    jwks = provider.jwks(monkeypatch, JwksOptions(most_age_s=60, look_again_s=10))
    await jwks.key("good")
    provider.now_s += 61
    assert await jwks.key("good") is not None


async def test_a_provider_is_asked_again_for_what_it_did_not_have_once_the_wait_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = Provider(takes_s=0)
    jwks = provider.jwks(monkeypatch, JwksOptions(most_age_s=60, look_again_s=10))
    for wait_s, asked in ((0.0, 1), (9.999, 1), (0.001, 2)):
        provider.now_s += wait_s
        assert await jwks.key("none") is None
        assert provider.asked == asked
