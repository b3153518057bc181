"""Replicas share the work: clients use all of them, find those that were added, and lose nothing when one goes."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.sandbox.v1 import sandbox_service_pb2 as sandbox
from autodev_cli.certs.directory import CertificateDirectory
from autodev_sdk import AutoDevClient, EventWorker, WorkerOptions, follow
from autodev_sdk.events import working
from tests.certificates import certificates_in, mesh_settings, mesh_variables
from tests.integration.gateway.parts import PATIENCE_S, failed, publish, started, until
from tests.integration.gateway.parts import working as worker_stream
from tests.integration.mesh.dns import NameServer
from tests.mesh import eventually, free_ports
from tests.serving import refusal
from tests.storage import Storage, Storages

FIRST, SECOND = "127.0.0.1", "127.0.0.2"
AGE_S = 0.4


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with Storages(None).new(tmp_path) as made:
        yield made


@dataclass
class Replica:
    """A sandbox service's process."""

    process: subprocess.Popen[bytes]
    host: str
    metrics_port: int

    def calls(self) -> int:
        """How many calls it has served."""
        with urllib.request.urlopen(f"http://{self.host}:{self.metrics_port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        counts = [line.rpartition(" ")[2] for line in lines if line.startswith("autodev_rpc_calls_total{")]
        return int(sum(map(float, counts)))

    def end(self) -> None:
        """Drain it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


class Replicas:
    """Sandbox services on one port, each at a loopback address of its own, with the same certificate."""

    def __init__(self, directory: Path, certificates: CertificateDirectory) -> None:
        self._directory = directory
        self._certificates = certificates
        self.port, self._metrics_port = free_ports(2)
        self.running: list[Replica] = []

    async def start(self, host: str) -> Replica:
        """One more, which listens."""
        replica = self._launch(host)
        self.running.append(replica)

        async def listens() -> bool:
            try:
                await asyncio.to_thread(replica.calls)
            except OSError:
                return False
            return True

        await eventually(listens, f"{host} listens")
        return replica

    def _launch(self, host: str) -> Replica:
        stated = {
            "HOST": host,
            "PORT": str(self.port),
            "METRICS_HOST": host,
            "METRICS_PORT": str(self._metrics_port),
            "DATA_DIR": str(self._directory),
            # What it can run does not matter here, and nothing has to be made for it.
            "LEVELS": "process",
            "MAX_CONNECTION_AGE_S": "1",
        }
        variables = {f"AUTODEV_SANDBOX_{name}": value for name, value in stated.items()}
        with (self._directory / f"{host}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "autodev_sandbox"],
                env=variables | mesh_variables(self._certificates, "sandbox"),
                stdout=log,
                stderr=log,
            )
        return Replica(process, host, self._metrics_port)


@contextlib.asynccontextmanager
async def replicas_in(directory: Path, certificates: CertificateDirectory) -> AsyncIterator[Replicas]:
    replicas = Replicas(directory, certificates)
    try:
        yield replicas
    finally:
        for each in replicas.running:
            each.process.kill()
            each.process.wait()


async def ask(client: AutoDevClient, times: int = 1) -> None:
    """Calls that the gateway forwards to the sandbox service. A call that fails ends the test."""
    for _ in range(times):
        await client.sandbox.GetSandboxStatus(sandbox.GetSandboxStatusRequest(), timeout=20)


async def test_the_gateway_uses_every_replica_and_loses_no_call_when_one_goes(tmp_path: Path, storage: Storage) -> None:
    certificates = certificates_in(tmp_path / "certs")
    async with replicas_in(tmp_path, certificates) as replicas:
        first, second = await asyncio.gather(replicas.start(FIRST), replicas.start(SECOND))
        stated = mesh_settings(certificates, "gateway")
        stated["sandbox_address"] = f"ipv4:{FIRST}:{replicas.port},{SECOND}:{replicas.port}"
        async with started(storage, **stated) as gateway, gateway.client() as client:
            # Until both are connected, the first one there gets them all.
            async with asyncio.timeout(PATIENCE_S):
                while not (first.calls() and second.calls()):
                    await ask(client)
            before = first.calls(), second.calls()
            await ask(client, 40)
            shares = [replica.calls() - count for replica, count in zip((first, second), before, strict=True)]
            assert sum(shares) == 40
            assert min(shares) >= 10

            asking = asyncio.ensure_future(ask(client, 150))
            await asyncio.to_thread(second.end)
            await asking
            assert second.process.returncode == 0


async def test_a_replica_that_was_added_to_the_name_is_found(tmp_path: Path, storage: Storage) -> None:
    certificates = certificates_in(tmp_path / "certs")
    async with replicas_in(tmp_path, certificates) as replicas, NameServer([FIRST]) as names:
        await replicas.start(FIRST)
        stated = mesh_settings(certificates, "gateway")
        stated["sandbox_address"] = f"dns://127.0.0.1:{names.port}/sandbox.test:{replicas.port}"
        async with started(storage, **stated) as gateway, gateway.client() as client:
            await ask(client)
            second = await replicas.start(SECOND)
            names.addresses = [FIRST, SECOND]
            # The first replica ends the connection for its age, and the name is looked up again.
            async with asyncio.timeout(PATIENCE_S):
                while not second.calls():
                    await ask(client)
                    await asyncio.sleep(0.05)


async def test_an_old_subscription_ends_and_is_resumed_without_gap_or_repeat(storage: Storage) -> None:
    async with started(storage, max_connection_age_s=AGE_S) as gateway, gateway.client() as client:
        stream = client.events.Subscribe(pb.SubscribeRequest(at=pb.START_AT_EARLIEST))
        told = await refusal(anext(aiter(stream)))
        assert (told.code, told.reason) == ("UNAVAILABLE", "DRAINING")

        received: list[str] = []
        sent: list[str] = []

        async def receive() -> None:
            async for answer in follow(client.events, pb.SubscribeRequest(at=pb.START_AT_EARLIEST)):
                received.extend(event.id for event in answer.events)

        following = asyncio.ensure_future(receive())
        async with asyncio.timeout(PATIENCE_S):
            for number in range(40):
                event = failed(number)
                sent.append(event.id)
                await publish(client, [event])
                await asyncio.sleep(AGE_S / 10)
        await until(lambda: len(received) >= len(sent), "everything came")
        following.cancel()
        assert received == sent


async def test_following_raises_what_cannot_be_resumed(storage: Storage) -> None:
    async with started(storage) as gateway:
        async with AutoDevClient(gateway.public_address, "no-key") as client:
            told = await refusal(anext(follow(client.events, pb.SubscribeRequest())))
            assert told.code == "UNAUTHENTICATED"
        address = gateway.public_address
    async with AutoDevClient(address, "no-key") as client:
        told = await refusal(anext(follow(client.events, pb.SubscribeRequest())))
        assert told.code == "UNAVAILABLE"


async def test_an_old_worker_joins_again_and_is_never_told_to_go_in_the_midst_of_an_event(storage: Storage) -> None:
    async with started(storage, max_connection_age_s=AGE_S) as gateway, gateway.client() as client:
        done: list[str] = []
        began: list[str] = []

        async def handle(event: event_pb2.Event) -> None:
            began.append(event.id)
            # Longer than a stream gets old, now and then.
            await asyncio.sleep(AGE_S * 2 if len(began) % 10 == 1 else AGE_S / 20)
            done.append(event.id)

        events = [failed(number) for number in range(30)]
        options = WorkerOptions(max_in_flight=2)
        worker = EventWorker(client.events, "test", {event_pb2.EVENT_TYPE_TASK_FAILED: handle}, options)
        async with working(worker):
            await publish(client, events)
            await until(lambda: len(done) >= len(events), "all are done")
        assert sorted(began) == sorted(done) == sorted(event.id for event in events)


async def test_a_worker_that_never_pauses_gets_nothing_more_after_a_while(storage: Storage) -> None:
    # It gets nothing more from 1.2 s on, and gRPC ends it at 2.2 s at the earliest.
    age = {"max_connection_age_s": 0.2, "max_connection_grace_s": 2.0}
    async with started(storage, **age) as gateway, gateway.client() as client:
        await publish(client, [failed(number) for number in range(5)])
        async with worker_stream(client, at=pb.START_AT_EARLIEST, max_in_flight=2) as stream:
            # One of two is in its hands at any time, so that the stream is never idle by itself.
            older, newer = await stream.next(), await stream.next()
            await asyncio.sleep(1.3)
            stream.acknowledge(older)
            stream.acknowledge(newer)
            told = await refusal(stream.next())
            assert (told.code, told.reason) == ("UNAVAILABLE", "DRAINING")
