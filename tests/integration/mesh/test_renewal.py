"""Certificates are renewed under load, and no call fails by it."""

import asyncio
import contextlib
import ssl
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_cli.certs.directory import CertificateDirectory
from autodev_cli.errors import CommandError
from autodev_cli.options import Connection, Output
from autodev_cli.target import find
from autodev_gateway.settings import Mode
from autodev_runtime import certificates as watched
from autodev_runtime.identity import service_identity
from autodev_runtime.mesh import worker
from autodev_runtime.mesh_tls import mesh_tls
from autodev_runtime.settings import ServiceSettings
from autodev_sdk import AutoDevClient, events
from autodev_sdk.channel import channel_options
from autodev_sdk.events import working
from tests.certificates import certificates_in, mesh_settings
from tests.integration.gateway.parts import failed, publish, started, until
from tests.integration.gateway.test_doors import key_file
from tests.mesh import free_ports
from tests.storage import Storages

PUBLISHERS = 8
RENEWALS = 6
PERIOD_S = 0.02


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "PERIOD_S", PERIOD_S)


class Load:
    """Publishers that call without a pause, each call counted."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = EventServiceStub(channel)
        self._more = asyncio.Event()
        self.calls = 0

    async def publish_for_ever(self) -> None:
        metadata = service_identity("learning", "acme").metadata()
        while True:
            await self._stub.Publish(pb.PublishRequest(events=[failed(self.calls)]), metadata=metadata, timeout=10)
            self.calls += 1
            self._more.set()

    async def goes_on(self, count: int = 40) -> None:
        """Wait for so many calls more."""
        enough = self.calls + count
        while self.calls < enough:
            self._more.clear()
            await self._more.wait()


async def test_no_call_fails_while_both_sides_are_renewed(tmp_path: Path) -> None:
    certificates = certificates_in(tmp_path / "certs")
    settings = ServiceSettings(port=0, **mesh_settings(certificates, "learning"))
    # Without retries, which would hide failures.
    options = [("grpc.enable_retries", 0)]
    with Storages(None).new(tmp_path) as storage:
        async with (
            started(storage, **mesh_settings(certificates, "gateway")) as gateway,
            mesh_tls("learning", settings) as tls,
            tls.channel("gateway", gateway.internal_address, options) as channel,
        ):
            metadata = service_identity("learning", "acme").metadata()
            stream = EventServiceStub(channel).Subscribe(pb.SubscribeRequest(at=pb.START_AT_NOW), metadata=metadata)
            await stream.initial_metadata()
            load = Load(channel)
            publishers = [asyncio.ensure_future(load.publish_for_ever()) for _ in range(PUBLISHERS)]
            serials = set()
            for _ in range(RENEWALS):
                await load.goes_on()
                shown = await served_certificate(gateway.internal_address, certificates, "learning")
                serials.add(shown)
                half_written(certificates)
                await load.goes_on()
                certificates.renew()
                await until_served_another(gateway.internal_address, certificates, shown)
            await load.goes_on()
            for each in publishers:
                assert not each.done() or each.exception() is None
                each.cancel()
            await asyncio.gather(*publishers, return_exceptions=True)
            # The server showed another certificate each time, and the stream of before goes on where it is.
            assert len(serials) == RENEWALS
            received = 0
            async with asyncio.timeout(20):
                async for response in stream:
                    received += len(response.events)
                    if received >= load.calls:
                        break
            stream.cancel()


def half_written(certificates: CertificateDirectory) -> None:
    """What a renewal leaves for a moment: new keys beside old certificates, then half a certificate."""
    for service, other in (("gateway", "sandbox"), ("learning", "fitness")):
        files = certificates.files(service)
        files.key.write_bytes(certificates.files(other).key.read_bytes())
        files.certificate.write_bytes(files.certificate.read_bytes()[:200])


async def served_certificate(address: str, certificates: CertificateDirectory, client: str) -> bytes:
    """The certificate that a new connection to the server sees."""
    files = certificates.files(client)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(files.authority)
    context.set_alpn_protocols(["h2"])
    host, port = address.split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return shown


async def until_served_another(address: str, certificates: CertificateDirectory, before: bytes) -> None:
    async with asyncio.timeout(10):
        while await served_certificate(address, certificates, "learning") == before:
            pass


async def test_the_public_certificate_is_renewed_too(tmp_path: Path) -> None:
    certificates = certificates_in(tmp_path / "certs")
    files = certificates.files("public")
    trusted = certificates.path.joinpath("ca.crt").read_bytes()
    with Storages(None).new(tmp_path) as storage:
        stated = {"mode": Mode.PRODUCTION, "api_keys_file": key_file(storage.directory, "the-key")}
        async with started(storage, tls_cert_file=files.certificate, tls_key_file=files.key, **stated) as gateway:
            async with AutoDevClient(gateway.public_address, "the-key", trusted) as client:
                await publish(client, [failed(1)])
                before = await served_certificate(gateway.public_address, certificates, "public")
                certificates.renew()
                await until_served_another(gateway.public_address, certificates, before)
                await publish(client, [failed(2)])
            # What the command line does with --ca-file.
            options = Connection(gateway.public_address, "the-key", tmp_path, "acme", Output.TEXT)
            async with find(replace(options, ca_file=str(certificates.path / "ca.crt"))).client() as client:
                await publish(client, [failed(3)])
            with pytest.raises(CommandError, match="--ca-file"):
                find(replace(options, ca_file="none"))


async def test_a_worker_goes_on_when_its_authority_was_replaced_while_the_gateway_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "JOIN_S", 0.5)
    certificates = certificates_in(tmp_path / "certs")
    settings = ServiceSettings(port=0, **mesh_settings(certificates, "learning"))
    seen: list[str] = []

    async def see(event: event_pb2.Event) -> None:
        seen.append(event.id)

    (port,) = free_ports(1)
    with Storages(None).new(tmp_path) as storage:
        async with (
            mesh_tls("learning", settings) as tls,
            tls.channel("gateway", f"127.0.0.1:{port}", channel_options()) as channel,
            working(worker(channel, "learning", "learning.test", {event_pb2.EVENT_TYPE_TASK_FAILED: see})),
        ):
            for number in range(2):
                stated = mesh_settings(certificates, "gateway") | {"internal_port": port}
                async with started(storage, **stated) as gateway, gateway.client() as client:
                    reported = failed(number)
                    await publish(client, [reported])
                    await until(lambda: reported.id in seen, "the worker got the event")  # noqa: B023
                # By now the worker waits for a gateway, with a certificate that will not be believed again.
                certificates.create()
