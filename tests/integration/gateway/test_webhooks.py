"""Webhooks over real HTTP, kept by a real gateway, passed on to a real fitness service."""

import asyncio
import contextlib
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from pydantic import ValidationError

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev_gateway.metrics import WEBHOOK_DELIVERIES
from autodev_gateway.settings import GatewaySettings, Mode
from autodev_gateway.webhooks.delivery import LEASE_US
from autodev_gateway.webhooks.store import LONGEST_WAIT_US, Kept, Key, Receipt, ReceiptStore, Settlement, State
from autodev_runtime.identity import Identity, Metadata, identity_from_metadata
from autodev_runtime.migrations import upgrade
from autodev_runtime.peers import Callers, name_of
from autodev_runtime.pipeline import Authenticate
from autodev_runtime.server import Endpoint, running
from autodev_runtime.settings import ServiceSettings
from tests.clock import Clock
from tests.integration.fitness.parts import Parts, create, made
from tests.integration.gateway.parts import ACME, GLOBEX, Running, started
from tests.integration.gateway.test_doors import certificate_in, key_file
from tests.mesh import eventually, free_ports
from tests.serving import acting
from tests.storage import Storage
from tests.webhooks import OTHER_SECRET, SECRET, Sender, allow, body_of, headers_of

RECEIPTS = "SELECT webhook_id, state, attempts FROM webhook_receipts ORDER BY webhook_id"
RACERS = 50
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Hooked:
    """A gateway that takes webhooks, and the fitness service that stands behind it."""

    gateway: Running
    sender: Sender
    fitness_parts: Parts
    fitness_port: int
    storage: Storage
    sources: Path

    @contextlib.asynccontextmanager
    async def fitness(
        self, tenant: str = ACME, authenticate: Authenticate = identity_from_metadata
    ) -> AsyncIterator[Any]:
        """The fitness service serves within the block; what a tenant sees of it."""
        endpoint = Endpoint(f"127.0.0.1:{self.fitness_port}", [self.fitness_parts.served], authenticate)
        async with (
            running("fitness", ServiceSettings(port=0, drain_s=0), [endpoint]),
            grpc.aio.insecure_channel(endpoint.address) as channel,
        ):
            yield FitnessServiceStub(acting(channel, tenant))

    async def state(self, webhook_id: str) -> str | None:
        """How far a webhook is."""
        return {name: state for name, state, _ in await self.storage.rows("gateway", RECEIPTS)}.get(webhook_id)

    async def is_settled(self, webhook_id: str, state: State) -> None:
        """Wait until a receipt has a state."""

        async def has_it() -> bool:
            return await self.state(webhook_id) == state.value

        await eventually(has_it, f"the webhook is {state.value}", PATIENCE_S)


@contextlib.asynccontextmanager
async def hooked(storage: Storage, **stated: Any) -> AsyncIterator[Hooked]:
    """A gateway with webhooks on; fitness behind it is still down."""
    sources = allow(storage.directory / "sources.json", crm=(ACME, [SECRET]), shop=(GLOBEX, [OTHER_SECRET]))
    port, fitness_port = free_ports(2)
    settings = {
        "webhook_port": port,
        "webhook_secrets_file": sources,
        "fitness_address": f"127.0.0.1:{fitness_port}",
        **stated,
    }
    async with (
        made(storage, Clock()) as parts,
        started(storage, **settings) as gateway,
        aiohttp.ClientSession() as session,
    ):
        await eventually(lambda: _listens(port), "webhooks come in", PATIENCE_S)
        yield Hooked(gateway, Sender(session, f"http://127.0.0.1:{port}"), parts, fitness_port, storage, sources)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
def files(tmp_path: Path) -> Storage:
    """For what has nothing to do with the database."""
    return Storage(tmp_path)


@pytest_asyncio.fixture
async def hooks(storage: Storage) -> AsyncIterator[Hooked]:
    async with hooked(storage) as made:
        yield made


async def score_of(fitness: Any, variant_id: str) -> float:
    answer = await fitness.GetVariant(pb.GetVariantRequest(variant_id=variant_id))
    return float(answer.variant.fitness_score)


async def is_scored(fitness: Any, variant_id: str, score: float) -> None:
    async def has_it() -> bool:
        return await score_of(fitness, variant_id) == pytest.approx(score)

    await eventually(has_it, f"the score is {score}", PATIENCE_S)


async def test_what_the_world_says_reaches_the_score(hooks: Hooked) -> None:
    async with hooks.fitness() as fitness:
        variant = await create(fitness)
        sent = await hooks.sender.send(body_of("conversion_value", variant.id, value=250), "msg_1")
        assert (sent.status, sent.body) == (202, {"id": "msg_1", "state": "pending"})
        await is_scored(fitness, variant.id, 0.25)
        await hooks.sender.send(body_of("invoice_created", variant.id), "msg_2")
        await is_scored(fitness, variant.id, 0.65)
        await hooks.sender.send(body_of("email_bounce", variant.id), "msg_3")
        await is_scored(fitness, variant.id, 0.35)
        found = (await fitness.GetVariant(pb.GetVariantRequest(variant_id=variant.id))).variant
        assert {each.id for each in found.external_signals} == {"crm:msg_1", "crm:msg_2", "crm:msg_3"}
        await hooks.is_settled("msg_3", State.DELIVERED)


async def test_the_same_webhook_by_many_at_once_counts_once(hooks: Hooked) -> None:
    async with hooks.fitness() as fitness:
        variant = await create(fitness)
        body = body_of("invoice_created", variant.id)
        replies = await asyncio.gather(*(hooks.sender.send(body, "msg_1") for _ in range(RACERS)))
        assert {reply.status for reply in replies} == {202}
        await is_scored(fitness, variant.id, 0.4)
        await hooks.is_settled("msg_1", State.DELIVERED)
        again = await hooks.sender.send(body, "msg_1")
        assert (again.status, again.body["state"]) == (202, "delivered")
        assert await score_of(fitness, variant.id) == pytest.approx(0.4)


async def test_nobody_takes_a_webhooks_id_before_it_comes(hooks: Hooked) -> None:
    async with hooks.fitness() as fitness, hooks.gateway.client() as client:
        variant = await create(fitness)
        taken = pb.ExternalSignal(id="crm:msg_1", conversion_value=0)
        request = pb.EvaluateDelayedWebhookRequest(variant_id=variant.id, signals=[taken])
        assert (await client.fitness.EvaluateDelayedWebhook(request)).accepted == 1
        assert (await hooks.sender.send(body_of("invoice_created", variant.id), "msg_1")).status == 202
        await is_scored(fitness, variant.id, 0.4)
        await hooks.is_settled("msg_1", State.DELIVERED)


async def test_an_id_with_another_body_is_refused(hooks: Hooked) -> None:
    assert (await hooks.sender.send(body_of("invoice_created", "v-1"), "msg_1")).status == 202
    told = await hooks.sender.send(body_of("email_bounce", "v-1"), "msg_1")
    assert told.status == 409
    assert told.reason == "ID_REUSED"


async def test_a_source_speaks_for_its_tenant_alone(hooks: Hooked) -> None:
    shop = replace(hooks.sender, source="shop", secret=OTHER_SECRET)
    async with hooks.fitness() as acme, hooks_of(hooks, GLOBEX) as globex:
        ours, theirs = await create(acme), await create(globex)
        # The same id of two senders is two webhooks.
        await hooks.sender.send(body_of("invoice_created", ours.id), "msg_1")
        await shop.send(body_of("crm_conversion", theirs.id), "msg_1")
        await is_scored(acme, ours.id, 0.4)
        await is_scored(globex, theirs.id, 0.5)
        await shop.send(body_of("email_bounce", ours.id), "msg_2")
        await hooks.sender.send(body_of("email_bounce", ours.id), "msg_3")
        await hooks.is_settled("msg_3", State.DELIVERED)
        assert await score_of(acme, ours.id) == pytest.approx(0.1)
        assert await hooks.state("msg_2") == "pending"


@contextlib.asynccontextmanager
async def hooks_of(hooks: Hooked, tenant: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{hooks.fitness_port}") as channel:
        yield FitnessServiceStub(acting(channel, tenant))


async def test_whatever_is_wrong_with_a_signature_the_answer_is_the_same(hooks: Hooked) -> None:
    body = body_of("invoice_created", "v-1")
    right = headers_of(body, "msg_1", SECRET)
    wrong = [
        {},
        {**right, "webhook-signature": ""},
        {**right, "webhook-signature": right["webhook-signature"].swapcase()},
        {**right, "webhook-id": "msg_2"},
        {**right, "webhook-timestamp": str(int(time.time()) + 1)},
        headers_of(body, "msg_1", OTHER_SECRET),
        headers_of(body, "msg_1", SECRET, at_s=time.time() - 310),
        headers_of(body, "msg_1", SECRET, at_s=time.time() + 310),
    ]
    replies = [await hooks.sender.post(body, headers) for headers in wrong]
    replies.append(await hooks.sender.post(body + b" ", right))
    for source in ("shop", "nobody", "", "a/b"):
        replies.append(await replace(hooks.sender, source=source).post(body, right))
    assert {(reply.status, json.dumps(reply.body)) for reply in replies} == {(401, json.dumps(replies[0].body))}
    assert await hooks.storage.rows("gateway", RECEIPTS) == []
    assert (await hooks.sender.post(body, right)).status == 202


async def test_secrets_are_exchanged_without_a_pause(hooks: Hooked) -> None:
    async def taken(secret: str) -> bool:
        reply = await replace(hooks.sender, secret=secret).send(body_of("invoice_created", "v-1"))
        return reply.status == 202

    async def refused(secret: str) -> bool:
        return not await taken(secret)

    assert await taken(SECRET)
    assert await refused(OTHER_SECRET)
    allow(hooks.sources, crm=(ACME, [OTHER_SECRET, SECRET]))
    await eventually(lambda: taken(OTHER_SECRET), "the other secret is taken", PATIENCE_S)
    assert await taken(SECRET)
    allow(hooks.sources, crm=(ACME, [OTHER_SECRET]))
    await eventually(lambda: refused(SECRET), "the first secret is refused", PATIENCE_S)
    assert await taken(OTHER_SECRET)


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        (b"{", 400, ["body"]),
        (b'{"type": "sold", "data": {"variant_id": "v-1"}}', 422, ["type"]),
        (b'{"type": "conversion_value", "data": {"variant_id": "v-1", "value": -1}}', 422, ["data.value"]),
    ],
)
async def test_what_cannot_be_right_is_refused_by_its_fields(
    files: Storage, body: bytes, status: int, fields: list[str]
) -> None:
    async with hooked(files) as hooks:
        told = await hooks.sender.send(body)
        assert (told.status, [each["field"] for each in told.body["error"]["fields"]]) == (status, fields)
        assert await hooks.storage.rows("gateway", RECEIPTS) == []


async def test_the_webhooks_that_are_given_up_are_counted_from_0(files: Storage) -> None:
    WEBHOOK_DELIVERIES.clear()
    async with hooked(files):
        assert REGISTRY.get_sample_value("autodev_webhook_deliveries_total", {"outcome": "dead"}) == 0


async def test_a_variant_that_comes_later_is_waited_for_and_one_that_does_not_is_given_up(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    async with hooked(storage, webhook_unknown_variant_s=0) as hooks, hooks.fitness() as fitness:
        body = body_of("invoice_created", "v-unknown")
        before = REGISTRY.get_sample_value("autodev_webhook_deliveries_total", {"outcome": "dead"}) or 0
        with caplog.at_level(logging.ERROR):
            await hooks.sender.send(body, "msg_1")
            await hooks.is_settled("msg_1", State.DEAD)
        assert "webhook msg_1 of crm is given up" in caplog.text
        assert REGISTRY.get_sample_value("autodev_webhook_deliveries_total", {"outcome": "dead"}) == before + 1
        # The sender's own "send again" is what brings it back.
        assert (await hooks.sender.send(body, "msg_1")).body["state"] == "pending"
        await hooks.is_settled("msg_1", State.DEAD)
        assert (await create(fitness)).id
    async with hooked(storage) as hooks, hooks.fitness():
        await hooks.sender.send(body_of("invoice_created", "v-unknown"), "msg_2")

        async def tried() -> bool:
            rows = await storage.rows("gateway", "SELECT error FROM webhook_receipts WHERE webhook_id = 'msg_2'")
            return "NOT_FOUND" in rows[0][0]

        await eventually(tried, "it was tried", PATIENCE_S)
        assert await hooks.state("msg_2") == "pending"


async def test_while_fitness_is_away_webhooks_are_kept(hooks: Hooked) -> None:
    async with hooks.fitness() as fitness:
        variant = await create(fitness)
    body = body_of("conversion_value", variant.id, value=100)
    for number in range(5):
        assert (await hooks.sender.send(body, f"msg_{number}")).status == 202
    assert await hooks.state("msg_4") == "pending"
    async with hooks.fitness() as fitness:
        await is_scored(fitness, variant.id, 0.5)


async def refused_by_its_certificate(metadata: Metadata) -> Identity:
    """As a fitness service takes a gateway that was given the sandbox's certificate."""
    identity = await identity_from_metadata(metadata)
    Callers.of("fitness").check([name_of("sandbox")], identity)
    return identity


async def test_while_fitness_does_not_believe_the_gateway_webhooks_are_kept(hooks: Hooked) -> None:
    async with hooks.fitness() as fitness:
        variant = await create(fitness)
    async with hooks.fitness(authenticate=refused_by_its_certificate):
        await hooks.sender.send(body_of("conversion_value", variant.id, value=100), "msg_1")

        async def refused() -> bool:
            (row,) = await hooks.storage.rows("gateway", "SELECT error FROM webhook_receipts")
            return "PEER_REFUSED" in (row[0] or "")

        await eventually(refused, "it was refused", PATIENCE_S)
        assert await hooks.state("msg_1") == "pending"
    async with hooks.fitness() as fitness:
        await is_scored(fitness, variant.id, 0.1)


async def test_a_database_that_is_away_acknowledges_nothing(storage: Storage) -> None:
    async with hooked(storage, webhook_answer_s=0.5) as hooks:
        async with storage.locked("gateway", "webhook_receipts"):
            told = await asyncio.wait_for(hooks.sender.send(body_of("invoice_created", "v-1"), "msg_1"), 5)
        assert told.status == 503
        assert told.headers["Retry-After"] == "5"
        assert (await hooks.sender.send(body_of("invoice_created", "v-1"), "msg_1")).status == 202


async def test_what_the_database_refuses_is_not_acknowledged(storage: Storage) -> None:
    async with hooked(storage, webhook_answer_s=PATIENCE_S, database_lock_timeout_s=0.2) as hooks:
        async with storage.locked("gateway", "webhook_receipts"), asyncio.timeout(PATIENCE_S):
            told = await hooks.sender.send(body_of("invoice_created", "v-1"), "msg_1")
        assert told.status == 503
        assert await hooks.storage.rows("gateway", RECEIPTS) == []


async def test_a_source_that_sends_too_fast_is_told_when_to_come_again(files: Storage) -> None:
    async with hooked(files, webhook_rate_per_s=0.01, webhook_burst=3) as hooks:
        body = body_of("invoice_created", "v-1")
        for _ in range(20):
            # Who cannot sign uses up nothing.
            assert (await hooks.sender.send(body, webhook_signature="v1,AAAA")).status == 401
        assert [(await hooks.sender.send(body)).status for _ in range(4)] == [202, 202, 202, 429]
        told = await hooks.sender.send(body)
        assert told.reason == "RATE_LIMITED"
        assert 0 < int(told.headers["Retry-After"]) <= 100
        shop = replace(hooks.sender, source="shop", secret=OTHER_SECRET)
        assert (await shop.send(body)).status == 202


async def test_too_many_that_wait_are_refused(files: Storage) -> None:
    async with hooked(files, webhook_max_pending=2) as hooks:
        body = body_of("invoice_created", "v-1")
        replies = [await hooks.sender.send(body, f"msg_{number}") for number in range(3)]
        assert [reply.status for reply in replies] == [202, 202, 503]
        assert replies[2].reason == "TOO_MANY_WAITING"


async def chunked(size_bytes: int) -> AsyncIterator[bytes]:
    for begin in range(0, size_bytes, 1024):
        yield b" " * min(1024, size_bytes - begin)


async def test_a_large_webhook_is_refused_before_it_is_read(files: Storage) -> None:
    async with hooked(files, webhook_max_body_bytes=4096) as hooks:
        for body in (b" " * 4097, chunked(4097)):
            told = await hooks.sender.post(body, {})
            assert (told.status, told.reason) == (413, "TOO_LARGE")
        for body in (b" " * 4096, chunked(4096)):
            # Read whole, and found not to be signed.
            assert (await hooks.sender.post(body, {})).status == 401
        reader, writer = await asyncio.open_connection("127.0.0.1", int(hooks.sender.address.rsplit(":", 1)[1]))
        writer.write(b"POST /webhooks/crm HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_what_is_too_large_is_refused_while_it_still_comes(files: Storage) -> None:
    async with hooked(files, webhook_max_body_bytes=4096) as hooks:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(hooks.sender.address.rsplit(":", 1)[1]))
        writer.write(b"POST /webhooks/crm HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        # The body has no end.
        writer.write(b"1400\r\n" + b" " * 0x1400 + b"\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_a_packed_body_is_not_unpacked(files: Storage) -> None:
    async with hooked(files) as hooks:
        body = b"\x1f\x8b" + b"0" * 100
        told = await hooks.sender.post(body, {**headers_of(body, "msg_1", SECRET), "Content-Encoding": "gzip"})
        assert told.status == 400


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"POST /webhooks/crm HTTP/1.1\r\nHost: x\r\n", b"X-More: 1\r\n"),
        (b"POST /webhooks/crm HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n", b" "),
        (b"", b""),
    ],
)
async def test_a_slow_sender_is_sent_away(files: Storage, begun: bytes, more: bytes) -> None:
    async with hooked(files, webhook_receive_s=1.0) as hooks:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(hooks.sender.address.rsplit(":", 1)[1]))
        writer.write(begun)

        async def drip() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(more)
                    await writer.drain()
                    await asyncio.sleep(0.2)

        dripping = asyncio.create_task(drip())
        began_s = time.monotonic()
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert time.monotonic() - began_s < 5
        dripping.cancel()
        writer.close()


async def test_no_more_connections_than_may_be(files: Storage) -> None:
    async with hooked(files, webhook_max_connections=2) as hooks:
        port = int(hooks.sender.address.rsplit(":", 1)[1])
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")
        for _, each in held:
            each.close()
        writer.close()

        async def let_in() -> bool:
            return (await hooks.sender.send(body_of("invoice_created", "v-1"))).status == 202

        with contextlib.suppress(aiohttp.ClientError):
            await eventually(let_in, "there is room again", PATIENCE_S)


@pytest.mark.parametrize("head", [b"POST * HTTP/1.1", b"POST / HTTP/1.1\r\nno header"])
async def test_what_is_no_http_is_refused_and_leaves_nothing_in_the_log(
    files: Storage, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with hooked(files) as hooks:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(hooks.sender.address.rsplit(":", 1)[1]))
        writer.write(head + b"\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("framing", [b"Content-Length: 4000", b"Transfer-Encoding: chunked"])
async def test_a_sender_that_goes_away_leaves_nothing_in_the_log(
    files: Storage, framing: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with hooked(files) as hooks:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(hooks.sender.address.rsplit(":", 1)[1]))
        writer.write(b"POST /webhooks/crm HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\nExpect: 100-continue\r\n\r\n")
        # The server reads the body by now.
        assert b" 100 " in await reader.readline()
        writer.transport.abort()
        assert (await hooks.sender.send(body_of("invoice_created", "v-1"))).status == 202
    assert not [record for record in caplog.records if record.exc_info]


async def test_other_ways_in_lead_nowhere(files: Storage) -> None:
    async with hooked(files) as hooks:
        session, address = hooks.sender.session, hooks.sender.address
        async with session.get(f"{address}/webhooks/crm") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        for path in ("/", "/metrics", "/webhooks"):
            async with session.post(address + path, data=b"{}") as answer:
                assert (answer.status, (await answer.json())["error"]["reason"]) == (404, "NOT_FOUND")


async def test_with_a_certificate_webhooks_come_in_by_tls_only(files: Storage) -> None:
    certificate, key = await certificate_in(files.directory)
    stated = {"mode": Mode.PRODUCTION, "api_keys_file": key_file(files.directory, "the-key")}
    async with hooked(files, tls_cert_file=certificate, tls_key_file=key, **stated) as hooks:
        body = body_of("invoice_created", "v-1")
        with pytest.raises(aiohttp.ClientError):
            await hooks.sender.send(body)
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
            address = hooks.sender.address.replace("http:", "https:")
            assert (await replace(hooks.sender, session=session, address=address).send(body)).status == 202


async def test_who_is_silent_in_the_handshake_holds_a_connection_too(files: Storage) -> None:
    certificate, key = await certificate_in(files.directory)
    stated = {"mode": Mode.PRODUCTION, "api_keys_file": key_file(files.directory, "the-key")}
    async with hooked(files, tls_cert_file=certificate, tls_key_file=key, webhook_max_connections=2, **stated) as hooks:
        port = int(hooks.sender.address.rsplit(":", 1)[1])

        async def refused() -> bool:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            held.append(writer)
            with contextlib.suppress(TimeoutError, ConnectionError):
                return await asyncio.wait_for(reader.read(1), 0.5) == b""
            return False

        held: list[asyncio.StreamWriter] = []
        # The test's own look at the port may still be in its handshake.
        await eventually(refused, "no more is let in", PATIENCE_S)
        assert len(held) <= 3
        for each in held:
            each.close()

        trusting = ssl.create_default_context(cafile=str(certificate))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
            sender = replace(hooks.sender, session=session, address=hooks.sender.address.replace("http:", "https:"))

            async def let_in() -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    return (await sender.send(body_of("invoice_created", "v-1"))).status == 202
                return False

            await eventually(let_in, "there is room again", PATIENCE_S)


def test_other_machines_are_let_in_by_the_public_doors_rules(tmp_path: Path) -> None:
    hook: dict[str, Any] = {"webhook_port": 1, "webhook_secrets_file": tmp_path}
    production: dict[str, Any] = {"mode": Mode.PRODUCTION, "api_keys_file": tmp_path}
    certificate = {"tls_cert_file": tmp_path, "tls_key_file": tmp_path}
    for refused in (
        {"webhook_port": 1},
        {**hook, "webhook_host": "0.0.0.0"},
        {**hook, **production, "webhook_host": "0.0.0.0"},
    ):
        with pytest.raises(ValidationError):
            GatewaySettings(**refused)
    for allowed in (
        hook,
        {**hook, **production, **certificate, "webhook_host": "0.0.0.0"},
        {**hook, **production, "allow_plaintext": True, "webhook_host": "::"},
    ):
        GatewaySettings(**allowed)


KEY = Key(ACME, "crm", "msg_1")
RECEIPT = Receipt(KEY, b"x" * 32, b"call", "")
SECOND_US = 1_000_000


@pytest_asyncio.fixture
async def store(storage: Storage) -> AsyncIterator[ReceiptStore]:
    async with storage.open("gateway") as database:
        await upgrade(database, "autodev_gateway")
        yield ReceiptStore(database)


async def test_two_gateways_take_a_receipt_once_until_its_lease_is_over(store: ReceiptStore) -> None:
    now_us = 1000 * SECOND_US
    assert await store.keep(RECEIPT, now_us) == (Kept.ACCEPTED, State.PENDING)
    taken = await asyncio.gather(*(store.take(now_us, LEASE_US, 10) for _ in range(5)))
    assert [len(each) for each in taken].count(1) == 1
    assert sum(map(len, taken)) == 1
    assert await store.take(now_us + LEASE_US - 1, LEASE_US, 10) == []
    (again,) = await store.take(now_us + LEASE_US, LEASE_US, 10)
    assert (again.key, again.attempts) == (KEY, 1)


async def test_gateways_that_get_a_webhook_at_once_keep_it_once(storage: Storage, store: ReceiptStore) -> None:
    async with storage.open("gateway") as database:
        other = ReceiptStore(database)
        kept = await asyncio.gather(*(each.keep(RECEIPT, SECOND_US) for each in [store, other] * 10))
    found = [what for what, _ in kept]
    assert (found.count(Kept.ACCEPTED), found.count(Kept.REPEATED)) == (1, len(found) - 1)


async def test_an_id_is_its_sources_own_within_a_tenant_too(store: ReceiptStore) -> None:
    theirs = replace(RECEIPT, key=replace(KEY, source="shop"), body_sha256=b"y" * 32)
    for what in (Kept.ACCEPTED, Kept.REPEATED):
        for receipt in (RECEIPT, theirs):
            assert (await store.keep(receipt, SECOND_US))[0] is what


async def test_a_receipt_from_before_the_clock_was_set_back_does_not_wait(store: ReceiptStore) -> None:
    now_us = 1_000_000 * SECOND_US
    await store.keep(RECEIPT, now_us)
    assert len(await store.take(now_us - LONGEST_WAIT_US - 1, LEASE_US, 10)) == 1


async def test_what_is_delivered_stays_so(store: ReceiptStore) -> None:
    await store.keep(RECEIPT, 1)
    (taken,) = await store.take(1, LEASE_US, 10)
    await store.settle([Settlement(taken, State.DELIVERED, 2)])
    await store.settle([Settlement(taken, State.PENDING, 5, "late")])
    assert (await store.standing()).pending == {}
    assert await store.keep(RECEIPT, 2) == (Kept.REPEATED, State.DELIVERED)


@pytest.mark.parametrize("late_state", [State.PENDING, State.DEAD])
async def test_whose_lease_was_over_settles_nothing_that_another_took(store: ReceiptStore, late_state: State) -> None:
    await store.keep(RECEIPT, 0)
    (late,) = await store.take(0, LEASE_US, 10)
    (taken,) = await store.take(LEASE_US, LEASE_US, 10)
    await store.settle([Settlement(late, late_state, LEASE_US, "late")])
    # It is neither given up nor somebody else's turn while it is passed on.
    assert await store.take(LEASE_US, LEASE_US, 10) == []
    await store.settle([Settlement(taken, State.DELIVERED, LEASE_US)])
    assert await store.keep(RECEIPT, LEASE_US) == (Kept.REPEATED, State.DELIVERED)


async def test_a_try_from_before_a_revival_settles_nothing_of_it(store: ReceiptStore) -> None:
    await store.keep(RECEIPT, 0)
    (late,) = await store.take(0, LEASE_US, 10)
    await store.settle([Settlement(late, State.DEAD, 1, "given up")])
    assert await store.keep(RECEIPT, 2) == (Kept.REVIVED, State.PENDING)
    (taken,) = await store.take(2, LEASE_US, 10)
    assert taken.attempts == late.attempts
    await store.settle([Settlement(late, State.DEAD, 3, "late")])
    assert await store.keep(RECEIPT, 4) == (Kept.REPEATED, State.PENDING)


async def test_old_receipts_are_forgotten_once_they_are_settled(store: ReceiptStore) -> None:
    other = replace(RECEIPT, key=replace(KEY, webhook_id="msg_2"))
    await store.keep(RECEIPT, 10)
    (taken,) = await store.take(10, LEASE_US, 10)
    await store.keep(other, 10)
    await store.settle([Settlement(taken, State.DELIVERED, 10)])
    assert await store.prune(10) == 0
    assert await store.prune(11) == 1
    standing = await store.standing()
    assert (standing.pending, standing.oldest_us, standing.dead) == ({(ACME, "crm"): 1}, 10, 0)
    assert await store.keep(RECEIPT, 20) == (Kept.ACCEPTED, State.PENDING)
