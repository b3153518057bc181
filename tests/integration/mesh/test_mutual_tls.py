"""Who gets through a door of the mesh's own, over real sockets: a gateway's internal door with its certificate."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_cli.certs.authority import Authority, Pair, Subject
from autodev_cli.certs.directory import CertificateDirectory
from autodev_runtime.identity import Identity, Role, service_identity
from autodev_runtime.peers import CALLERS, Callers, name_of
from autodev_runtime.probe import serves
from autodev_sdk.channel import channel_options
from tests.certificates import certificates_in, mesh_settings, mesh_tls_of, mesh_variables
from tests.integration.gateway.parts import Running, failed, started
from tests.serving import Refusal, refusal
from tests.storage import Storage, Storages

LEARNING = service_identity("learning", "acme")
TIMEOUT_S = 5.0


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    """On one engine: the door is the same on both."""
    with Storages(None).new(tmp_path) as made:
        yield made


@pytest.fixture
def certificates(tmp_path: Path) -> CertificateDirectory:
    return certificates_in(tmp_path / "certs")


@contextlib.asynccontextmanager
async def opened(storage: Storage, certificates: CertificateDirectory, **stated: object) -> AsyncIterator[Running]:
    """A gateway whose internal door other machines could reach."""
    stated = {"internal_host": "0.0.0.0", **mesh_settings(certificates, "gateway"), **stated}
    async with started(storage, **stated) as gateway:
        yield gateway


async def publish(channel: grpc.aio.Channel, identity: Identity = LEARNING) -> int:
    """How many events got through, of one."""
    request = pb.PublishRequest(events=[failed(1)])
    answer = await EventServiceStub(channel).Publish(request, metadata=identity.metadata(), timeout=TIMEOUT_S)
    return len(answer.cursors)


async def refused(channel: grpc.aio.Channel, identity: Identity = LEARNING) -> Refusal:
    async with channel:
        return await refusal(publish(channel, identity))


def with_pair(authority: bytes, pair: Pair | None, address: str, peer: str = "gateway") -> grpc.aio.Channel:
    """A channel with any certificate, or none. Without retries: a handshake that fails is not told apart by them."""
    credentials = grpc.ssl_channel_credentials(authority, *((pair.key, pair.certificate) if pair else ()))
    return grpc.aio.secure_channel(address, credentials, [("grpc.ssl_target_name_override", name_of(peer))])


async def test_a_service_with_its_certificate_comes_in(storage: Storage, certificates: CertificateDirectory) -> None:
    async with opened(storage, certificates) as gateway:
        for service in CALLERS["gateway"]:
            tls = mesh_tls_of(certificates, service)
            async with tls.channel("gateway", gateway.internal_address, channel_options()) as channel:
                assert await publish(channel, service_identity(service, "acme")) == 1


async def test_whom_the_authority_did_not_sign_is_turned_away_before_any_call(
    storage: Storage, certificates: CertificateDirectory
) -> None:
    subject = Subject("learning", [name_of("learning")], client=True)
    authority = certificates.authority()
    stranger = Authority.new(timedelta(days=1)).issue(subject, timedelta(days=1))
    expired = authority.issue(subject, timedelta(hours=1), now=datetime.now(UTC) - timedelta(hours=2))
    servers_only = authority.issue(Subject("learning", [name_of("learning")]), timedelta(days=1))
    trusted = authority.pair.certificate
    async with opened(storage, certificates) as gateway:
        for pair in (None, stranger, expired, servers_only):
            assert (await refused(with_pair(trusted, pair, gateway.internal_address))).code == "UNAVAILABLE"
        async with with_pair(trusted, authority.issue(subject, timedelta(days=1)), gateway.internal_address) as channel:
            assert await publish(channel) == 1


async def test_plain_text_gets_nowhere(storage: Storage, certificates: CertificateDirectory) -> None:
    async with opened(storage, certificates) as gateway:
        assert (await refused(grpc.aio.insecure_channel(gateway.internal_address))).code == "UNAVAILABLE"


@pytest.mark.parametrize("names", [("sandbox",), ("gateway",), ("learning", "gateway"), ("nobody",), ()])
async def test_only_services_that_ask_the_gateway_may_speak_at_its_internal_door(
    names: tuple[str, ...], storage: Storage, certificates: CertificateDirectory
) -> None:
    authority = certificates.authority()
    subject = Subject("learning", [*map(name_of, names), "localhost"], client=True)
    pair = authority.issue(subject, timedelta(days=1))
    async with opened(storage, certificates) as gateway:
        told = await refused(with_pair(authority.pair.certificate, pair, gateway.internal_address))
        assert (told.code, told.reason) == ("PERMISSION_DENIED", "PEER_REFUSED")


@pytest.mark.parametrize(
    "stated",
    [
        service_identity("capability"),
        service_identity("gateway", "acme"),
        Identity("*", "somebody", frozenset({Role.OPERATOR})),
    ],
)
async def test_a_service_may_act_as_itself_and_as_callers_only(
    stated: Identity, storage: Storage, certificates: CertificateDirectory
) -> None:
    async with opened(storage, certificates) as gateway:
        tls = mesh_tls_of(certificates, "learning")
        told = await refused(tls.channel("gateway", gateway.internal_address, ()), stated)
        assert (told.code, told.reason) == ("PERMISSION_DENIED", "PEER_REFUSED")
        async with tls.channel("gateway", gateway.internal_address, ()) as channel:
            assert await publish(channel, Identity("acme", "ada", frozenset({Role.RUNTIME}))) == 1


async def test_a_client_turns_away_a_server_that_is_another_service(
    storage: Storage, certificates: CertificateDirectory
) -> None:
    async with opened(storage, certificates) as gateway:
        # The gateway's own certificate, at the address at which somebody expects the sandbox.
        tls = mesh_tls_of(certificates, "learning")
        told = await refused(tls.channel("sandbox", gateway.internal_address, ()))
        assert told.code == "UNAVAILABLE"
        assert "Hostname Verification" in told.message


async def test_clients_of_the_public_door_are_not_let_in_by_a_mesh_certificate(
    storage: Storage, certificates: CertificateDirectory
) -> None:
    files = certificates.files("public")
    async with opened(storage, certificates, tls_cert_file=files.certificate, tls_key_file=files.key) as gateway:
        trusted, own = certificates.path.joinpath("ca.crt").read_bytes(), certificates.files("learning")
        pair = Pair(own.certificate.read_bytes(), own.key.read_bytes())
        credentials = grpc.ssl_channel_credentials(trusted, pair.key, pair.certificate)
        told = await refused(grpc.aio.secure_channel(gateway.public_address, credentials))
        assert told.code == "UNAUTHENTICATED"


async def test_the_probe_speaks_with_the_services_own_certificate(
    storage: Storage, certificates: CertificateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(storage, certificates) as gateway:
        assert not await asyncio.to_thread(serves, gateway.internal_address)
        for name, value in mesh_variables(certificates, "gateway").items():
            monkeypatch.setenv(name, value)
        assert not await asyncio.to_thread(serves, gateway.internal_address)
        assert await asyncio.to_thread(serves, gateway.internal_address, "gateway")
        for name, value in mesh_variables(certificates, "gateway").items():
            monkeypatch.setenv(name.replace("_GATEWAY", ""), value)
        assert await asyncio.to_thread(serves, gateway.internal_address)


def test_every_door_is_open_to_those_alone_that_ask_there() -> None:
    services = set(CALLERS)
    for service in services:
        for caller in services:
            callers = Callers.of(service)
            if caller in CALLERS[service]:
                callers.check([name_of(caller)], service_identity(caller))
            else:
                with pytest.raises(Exception, match="may not call"):
                    callers.check([name_of(caller)], service_identity(caller))
    assert not any("sandbox" in callers for callers in CALLERS.values())
