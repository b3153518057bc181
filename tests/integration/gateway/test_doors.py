"""The two doors: clients prove who they are at one, services of the mesh come in by the other."""

import asyncio
import contextlib
import hashlib
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from autodev.capability.v1 import capability_service_pb2
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_gateway.settings import Mode
from autodev_runtime.identity import Identity, Role, service_identity
from autodev_sdk import AutoDevClient, make_event
from tests.conftest import require
from tests.integration.gateway.parts import Running, failed, publish, read, started
from tests.serving import refusal
from tests.storage import Storage

SERVICES = {
    "autodev.capability.v1.CapabilityService",
    "autodev.fitness.v1.FitnessService",
    "autodev.gateway.v1.AuditService",
    "autodev.gateway.v1.EpisodeService",
    "autodev.gateway.v1.EventService",
    "autodev.gateway.v1.KeyService",
    "autodev.gateway.v1.WebhookService",
    "autodev.learning.v1.AdvisorService",
    "autodev.learning.v1.EvolverService",
    "autodev.learning.v1.MementoService",
    "autodev.learning.v1.ReflectionService",
    "autodev.learning.v1.ReviewService",
    "autodev.learning.v1.SkillService",
    "autodev.sandbox.v1.SandboxService",
}


@contextlib.asynccontextmanager
async def stub_at(address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield EventServiceStub(channel)


async def test_each_tenants_key_opens_its_own_log_only(acme: AutoDevClient, globex: AutoDevClient) -> None:
    one, other = failed(1), failed(2)
    await publish(acme, [one])
    await publish(globex, [other])
    assert [event.id for event in await read(acme, 1, at=pb.START_AT_EARLIEST)] == [one.id]
    assert [event.id for event in await read(globex, 1, at=pb.START_AT_EARLIEST)] == [other.id]


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer wrong"),),
        (("authorization", "wrong"),),
        service_identity("learning").metadata(),
        Identity("acme", "mallory", frozenset({Role.OPERATOR})).metadata(),
    ],
)
async def test_without_a_key_nothing_is_served_at_the_public_door(
    gateway: Running, metadata: tuple[tuple[str, str], ...]
) -> None:
    async with grpc.aio.insecure_channel(gateway.public_address) as channel:
        calls: list[Any] = [
            EventServiceStub(channel).Publish(pb.PublishRequest(events=[failed(1)]), metadata=metadata),
            EventServiceStub(channel).Subscribe(pb.SubscribeRequest(), metadata=metadata).read(),
            CapabilityServiceStub(channel).CheckCapability(
                capability_service_pb2.CheckCapabilityRequest(agent_id="a", capability="c"), metadata=metadata
            ),
        ]
        for call in calls:
            assert (await refusal(call)).code == "UNAUTHENTICATED"


async def test_a_client_cannot_make_itself_a_service(gateway: Running, globex: AutoDevClient) -> None:
    theirs = failed(1)
    await publish(globex, [theirs])
    claims = (("authorization", f"Bearer {gateway.key('acme')}"), *service_identity("learning").metadata())
    promoted = make_event(event_pb2.SkillPromoted(skill_id="s-1"))
    promoted.tenant_id = "globex"
    async with stub_at(gateway.public_address) as stub:
        told = await refusal(stub.Publish(pb.PublishRequest(events=[promoted]), metadata=claims))
        assert (told.code, told.reason) == ("PERMISSION_DENIED", "SERVICE_EVENT")
        own = failed(2)
        own.tenant_id = "globex"
        await stub.Publish(pb.PublishRequest(events=[own]), metadata=claims)
        stream = stub.Subscribe(pb.SubscribeRequest(at=pb.START_AT_EARLIEST), metadata=claims)
        seen = [(event.id, event.tenant_id) for event in (await stream.read()).events]
        stream.cancel()
    assert seen == [(own.id, "acme")]


async def test_the_internal_door_serves_events_and_episodes_only(gateway: Running) -> None:
    async with gateway.service() as channel:
        request = capability_service_pb2.CheckCapabilityRequest(agent_id="a", capability="c")
        assert (await refusal(CapabilityServiceStub(channel).CheckCapability(request))).code == "UNIMPLEMENTED"
    async with stub_at(gateway.internal_address) as stub:
        told = await refusal(stub.Publish(pb.PublishRequest(events=[failed(1)])))
        assert told.code == "UNAUTHENTICATED"
    assert gateway.internal_address.startswith("127.0.0.1:")


async def names_at(address: str) -> set[str]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)

        async def asked() -> AsyncIterator[Any]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")

        async for answer in stub.ServerReflectionInfo(asked()):
            return {each.name for each in answer.list_services_response.service}
    return set()


async def test_reflection_shows_what_each_door_serves(gateway: Running) -> None:
    standard = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert await names_at(gateway.public_address) == SERVICES | standard
    own = {"autodev.gateway.v1.EpisodeService", "autodev.gateway.v1.EventService"}
    assert await names_at(gateway.internal_address) == own | standard


async def test_reflection_describes_the_methods_that_are_forwarded(gateway: Running) -> None:
    async with grpc.aio.insecure_channel(gateway.public_address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)

        async def asked() -> AsyncIterator[Any]:
            for name in sorted(SERVICES):
                yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)

        answers = [answer async for answer in stub.ServerReflectionInfo(asked())]
    assert len(answers) == len(SERVICES)
    assert all(answer.HasField("file_descriptor_response") for answer in answers)


async def test_health_needs_no_key_and_knows_services_from_strangers(gateway: Running) -> None:
    async with grpc.aio.insecure_channel(gateway.public_address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        told = await refusal(health.Check(health_pb2.HealthCheckRequest(service="nobody")))
        assert told.code == "NOT_FOUND"


def key_file(directory: Path, key: str, *roles: str) -> Path:
    line = {
        "tenant": "acme",
        "subject": "ada",
        "roles": roles,
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
    }
    path = directory / "keys.json"
    path.write_text(json.dumps([line]))
    return path


async def test_in_production_the_keys_are_the_files_and_development_keys_open_nothing(storage: Storage) -> None:
    async with started(storage) as gateway:
        development_key = gateway.key("acme")
    keys = key_file(storage.directory, "the-key")
    async with started(storage, mode=Mode.PRODUCTION, api_keys_file=keys) as gateway:
        async with AutoDevClient(gateway.public_address, "the-key") as client:
            await publish(client, [failed(1)])
            vouched = failed(2, verification=event_pb2.VERIFICATION_VERIFIED)
            assert (await refusal(publish(client, [vouched]))).reason == "ROLE_REQUIRED"
            run = event_pb2.SkillExecutionEvent(execution_id="x", agent_id="ada", skill_id="s-1", expected="2")
            assert (await refusal(publish(client, [make_event(run)]))).reason == "ROLE_REQUIRED"
            run.ClearField("expected")
            await publish(client, [make_event(run)])
        async with AutoDevClient(gateway.public_address, development_key) as client:
            assert (await refusal(publish(client, [failed(3)]))).code == "UNAUTHENTICATED"


async def test_a_key_that_left_the_file_opens_nothing(storage: Storage) -> None:
    for key, other in (("first", "second"), ("second", "first")):
        keys = key_file(storage.directory, key)
        async with started(storage, mode=Mode.PRODUCTION, api_keys_file=keys) as gateway:
            async with AutoDevClient(gateway.public_address, key) as client:
                await publish(client, [failed(1)])
            async with AutoDevClient(gateway.public_address, other) as client:
                assert (await refusal(publish(client, [failed(1)]))).code == "UNAUTHENTICATED"


async def certificate_in(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    require(shutil.which("openssl"), "openssl is needed to make a certificate")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(key), "-out", str(certificate))
    made = await asyncio.create_subprocess_exec("openssl", "req", *kind, *subject, *files, stderr=subprocess.PIPE)
    _, said = await made.communicate()
    assert made.returncode == 0, said
    return certificate, key


async def test_with_a_certificate_the_public_door_speaks_tls_only(storage: Storage) -> None:
    certificate, key = await certificate_in(storage.directory)
    stated = {"mode": Mode.PRODUCTION, "api_keys_file": key_file(storage.directory, "the-key")}
    async with started(storage, tls_cert_file=certificate, tls_key_file=key, **stated) as gateway:
        async with AutoDevClient(gateway.public_address, "the-key", certificate.read_bytes()) as client:
            event = failed(1)
            await publish(client, [event])
            assert [each.id for each in await read(client, 1, at=pb.START_AT_EARLIEST)] == [event.id]
        async with AutoDevClient(gateway.public_address, "the-key") as client:
            assert (await refusal(publish(client, [failed(2)]))).code == "UNAVAILABLE"
        host, port = gateway.public_address.split(":")
        shown = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
        assert shown.strip() == certificate.read_text().strip()


async def test_no_key_is_stored_anywhere_but_in_its_file(
    gateway: Running, acme: AutoDevClient, storage: Storage
) -> None:
    await publish(acme, [failed(1)])
    key = gateway.key("acme")
    tables = {
        table: await storage.rows("gateway", f"SELECT * FROM {table}") for table in await storage.tables("gateway")
    }
    assert tables["events"]
    assert key not in repr(tables)
    files = [path for path in gateway.settings.data_dir.rglob("*") if path.is_file() and path.suffix != ".key"]
    assert [path for path in files if key.encode() in path.read_bytes()] == []
