"""The bootstrap: health by readiness, reflection, background work, drain."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub, add_EventServiceServicer_to_server
from autodev_runtime import server, telemetry
from autodev_runtime.server import Endpoint, Ready, Served, running
from autodev_runtime.settings import ServiceSettings
from autodev_sdk.channel import channel_options
from tests.serving import acting, refusal
from tests.unit.runtime.conftest import Odd

NAME = "autodev.gateway.v1.EventService"
DEADLINE_S = 10.0
State = health_pb2.HealthCheckResponse.ServingStatus


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for readiness often."""
    monkeypatch.setattr(server, "READINESS_PERIOD_S", 0.02)


def endpoint(odd: Odd) -> Endpoint:
    return Endpoint("127.0.0.1:0", [Served(NAME, lambda made: add_EventServiceServicer_to_server(odd, made))])


@asynccontextmanager
async def started(odd: Odd, *ready: Ready, **settings: Any) -> AsyncIterator[grpc.aio.Channel]:
    one = endpoint(odd)
    async with (
        running("test", ServiceSettings(port=0, **({"drain_s": 0} | settings)), [one], ready=ready),
        grpc.aio.insecure_channel(f"127.0.0.1:{one.port}") as channel,
    ):
        yield channel


async def health(channel: grpc.aio.Channel, service: str = NAME) -> str:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return str(State.Name(answer.status))


async def health_becomes(channel: grpc.aio.Channel, state: str, service: str = NAME) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while (found := await health(channel, service)) != state:
        assert time.monotonic() < deadline_s, f"{service!r} is {found}, not {state}"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("service", [NAME, ""])
async def test_health_follows_readiness_there_and_back(odd: Odd, service: str) -> None:
    answers = {"database": True, "upstream": False}

    async def database() -> bool:
        return answers["database"]

    async def upstream() -> bool:
        return answers["upstream"]

    async with started(odd, database, upstream) as channel:
        await health_becomes(channel, "NOT_SERVING", service)
        answers["upstream"] = True
        await health_becomes(channel, "SERVING", service)
        answers["database"] = False
        await health_becomes(channel, "NOT_SERVING", service)


async def test_a_part_that_cannot_answer_is_not_ready(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "READINESS_TIMEOUT_S", 0.01)
    state = {"part": "raises"}

    async def part() -> bool:
        if state["part"] == "raises":
            raise ConnectionError("away")
        if state["part"] == "hangs":
            await asyncio.Event().wait()
        return True

    async with started(odd, part) as channel:
        await health_becomes(channel, "NOT_SERVING")
        state["part"] = "works"
        await health_becomes(channel, "SERVING")
        state["part"] = "hangs"
        await health_becomes(channel, "NOT_SERVING")


async def test_the_health_of_an_unknown_service_is_not_found(odd: Odd) -> None:
    async with started(odd) as channel:
        assert (await refusal(health(channel, "no.such.Service"))).code == "NOT_FOUND"


async def test_reflection_shows_the_services_to_anyone(odd: Odd) -> None:
    async with started(odd) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        (answer,) = [response async for response in call]
        names = {service.name for service in answer.list_services_response.service}
    assert names == {NAME, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_bytes_that_are_no_question_of_health_are_the_callers_fault(
    odd: Odd, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    async with started(odd) as channel:
        path = f"/grpc.health.v1.Health/{method}"
        asked: Any = channel.unary_unary(path) if method == "Check" else channel.unary_stream(path)
        for question in (b"\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\xd1\x0f" + b"x" * 2001):
            call = asked(question)
            assert (await refusal(call if method == "Check" else call.read())).code == "INVALID_ARGUMENT"
    assert [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"] == []


async def test_bytes_that_are_no_question_of_reflection_are_the_callers_fault(
    odd: Odd, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(odd) as channel:
        asked: Any = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        for question in (b"\xff\xff", b"\x22\x05\xc3\xa9abc", b"\x22\x02\xff\xfe"):
            call = asked(iter([question]))
            if question == b"\x22\x05\xc3\xa9abc":
                # A symbol that there is not.
                answer = reflection_pb2.ServerReflectionResponse.FromString(await call.read())
                assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
            else:
                assert (await refusal(call.read())).code == "INVALID_ARGUMENT"
    assert [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"] == []


def watch(channel: grpc.aio.Channel, service: str) -> Any:
    return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))


async def test_a_service_that_there_is_not_can_be_watched_for(odd: Odd) -> None:
    async with started(odd) as channel:
        assert (await watch(channel, "no.such.Service").read()).status == State.SERVICE_UNKNOWN


async def test_streams_that_anybody_may_open_have_a_bound_of_their_own(odd: Odd) -> None:
    async with started(odd, max_open_streams=2, max_calls_in_flight=1, max_streams_in_flight=1) as channel:
        watches = [watch(channel, name) for name in ("no.such.Service", NAME)]
        for each in watches:
            await each.read()
        refused = await refusal(watch(channel, NAME).read())
        assert (refused.code, refused.reason, refused.retry_after_s) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS", 1.0)
        reflected = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([]))
        assert (await refusal(reflected.read())).reason == "TOO_MANY_CALLS"
        # Neither who asks for health once, nor the callers of tenants, are kept out by them.
        await health(channel)
        stub = EventServiceStub(acting(channel, "acme"))
        await stub.ListConsumerGroups(pb.ListConsumerGroupsRequest())
        await stub.Subscribe(pb.SubscribeRequest()).read()
        watches[0].cancel()
        deadline_s = time.monotonic() + DEADLINE_S
        while not await _is_served(watch(channel, NAME)):
            assert time.monotonic() < deadline_s, "the place was not given back"


async def _is_served(call: Any) -> bool:
    try:
        await call.read()
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_a_background_task_that_fails_ends_the_service(odd: Odd) -> None:
    async def fail() -> None:
        raise RuntimeError("the relay broke")

    async with running("test", ServiceSettings(port=0, drain_s=0), [endpoint(odd)], background=[fail]) as failed:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait([failed])
        assert str(failed.exception()) == "the relay broke"


async def test_background_tasks_end_with_the_service(odd: Odd) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running("test", ServiceSettings(port=0, drain_s=0), [endpoint(odd)], background=[work]):
        await asyncio.sleep(0)
        assert not ended.is_set()
    assert ended.is_set()


async def test_a_call_in_flight_is_answered_before_the_end(odd: Odd) -> None:
    one = endpoint(odd)
    serving = running("test", ServiceSettings(port=0, drain_s=DEADLINE_S), [one])
    await serving.__aenter__()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{one.port}") as channel:
        stub = EventServiceStub(acting(channel, "acme"))
        call = asyncio.ensure_future(_wait_for_answer(stub))
        async with asyncio.timeout(DEADLINE_S):
            await odd.waiting.acquire()
        # A watch, since a server that ends takes no call that is made after it began to.
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=NAME))
        assert (await watch.read()).status != health_pb2.HealthCheckResponse.NOT_SERVING
        ending = asyncio.ensure_future(serving.__aexit__(None, None, None))
        async with asyncio.timeout(DEADLINE_S):
            while (await watch.read()).status != health_pb2.HealthCheckResponse.NOT_SERVING:
                pass
        watch.cancel()
        odd.go_on.set()
        assert (await call).next_page_token.startswith("acme")
        async with asyncio.timeout(DEADLINE_S):
            await ending


async def _wait_for_answer(stub: Any) -> pb.ListDeadLettersResponse:
    answer: pb.ListDeadLettersResponse = await stub.ListDeadLetters(pb.ListDeadLettersRequest(group="wait"))
    return answer


async def test_metrics_and_health_are_served_by_http_too(odd: Odd, unused_tcp_port: int) -> None:
    ready = {"now": False}

    async def part() -> bool:
        return ready["now"]

    def get(path: str) -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{unused_tcp_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, ""

    async with started(odd, part, metrics_port=unused_tcp_port) as channel:
        await health_becomes(channel, "NOT_SERVING")
        assert (await asyncio.to_thread(get, "/healthz"))[0] == 503
        ready["now"] = True
        await health_becomes(channel, "SERVING")
        assert await asyncio.to_thread(get, "/healthz") == (200, "OK\n")
        await EventServiceStub(acting(channel, "acme")).ListDeadLetters(pb.ListDeadLettersRequest(group="g"))
        status, metrics = await asyncio.to_thread(get, "/metrics")
        assert status == 200
        assert 'autodev_rpc_calls_total{code="OK",method="/autodev.gateway.v1.EventService/ListDeadLetters"' in metrics
        assert (await asyncio.to_thread(get, "/secrets"))[0] == 404


def status_of(port: int, path: str) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            status: int = answer.status
            return status
    except HTTPError as error:
        return error.code


def status_becomes(port: int, path: str, expected: int) -> None:
    """Ask until it does, and let nothing else run meanwhile in this thread."""
    deadline_s = time.monotonic() + DEADLINE_S
    while (found := status_of(port, path)) != expected:
        assert time.monotonic() < deadline_s, f"{path} is {found}, not {expected}"


@pytest.mark.parametrize("path", ["/healthz", "/livez"])
async def test_a_service_that_hangs_is_neither_ready_nor_alive_until_it_goes_on(
    odd: Odd, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(server, "READINESS_TIMEOUT_S", 0.2)
    async with started(odd, metrics_port=unused_tcp_port) as channel:
        await health_becomes(channel, "SERVING")
        status_becomes(unused_tcp_port, path, 503)
        await asyncio.to_thread(status_becomes, unused_tcp_port, path, 200)


async def test_a_part_that_never_answers_makes_a_service_unready_and_no_less_alive(
    odd: Odd, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "READINESS_TIMEOUT_S", 0.2)
    hangs, answered = asyncio.Event(), asyncio.Event()

    async def part() -> bool:
        while hangs.is_set() and not answered.is_set():
            # As a driver does that first waits for a farewell.
            with contextlib.suppress(asyncio.CancelledError):
                await answered.wait()
        return True

    async with started(odd, part, metrics_port=unused_tcp_port) as channel:
        await health_becomes(channel, "SERVING")
        hangs.set()
        try:
            await asyncio.to_thread(status_becomes, unused_tcp_port, "/healthz", 503)
            assert await asyncio.to_thread(status_of, unused_tcp_port, "/livez") == 200
        finally:
            answered.set()
        await asyncio.to_thread(status_becomes, unused_tcp_port, "/healthz", 200)


async def test_a_service_that_drains_is_not_ready_and_still_alive(odd: Odd, unused_tcp_port: int) -> None:
    one = endpoint(odd)
    settings = ServiceSettings(port=0, drain_s=DEADLINE_S, metrics_port=unused_tcp_port)
    serving = running("test", settings, [one])
    await serving.__aenter__()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{one.port}") as channel:
        await health_becomes(channel, "SERVING")
        call = asyncio.ensure_future(_wait_for_answer(EventServiceStub(acting(channel, "acme"))))
        async with asyncio.timeout(DEADLINE_S):
            await odd.waiting.acquire()
        ending = asyncio.ensure_future(serving.__aexit__(None, None, None))
        await asyncio.to_thread(status_becomes, unused_tcp_port, "/healthz", 503)
        assert await asyncio.to_thread(status_of, unused_tcp_port, "/livez") == 200
        odd.go_on.set()
        await call
        async with asyncio.timeout(DEADLINE_S):
            await ending


@pytest.mark.parametrize(("stated", "expected"), [({}, "127.0.0.1"), ({"metrics_host": "127.0.0.3"}, "127.0.0.3")])
async def test_metrics_are_where_their_own_host_says_whatever_the_service_listens_on(
    odd: Odd, unused_tcp_port: int, stated: dict[str, str], expected: str
) -> None:
    async def answers(host: str) -> bool:
        try:
            _, writer = await asyncio.open_connection(host, unused_tcp_port)
        except OSError:
            return False
        writer.close()
        return True

    async with started(odd, host="127.0.0.2", metrics_port=unused_tcp_port, **stated):
        hosts = [f"127.0.0.{last}" for last in (1, 2, 3)]
        assert [host for host in hosts if await answers(host)] == [expected]


@pytest.mark.parametrize(
    ("host", "asked"), [("::1", "[::1]"), ("[::1]", "[::1]"), ("::", "[::1]"), ("localhost", "localhost")]
)
async def test_metrics_are_served_at_an_ipv6_address_and_a_name_too(
    odd: Odd, unused_tcp_port: int, host: str, asked: str
) -> None:
    def status() -> int:
        with urlopen(f"http://{asked}:{unused_tcp_port}/metrics", timeout=5) as answer:
            found: int = answer.status
            return found

    async with started(odd, metrics_host=host, metrics_port=unused_tcp_port):
        assert await asyncio.to_thread(status) == 200


async def test_who_says_nothing_to_the_metrics_port_holds_up_neither_probes_nor_the_end(
    odd: Odd, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get() -> int:
        with urlopen(f"http://127.0.0.1:{unused_tcp_port}/healthz", timeout=5) as answer:
            status: int = answer.status
            return status

    async with asyncio.timeout(DEADLINE_S):
        async with started(odd, metrics_port=unused_tcp_port) as channel:
            await health_becomes(channel, "SERVING")
            reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
            assert await asyncio.to_thread(get) == 200
        writer.close()
        monkeypatch.setattr(telemetry, "PATIENCE_S", 0.2)
        async with started(odd, metrics_port=unused_tcp_port):
            reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
            assert await reader.read() == b""
            writer.close()


async def test_a_quiet_call_outlives_every_question_whether_the_server_is_there(
    odd: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in the mesh, in less time: a client that asks every 5 s where the server allows every 2 s.
    monkeypatch.setattr(server, "SHORTEST_PING_MS", 100)
    one = endpoint(odd)
    async with (
        running("test", ServiceSettings(port=0, drain_s=0), [one]),
        grpc.aio.insecure_channel(f"127.0.0.1:{one.port}", options=channel_options(keepalive_s=0.4)) as channel,
    ):
        request = pb.ListDeadLettersRequest(group="wait")
        call = EventServiceStub(acting(channel, "acme")).ListDeadLetters(request, timeout=10)
        await odd.waiting.acquire()
        # Time for as many questions as gRPC's own limit takes to end the connection, and so the call.
        await asyncio.sleep(4.5)
        assert not odd.cancelled.is_set()
        odd.go_on.set()
        assert (await call).next_page_token


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.org:0"])
def test_no_server_believes_callers_of_other_machines(address: str) -> None:
    with pytest.raises(ValueError, match="any caller would be believed"):
        server.make_server("test", ServiceSettings(port=0), Endpoint(address, []))


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0", "unix:{}/socket"])
async def test_where_only_this_machine_comes_callers_are_believed(address: str, tmp_path: Path) -> None:
    made = server.make_server("test", ServiceSettings(port=0), Endpoint(address.format(tmp_path), []))
    await made.stop(0)
