"""The event log on JetStream: what only this engine can get wrong. All else is in the tests of every engine."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway.event_log import ALL_EVENTS, EventLog, PageBounds
from autodev_gateway.event_log.engine import Newest, WrongLog
from autodev_gateway.event_log.engines import engine_for
from autodev_gateway.event_log.jetstream.connection import UnfitServer
from autodev_gateway.event_log.jetstream.stream import Stream
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.groups.ledger import Changes, Entry
from autodev_gateway.groups.store import GroupKey, GroupStore
from autodev_runtime.database import Database
from autodev_sdk import AutoDevClient, EventWorker
from autodev_sdk.events import working as sdk_working
from tests.certificates import certificates_in
from tests.conftest import require
from tests.integration.gateway.parts import ACME, failed, publish, ran, read, started, until, working
from tests.integration.gateway.test_sigkill import Publishers
from tests.mesh import eventually, free_ports
from tests.nats import NatsServer, binary
from tests.serving import refusal
from tests.storage import JETSTREAM, Storage

pytestmark = pytest.mark.parametrize("storages", [JETSTREAM], indirect=True)


@contextlib.contextmanager
def server(**options: Any) -> Iterator[NatsServer]:
    """A server that the test may kill."""
    program = binary()
    require(program, "nats-server is not installed")
    assert program is not None
    made = NatsServer(program, **options)
    try:
        made.start()
        yield made
    finally:
        made.remove()


async def all_of(client: AutoDevClient, count: int) -> list[event_pb2.Event]:
    return await read(client, count, at=pb.START_AT_EARLIEST, max_batch_events=1024)


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed_under_load(
    tmp_path: Path, storage: Storage
) -> None:
    with server() as nats:
        own = Storage(tmp_path / "own", stream=nats.stream())
        own.directory.mkdir()
        handled: list[str] = []

        async def handle(event: event_pb2.Event) -> None:
            handled.append(event.id)

        async with started(own, tail_bytes=0) as gateway, gateway.client() as client:
            worker = EventWorker(client.events, "group", {event_pb2.EVENT_TYPE_TASK_FAILED: handle})
            async with sdk_working(worker):
                publishers = Publishers(client)
                running = asyncio.create_task(publishers.run())
                for goal in (200, 400, 600):
                    await until(lambda goal=goal: len(publishers.acknowledged) >= goal, "events are acknowledged")  # type: ignore[misc]
                    nats.kill()
                    await asyncio.sleep(0.1)
                    nats.start()
                publishers.stopped = True
                await running
                await until(lambda: set(handled) >= publishers.acknowledged.keys(), "all is handled")
            stored = await all_of(client, len(publishers.acknowledged))
        cursors = [event.cursor for event in stored]
        assert cursors == sorted(set(cursors))
        found = {event.id: event.cursor for event in stored}
        assert len(found) == len(stored)
        assert publishers.acknowledged.items() <= found.items()


def clustered(programs: int) -> Iterator[NatsServer]:
    """Servers of one cluster, not started."""
    program = binary()
    require(program, "nats-server is not installed")
    assert program is not None
    ports = free_ports(programs)
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
    for number, port in enumerate(ports):
        cluster = f"cluster {{ name: tests, listen: 127.0.0.1:{port}, routes: [{routes}] }}"
        yield NatsServer(program, more=f"server_name: nats-{number}\n{cluster}")


async def test_a_cluster_goes_on_without_its_leader(tmp_path: Path, storage: Storage) -> None:
    with contextlib.ExitStack() as stack:
        servers = list(clustered(3))
        for each in servers:
            stack.callback(each.remove)
            each.start()
        stream = servers[0].stream()
        own = Storage(tmp_path / "own", stream=stream)
        own.directory.mkdir()
        cluster = {
            "jetstream_replicas": 3,
            "nats_url": [each.url for each in servers],
            "nats_monitor_urls": [each.monitor_url for each in servers],
            "tail_bytes": 0,
        }
        async with started(own, **cluster) as gateway, gateway.client() as client:
            before = [failed(number) for number in range(20)]
            for event in before:
                await publish(client, [event])
            info = (await stream.ask("STREAM.INFO"))["cluster"]
            assert len(info["replicas"]) == 2
            servers[int(info["leader"].removeprefix("nats-"))].kill()
            after = [failed(number) for number in range(20, 40)]
            for event in after:
                await eventually(lambda event=event: published(client, event), "an acknowledgement")  # type: ignore[misc]
            assert [event.id for event in await all_of(client, 40)] == [event.id for event in before + after]


async def published(client: AutoDevClient, event: event_pb2.Event) -> list[str]:
    try:
        return await publish(client, [event])
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return []
        raise


async def test_a_publisher_is_told_while_the_server_is_away(
    tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodev_gateway.event_log.jetstream.engine.APPEND_S", 0.5)
    with server() as nats:
        own = Storage(tmp_path / "own", stream=nats.stream())
        own.directory.mkdir()
        async with started(own) as gateway, gateway.client() as client:
            event = failed(1)
            nats.kill()
            refused = await refusal(publish(client, [event]))
            assert (refused.code, refused.reason) == ("UNAVAILABLE", "LOG_UNAVAILABLE")
            assert not await gateway.parts.ready[1]()
            nats.start()
            await publish(client, [event])
            assert [each.id for each in await all_of(client, 1)] == [event.id]


async def test_the_events_of_a_call_for_several_tenants_are_stored_together(storage: Storage) -> None:
    async with started(storage) as gateway, gateway.service() as channel:
        events = [ran(f"s-{number}") for number in range(6)]
        for number, event in enumerate(events):
            event.tenant_id = ("acme", "globex", "a.b/c:d@e")[number % 3]
        call = channel.unary_unary(
            "/autodev.gateway.v1.EventService/Publish",
            pb.PublishRequest.SerializeToString,
            pb.PublishResponse.FromString,
        )
        response = await call(pb.PublishRequest(events=events))
        stored = await storage.events()
        assert {event.id: event.cursor for event in stored} == {
            event.id: cursor for event, cursor in zip(events, response.cursors, strict=True)
        }
        assert [event.cursor for event in stored] == sorted(response.cursors)
        async with gateway.client("globex") as globex:
            assert [event.id for event in await all_of(globex, 2)] == [events[1].id, events[4].id]


async def test_what_retention_deletes_is_gone_from_the_stream_but_for_what_a_group_needs(storage: Storage) -> None:
    async with (
        started(storage, retention_bytes=1) as gateway,
        gateway.client() as acme,
        working(acme, max_in_flight=1) as worker,
    ):
        await publish(acme, [failed(0)])
        delivery = await worker.next()
        for number in range(1, 5):
            await publish(acme, [failed(number)])
        await acme.events.ListDeadLetters(pb.ListDeadLettersRequest(group="group"))
        await gateway.parts.log.sweep()
        assert await storage.events() == []
        worker.reject(delivery)
        again = await worker.next()
        assert again.event == delivery.event


async def test_what_a_group_takes_until_its_row_is_deleted_is_kept(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        started(storage, retention_bytes=1) as gateway,
        gateway.client() as acme,
        storage.open("gateway") as other,
    ):
        (cursor,) = await publish(acme, [failed(0)])
        await publish(acme, [failed(1)])
        seq, key, trim = int(cursor, 16), GroupKey("acme", "group"), EventStore.trim

        async def trimmed_late(store: EventStore, through: dict[str, int]) -> int:
            tenure = await GroupStore(other).create(key, seq, ALL_EVENTS)
            await GroupStore(other).save({tenure: Changes(seq, entries=[Entry(seq)])})
            return await trim(store, through)

        monkeypatch.setattr(EventStore, "trim", trimmed_late)
        assert await gateway.parts.log.sweep() == 1
        async with working(acme) as worker:
            assert (await worker.next()).event.cursor == cursor


@pytest.mark.parametrize("hours", [-1, 0, 1])
async def test_a_cursor_finds_its_message_also_where_clocks_differ(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    events = [failed(number) for number in range(12)]
    now = time.time_ns
    with monkeypatch.context() as patch:
        patch.setattr("autodev_gateway.event_log.appender.time.time_ns", lambda: now() + hours * 3600 * 10**9)
        async with started(storage) as gateway, gateway.client() as acme:
            cursors = [(await publish(acme, [event]))[0] for event in events]
    # What another start knows of the stream is only what is in it.
    async with started(storage) as gateway, gateway.client() as acme:
        for number, cursor in enumerate(cursors[:-1]):
            rest = await read(acme, 11 - number, after_cursor=cursor)
            assert [event.id for event in rest] == [event.id for event in events[number + 1 :]]


async def test_a_cursor_is_found_by_as_few_requests_wherever_it_is(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        cursors = [(await publish(acme, [failed(number)]))[0] for number in range(150)]
    asked = 0
    ask = Stream.ask

    async def counted(stream: Stream, what: str, **stated: Any) -> dict[str, Any]:
        nonlocal asked
        asked += what == "STREAM.MSG.GET"
        return await ask(stream, what, **stated)

    monkeypatch.setattr(Stream, "ask", counted)
    async with started(storage) as gateway:
        for place in (1, 75, 148):
            asked = 0
            page = await gateway.parts.log.read(ACME, int(cursors[place], 16), ALL_EVENTS, PageBounds(1))
            assert [record.seq for record in page.records] == [int(cursors[place + 1], 16)]
            assert asked <= 5


async def test_a_database_that_was_lost_is_made_again_from_the_stream(storage: Storage) -> None:
    events = [failed(number) for number in range(20)]
    async with started(storage) as gateway, gateway.client() as acme:
        cursors = await publish(acme, events)
    for file in storage.directory.glob("gateway.sqlite3*"):
        file.unlink()
    async with started(storage) as gateway, gateway.client() as acme:
        assert [event.id for event in await all_of(acme, 20)] == [event.id for event in events]
        assert await publish(acme, events[:3]) == cursors[:3]
        await gateway.parts.log.indexed()
        rows = await storage.rows("gateway", "SELECT event_id FROM events ORDER BY seq")
        assert [identifier for (identifier,) in rows] == [event.id for event in events]


async def test_a_stream_that_was_lost_is_not_taken_for_an_empty_log(storage: Storage) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        await publish(acme, [failed(1)])
        await gateway.parts.log.indexed()
    assert storage.stream is not None
    await asyncio.to_thread(storage.stream.delete)
    with pytest.raises(WrongLog, match="another one, or was deleted"):
        async with started(storage):
            pass


async def test_a_gateway_starts_while_others_publish(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(storage) as gateway, gateway.client() as acme, Database(storage.url("gateway")) as database:
        await publish(acme, [failed(1)])
        await gateway.parts.log.indexed()
        async with engine_for(gateway.settings, database) as engine:
            newest = engine.index.newest

            async def newest_meanwhile() -> Newest | None:
                for number in (2, 3):
                    await publish(acme, [failed(number)])
                await gateway.parts.log.indexed()
                return await newest()

            monkeypatch.setattr(engine.index, "newest", newest_meanwhile)
            # Whatever is published while it looks: the stream has all that the database knew.
            log = await EventLog.open(engine, gateway.settings.log_options)
            await log.catch_up()
            assert len((await log.read(ACME, 0, ALL_EVENTS, PageBounds(10))).records) == 3


async def test_a_database_is_for_one_engine(storage: Storage) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        await publish(acme, [failed(1)])
        await gateway.parts.log.indexed()
    with pytest.raises(WrongLog, match="event_log to jetstream"):
        async with started(storage, event_log="sql"):
            pass
    other = Storage(storage.directory / "other", stream=storage.stream)
    other.directory.mkdir()
    async with started(other, event_log="sql") as gateway, gateway.client() as acme:
        await publish(acme, [failed(1)])
    with pytest.raises(WrongLog, match="event log of its own"):
        async with started(other):
            pass


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"jetstream": "sync_interval: 2m"}, "does not sync every write"),
        ({"max_payload": "1MB"}, "max_payload"),
    ],
)
async def test_a_server_that_is_unfit_is_refused(
    tmp_path: Path, storage: Storage, options: dict[str, str], told: str
) -> None:
    with server(**options) as nats:
        own = Storage(tmp_path, stream=nats.stream())
        with pytest.raises(UnfitServer, match=told):
            async with started(own):
                pass


async def test_nats_is_spoken_to_by_tls_and_only_with_who_the_authority_vouches_for(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, stranger = (certificates_in(tmp_path / name, "127.0.0.1") for name in ("trusted", "stranger"))
    files = trusted.files("public")
    secured = f'tls {{ cert_file: "{files.certificate}", key_file: "{files.key}" }}'
    with server(more=secured) as nats:
        own = Storage(storage.directory, stream=nats.stream())
        async with started(own, nats_ca_file=files.authority) as gateway, gateway.client() as acme:
            await publish(acme, [failed(1)])
            assert len(await all_of(acme, 1)) == 1
        monkeypatch.setattr("autodev_gateway.event_log.jetstream.connection.CONNECT_S", 2.0)
        for authority in (stranger.files("public").authority, None):
            with pytest.raises(UnfitServer, match="could be reached"):
                async with started(own, nats_ca_file=authority):
                    pass


async def test_a_server_without_tls_is_given_no_credentials_where_tls_is_asked_for(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What somebody says who sits between: it is NATS, and does without TLS.
        writer.write(b'INFO {"server_id": "x", "version": "2.12.0", "max_payload": 8388608, "auth_required": true}\r\n')
        heard.append(await reader.read(1000))
        writer.close()

    authority = certificates_in(tmp_path / "certs").files("public").authority
    credentials = tmp_path / "credentials"
    credentials.write_text("gateway:not-for-you\n")
    monkeypatch.setattr("autodev_gateway.event_log.jetstream.connection.CONNECT_S", 2.0)
    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        own = {"event_log": "jetstream", "nats_credentials_file": credentials}
        for told in (
            {"nats_ca_file": authority, "nats_url": f"nats://127.0.0.1:{port}"},
            {"nats_url": f"tls://127.0.0.1:{port}"},
        ):
            with pytest.raises(UnfitServer, match="could be reached"):
                async with started(Storage(storage.directory), **own, **told):
                    pass
    assert heard
    assert b"".join(heard) == b""


async def test_a_stream_that_forgets_is_refused(storage: Storage) -> None:
    assert storage.stream is not None
    name = storage.stream.name
    made = await storage.stream.ask("STREAM.CREATE", name=name, subjects=[f"{name}.*"], storage="file", max_age=10**12)
    assert "error" not in made
    with pytest.raises(UnfitServer, match="it must be"):
        async with started(storage):
            pass


async def test_whether_writes_are_synced_is_asked_for_where_nobody_says(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(storage, nats_monitor_urls=[]):
        assert "sync_interval: always" in caplog.text


async def test_credentials_are_never_logged(
    storage: Storage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert storage.stream is not None
    wrong = tmp_path / "wrong"
    wrong.write_text("gateway:not-this-one\n")
    monkeypatch.setattr("autodev_gateway.event_log.jetstream.connection.CONNECT_S", 1.0)
    with pytest.raises(UnfitServer):
        async with started(storage, nats_credentials_file=wrong):
            pass
    assert "not-this-one" not in caplog.text
    async with started(storage) as gateway, gateway.client() as acme:
        await publish(acme, [failed(1)])
    assert storage.stream.server.credentials_file.read_text().strip().partition(":")[2] not in caplog.text


async def test_unavailability_is_no_internal_error(storage: Storage) -> None:
    """A reader of what is only on disk is told to come again."""
    async with started(storage, tail_bytes=0) as gateway, gateway.client() as acme:
        await publish(acme, [failed(1)])
        assert storage.stream is not None
        with storage.stream.server.paused(), pytest.MonkeyPatch.context() as patch:
            patch.setattr("autodev_gateway.event_log.jetstream.stream.REQUEST_S", 0.3)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await all_of(acme, 1)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert len(await all_of(acme, 1)) == 1
