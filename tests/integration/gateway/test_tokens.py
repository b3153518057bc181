"""Tokens of an identity provider: real keys, a real HTTP server, and everything that a token may have wrong."""

import asyncio
import base64
import contextlib
import hmac
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from autodev.gateway.v1 import episode_service_pb2, event_pb2, event_service_pb2, key_service_pb2
from autodev.options.v1 import access_pb2
from autodev_gateway.identity.jwks import MOST_BYTES, SourceError
from autodev_gateway.identity.jwks_sources import file_source, url_source
from autodev_sdk import AutoDevClient
from tests.integration.gateway.parts import PATIENCE_S, Running, failed, started
from tests.serving import Refusal, refusal
from tests.storage import Storage

ISSUER, AUDIENCE = "https://login.example", "autodev"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE: dict[str, Any] = {
    "RS256": RSA_KEY,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
MAKERS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def jwk(algorithm: str, key_id: str | None = None, private: Any = None, **stated: Any) -> dict[str, Any]:
    public = (private or PRIVATE[algorithm]).public_key()
    made: dict[str, Any] = MAKERS[algorithm].to_jwk(public, as_dict=True)
    return {**made, "kid": key_id or algorithm, "use": "sig", **stated}


def token(algorithm: str = "ES256", private: Any = None, header: Any = None, **changes: Any) -> str:
    """A token that is good, but for the changes; a claim that is None is left out."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60, "sub": "ada", "tenant": "acme"} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    stated = {"kid": algorithm, **(header or {})}
    return jwt.encode(claims, private or PRIVATE[algorithm], algorithm, {k: v for k, v in stated.items() if v})


def encoded(header: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()


def claiming(algorithm: str) -> str:
    """A token whose key signed it, by its own algorithm, and which says that it is of another."""
    signed = f"{encoded({'alg': algorithm, 'kid': 'ES256'})}.{token().split('.')[1]}"
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(signed.encode(), PRIVATE["ES256"])
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def by_secret(secret: bytes) -> str:
    """What a token library that takes a public key for a secret would accept."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "RS256"}).encode()).rstrip(b"=")
    signed = b".".join((head, token().split(".")[1].encode()))
    signature = base64.urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).rstrip(b"=")
    return b".".join((signed, signature)).decode()


class Provider:
    """An identity provider's HTTP server."""

    def __init__(self) -> None:
        self.keys = [jwk(algorithm) for algorithm in PRIVATE]
        self.answer: Callable[[BaseHTTPRequestHandler], None] = self._set
        self.asked = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                with contextlib.suppress(OSError):
                    provider.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys?v=1"

    def _set(self, handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, json.dumps({"keys": self.keys}).encode())


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


@contextlib.asynccontextmanager
async def trusting(provider: Provider, storage: Storage, **stated: Any) -> AsyncIterator[Running]:
    trust = {"jwt_jwks_url": provider.url, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_leeway_s": 0}
    async with started(storage, **{**trust, **stated}) as gateway:
        yield gateway


async def told(gateway: Running, text: str) -> Refusal | None:
    """How a token is refused; None where it is not."""
    async with AutoDevClient(gateway.public_address, text) as client:
        call = client.episodes.ListEpisodes(episode_service_pb2.ListEpisodesRequest())
        with contextlib.suppress(pytest.fail.Exception):
            return await refusal(call)
        return None


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_a_token_is_its_tenant_its_subject_and_its_roles(
    provider: Provider, storage: Storage, algorithm: str
) -> None:
    text = token(algorithm, roles=["operator", "service", "king"])
    async with trusting(provider, storage) as gateway, AutoDevClient(gateway.public_address, text) as ada:
        made = await ada.keys.CreateKey(key_service_pb2.CreateKeyRequest(request_id="k", subject="bob"))
        assert made.key.created_by == "ada"
        vouched = failed(1, verification=event_pb2.VERIFICATION_VERIFIED)
        refused = await refusal(ada.events.Publish(event_service_pb2.PublishRequest(events=[vouched])))
        assert refused.reason == "ROLE_REQUIRED"
        async with gateway.client() as acme:
            listed = await acme.keys.ListKeys(key_service_pb2.ListKeysRequest())
            assert [key.id for key in listed.keys] == [made.key.id]


async def test_a_token_with_anything_wrong_opens_nothing(provider: Provider, tmp_path: Path) -> None:
    now = int(time.time())
    stranger = ec.generate_private_key(ec.SECP256R1())
    public = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    head, body, signature = token().split(".")
    other_body = token(tenant="globex").split(".")[1]
    wrong = {
        "issuer": token(iss="https://evil.example"),
        "no issuer": token(iss=None),
        "audience": token(aud="another"),
        "no audience": token(aud=None),
        "expired": token(exp=now - 1),
        "no end": token(exp=None),
        "an end that is none": token(exp="soon"),
        "too early": token(nbf=now + 60),
        "of a time to come": token(iat=now + 60),
        "another's key": token(private=stranger),
        "unknown key": token(header={"kid": "none"}),
        "no key named": token(header={"kid": None}),
        "another's key of another kind": token("ES256", header={"kid": "RS256"}),
        "another algorithm than its key's": claiming("RS256"),
        "an algorithm that is not pinned": claiming("HS256"),
        "not signed": jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "exp": now + 60, "tenant": "acme"}, "", "none"),
        "signed by the public key as a secret": by_secret(public),
        "tampered with": f"{head}.{other_body}.{signature}",
        "without its signature": f"{head}.{body}.",
        "no tenant": token(tenant=None),
        "every tenant": token(tenant="*"),
        "a tenant that is a list": token(tenant=["acme"]),
        "no subject": token(sub=None),
        "a subject with a line's end": token(sub="ada\nroles: operator"),
        "what must be understood": token(header={"crit": ["exp"]}),
        "for something else": token(header={"typ": "logout+jwt"}),
        "too long": token(more="x" * 4800),
        "nonsense": "a.b.c",
        "an algorithm that is a list": f"{encoded({'alg': ['ES256'], 'kid': 'ES256'})}.{body}.{signature}",
        "an algorithm that is an object": f"{encoded({'alg': {}, 'kid': 'ES256'})}.{body}.{signature}",
        "an end that is too great for a number": token(exp=10**400),
        "deep": f"{'W1tbW1tb' * 600}.e30.e30",
    }
    async with trusting(provider, Storage(tmp_path)) as gateway:
        for what, text in wrong.items():
            refused = await told(gateway, text)
            assert refused is not None, what
            assert refused.code == "UNAUTHENTICATED", f"{what}: {refused}"
            assert text not in refused.message
        assert await told(gateway, token()) is None
        assert await told(gateway, claiming("ES256")) is None


async def test_a_clock_may_be_off_by_the_leeway_and_no_more(provider: Provider, tmp_path: Path) -> None:
    async with trusting(provider, Storage(tmp_path), jwt_leeway_s=60) as gateway:
        now = int(time.time())
        edges: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "exp": ({"exp": now - 30}, {"exp": now - 90}),
            "nbf": ({"nbf": now + 30}, {"nbf": now + 90}),
        }
        for name, (within, beyond) in edges.items():
            assert await told(gateway, token(**within)) is None, f"{name} within the leeway"
            refused = await told(gateway, token(**beyond))
            assert refused is not None, f"{name} beyond the leeway"
            assert refused.code == "UNAUTHENTICATED"


async def test_only_pinned_algorithms_are_accepted(provider: Provider, tmp_path: Path) -> None:
    async with trusting(provider, Storage(tmp_path), jwt_algorithms="ES256") as gateway:
        assert await told(gateway, token("ES256")) is None
        for algorithm in ("RS256", "EdDSA"):
            refused = await told(gateway, token(algorithm))
            assert refused is not None
            assert refused.code == "UNAUTHENTICATED"


async def test_claims_may_have_other_names_and_be_inside_others(provider: Provider, tmp_path: Path) -> None:
    names = {"jwt_tenant_claim": "org.name", "jwt_subject_claim": "email", "jwt_roles_claim": "scope"}
    text = token(tenant=None, org={"name": "acme"}, email="ada@acme", scope="openid operator")
    request = key_service_pb2.CreateKeyRequest(request_id="k", subject="b", roles=[access_pb2.ROLE_RUNTIME])
    async with (
        trusting(provider, Storage(tmp_path), **names) as gateway,
        AutoDevClient(gateway.public_address, text) as ada,
    ):
        assert (await ada.keys.CreateKey(request)).key.created_by == "ada@acme"


async def test_a_new_key_of_the_provider_is_fetched_and_unknown_ones_do_not_hammer_it(
    provider: Provider, tmp_path: Path
) -> None:
    fresh = ec.generate_private_key(ec.SECP256R1())
    signed = token(private=fresh, header={"kid": "fresh"})
    async with trusting(provider, Storage(tmp_path), jwt_look_again_s=0.5) as gateway:
        assert await told(gateway, token()) is None
        provider.keys.append(jwk("ES256", "fresh", fresh))
        deadline = time.monotonic() + PATIENCE_S
        while await told(gateway, signed) is not None:
            assert time.monotonic() < deadline
        asked, began = provider.asked, time.monotonic()
        for number in range(20):
            assert await told(gateway, token(header={"kid": f"k{number}"})) is not None
        assert provider.asked - asked <= 1 + (time.monotonic() - began) / 0.5


async def test_what_a_withdrawn_key_signed_ends_with_its_streams(provider: Provider, tmp_path: Path) -> None:
    async with trusting(provider, Storage(tmp_path), jwt_refresh_s=0.1, jwt_look_again_s=0.05) as gateway:
        async with (
            AutoDevClient(gateway.public_address, token("ES256")) as ada,
            AutoDevClient(gateway.public_address, token("RS256")) as bob,
        ):
            streams = [await following(client) for client in (ada, bob)]
            provider.keys = [key for key in provider.keys if key["kid"] != "ES256"]
            assert (await end_of(streams[0])).reason == "CREDENTIAL_ENDED"
            assert not streams[1].done()
            streams[1].cancel()
        assert await told(gateway, token("ES256")) is not None


async def test_what_a_key_signed_ends_when_another_key_has_its_id(provider: Provider, tmp_path: Path) -> None:
    fresh = ec.generate_private_key(ec.SECP256R1())
    async with (
        trusting(provider, Storage(tmp_path), jwt_refresh_s=0.1, jwt_look_again_s=0.05) as gateway,
        AutoDevClient(gateway.public_address, token("ES256")) as ada,
    ):
        stream, text = await following(ada), token("ES256")
        assert await told(gateway, text) is None
        provider.keys = [jwk("ES256", private=fresh) if key["kid"] == "ES256" else key for key in provider.keys]
        deadline = time.monotonic() + PATIENCE_S
        while await told(gateway, token("ES256", fresh)) is not None:
            assert time.monotonic() < deadline
        assert await told(gateway, text) is not None
        assert (await end_of(stream)).reason == "CREDENTIAL_ENDED"


async def test_streams_end_with_their_key_also_where_their_tokens_are_forgotten(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodev_gateway.identity.tokens.MOST_KNOWN", 1)
    async with (
        trusting(provider, Storage(tmp_path), jwt_refresh_s=0.1, jwt_look_again_s=0.05) as gateway,
        AutoDevClient(gateway.public_address, token("ES256")) as ada,
    ):
        stream = await following(ada)
        assert await told(gateway, token("RS256")) is None
        provider.keys = [key for key in provider.keys if key["kid"] != "ES256"]
        assert (await end_of(stream)).reason == "CREDENTIAL_ENDED"


async def test_a_token_that_expires_ends_its_streams(provider: Provider, tmp_path: Path) -> None:
    text = token(exp=int(time.time()) + 2)
    async with trusting(provider, Storage(tmp_path)) as gateway:
        async with AutoDevClient(gateway.public_address, text) as ada:
            ended = await end_of(await following(ada))
            assert (ended.code, ended.reason) == ("UNAUTHENTICATED", "CREDENTIAL_ENDED")
        refused = await told(gateway, text)
        assert refused is not None
        assert refused.reason == "CREDENTIAL_ENDED"


async def test_without_the_providers_keys_nobody_comes_in_by_a_token(provider: Provider, tmp_path: Path) -> None:
    good = provider.answer
    stated = {"jwt_refresh_s": 0.1, "jwt_look_again_s": 0.1, "jwt_stale_s": 1.0}
    async with trusting(provider, Storage(tmp_path), **stated) as gateway:
        text = token()
        assert await told(gateway, text) is None
        provider.answer = lambda handler: send(handler, 503, b"")
        assert await told(gateway, text) is None
        await asyncio.sleep(1.2)
        for each in (text, token("RS256")):
            refused = await told(gateway, each)
            assert refused is not None
            assert (refused.code, refused.reason) == ("UNAVAILABLE", "JWKS_UNAVAILABLE")
        async with gateway.client() as developer:
            await developer.episodes.ListEpisodes(episode_service_pb2.ListEpisodesRequest())
        provider.answer = good
        await asyncio.sleep(0.3)
        assert await told(gateway, text) is None


async def test_keys_may_be_in_a_file(provider: Provider, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": provider.keys}))
    async with trusting(provider, Storage(tmp_path), jwt_jwks_url="", jwt_jwks_file=file) as gateway:
        assert await told(gateway, token()) is None
    assert provider.asked == 0


def drip(handler: BaseHTTPRequestHandler) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda handler: send(handler, 302, b"", Location="/keys"), "302"),
        (lambda handler: send(handler, 500, b"{}"), "500"),
        (drip, "within"),
        (lambda handler: handler.wfile.write(b"what?\r\n\r\n"), "what?"),
        (lambda handler: None, "127.0.0.1"),
    ],
)
async def test_a_fetch_has_bounds(provider: Provider, answer: Any, why: str) -> None:
    provider.answer = answer
    began = time.monotonic()
    with pytest.raises(SourceError, match=why):
        await url_source(provider.url, None, timeout_s=0.5)()
    assert time.monotonic() - began < 5


async def test_no_more_is_read_than_a_set_may_hold(provider: Provider, tmp_path: Path) -> None:
    provider.answer = lambda handler: send(handler, 200, b" " * (3 * MOST_BYTES))
    assert len(await url_source(provider.url, None)()) == MOST_BYTES + 1
    with pytest.raises(SourceError):
        await file_source(tmp_path / "none")()


async def following(client: AutoDevClient) -> Any:
    call = client.events.Subscribe(event_service_pb2.SubscribeRequest(at=event_service_pb2.START_AT_NOW))
    await call.initial_metadata()
    return call


async def end_of(call: Any) -> Refusal:
    async def read_on() -> None:
        async for _ in call:
            pass

    async with asyncio.timeout(PATIENCE_S):
        return await refusal(read_on())
