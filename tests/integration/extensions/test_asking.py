"""Asking an extension: deadlines, bounds, answers that break the contract, and one that is away. Over real sockets."""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from autodev.extension.v1 import fitness_function_service_pb2 as pb
from autodev.extension.v1.fitness_function_service_pb2_grpc import (
    FitnessFunctionServiceServicer,
    FitnessFunctionServiceStub,
    add_FitnessFunctionServiceServicer_to_server,
)
from autodev_fitness.functions import FitnessFunctions, MeasuredWeights, remote_functions
from autodev_fitness.scoring import ProxySignals, ProxyWeights
from autodev_fitness.settings import FitnessSettings
from autodev_runtime.errors import AutoDevError, FailedPrecondition, ResourceExhausted, Unavailable
from autodev_runtime.extensions.remote import Extension, extensions_of
from tests.certificates import certificates_in
from tests.mesh import eventually, free_ports

REST_S = 0.2


class Scorer(FitnessFunctionServiceServicer):
    """Answers as the test says."""

    def __init__(self) -> None:
        self.score = 0.5
        self.code: grpc.StatusCode | None = None
        self.more = ""
        self.answering = asyncio.Event()
        self.answering.set()
        self.asked: list[pb.ScoreRunRequest] = []

    async def ScoreRun(self, request: pb.ScoreRunRequest, context: Any) -> pb.ScoreRunResponse:
        self.asked.append(request)
        await self.answering.wait()
        if self.code is not None:
            await context.abort(self.code, "as the test says")
        answer = pb.ScoreRunResponse(score=self.score)
        # What the contract does not know is carried along.
        answer.MergeFromString(pb.ScoreRunRequest(function=self.more).SerializeToString())
        return answer


class Served:
    """The scorer and its health, on an address."""

    def __init__(self, scorer: Scorer, port: int) -> None:
        self.scorer = scorer
        self.port = port
        self.health = health.aio.HealthServicer()
        self.server: grpc.aio.Server | None = None

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.server = grpc.aio.server()
        add_FitnessFunctionServiceServicer_to_server(self.scorer, self.server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        address = f"127.0.0.1:{self.port}"
        if credentials is None:
            self.server.add_insecure_port(address)
        else:
            self.server.add_secure_port(address, credentials)
        await self.server.start()

    async def stop(self) -> None:
        assert self.server is not None
        await self.server.stop(0)


@contextlib.asynccontextmanager
async def scoring(**stated: Any) -> AsyncIterator[tuple[Served, Extension]]:
    """An extension, and who asks it: with few failures and a short rest, so that circuits open and close."""
    (port,) = free_ports(1)
    served = Served(Scorer(), port)
    await served.start()
    bounds = {"extension_failures": 2, "extension_rest_s": REST_S, **stated}
    settings = FitnessSettings(extensions={"acme.cost": f"127.0.0.1:{port}"}, **bounds)
    try:
        async with extensions_of(settings) as found:
            yield served, found["acme.cost"]
    finally:
        served.scorer.answering.set()
        await served.stop()


async def score(extension: Extension, **signals: Any) -> float:
    """What the fitness service makes of the extension's answer."""
    own = remote_functions({extension.name: extension}, {extension.name: "2"})
    functions = FitnessFunctions(ProxyWeights(), MeasuredWeights(), own)
    return await functions.score(extension.name, "acme", ProxySignals(**signals))


async def refusal(extension: Extension) -> AutoDevError:
    with pytest.raises(AutoDevError) as caught:
        await score(extension)
    return caught.value


async def test_it_gets_what_was_seen_and_its_score_counts() -> None:
    async with scoring() as (served, extension):
        assert await score(extension, execution_success=True, measurements={"cost": 3, "of": ["a", None]}) == 0.5
        (asked,) = served.scorer.asked
        assert (asked.tenant_id, asked.function, asked.execution_success) == ("acme", "acme.cost", True)
        assert dict(asked.measurements.items())["cost"] == 3


@pytest.mark.parametrize("given", [1.5, -0.1, math.nan, math.inf])
async def test_an_answer_that_breaks_the_contract_is_no_score(given: float) -> None:
    async with scoring() as (served, extension):
        served.scorer.score = given
        error = await refusal(extension)
    assert isinstance(error, FailedPrecondition)
    assert error.reason == "FITNESS_FUNCTION_FAILED"
    assert "breaks the contract" in error.message


async def test_one_that_does_not_answer_ends_by_its_deadline() -> None:
    async with scoring(extension_timeout_s=0.1) as (served, extension):
        served.scorer.answering.clear()
        error = await refusal(extension)
    assert "DEADLINE_EXCEEDED" in error.message


async def test_a_message_that_is_too_large_goes_nowhere() -> None:
    async with scoring(extension_max_message_bytes=1024) as (_, extension):
        stub = FitnessFunctionServiceStub(extension.channel)
        with pytest.raises(Unavailable, match="larger than max"):
            await extension.ask(stub.ScoreRun, pb.ScoreRunRequest(tenant_id="x" * 4096))


async def test_too_large_an_answer_is_no_failure_of_the_extension() -> None:
    async with scoring(extension_max_message_bytes=1024) as (served, extension):
        served.scorer.more = "x" * 4096
        for _ in range(3):
            error = await refusal(extension)
            assert (error.reason, "too large an answer" in error.message) == ("FITNESS_FUNCTION_FAILED", True)
        served.scorer.more = ""
        assert await score(extension) == 0.5


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_one_that_goes_away_under_a_question_may_have_done_it(code: grpc.StatusCode) -> None:
    async with scoring() as (served, extension):
        served.scorer.code = code
        stub = FitnessFunctionServiceStub(extension.channel)
        with pytest.raises(Unavailable) as caught:
            await extension.ask(stub.ScoreRun, pb.ScoreRunRequest())
        assert (caught.value.reason, len(served.scorer.asked)) == ("EXTENSION_BROKE_OFF", 1)


async def test_one_that_takes_connections_and_says_nothing_is_not_asked(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = FitnessSettings(extensions={"acme.cost": address}, extension_timeout_s=0.1)
        async with extensions_of(settings) as found:
            stub = FitnessFunctionServiceStub(found["acme.cost"].channel)
            with pytest.raises(Unavailable) as caught:
                await found["acme.cost"].ask(stub.ScoreRun, pb.ScoreRunRequest())
    assert caught.value.reason == "EXTENSION_AWAY"
    assert "cannot be reached within 0.1 s" in caplog.text


async def test_the_log_says_why_one_is_not_reached_and_not_what_one_says(caplog: pytest.LogCaptureFixture) -> None:
    async with scoring() as (served, extension):
        served.scorer.code = grpc.StatusCode.INTERNAL
        assert "as the test says" in (await refusal(extension)).message
        await served.stop()
        # A question on a connection that is just being closed fails as one that was begun.
        await extension.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)

        async def heard() -> bool:
            return "refused" not in (await refusal(extension)).message and "Connection refused" in caplog.text

        await eventually(heard, "the log says why")
    assert "the extension 'acme.cost' answered INTERNAL" in caplog.text
    assert "as the test says" not in caplog.text


async def test_more_questions_than_it_may_have_are_refused_at_once() -> None:
    async with scoring(extension_max_in_flight=2) as (served, extension):
        served.scorer.answering.clear()
        stub = FitnessFunctionServiceStub(extension.channel)
        waiting = [asyncio.ensure_future(extension.ask(stub.ScoreRun, pb.ScoreRunRequest())) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted) as caught:
            await extension.ask(stub.ScoreRun, pb.ScoreRunRequest())
        assert caught.value.reason == "EXTENSION_BUSY"
        served.scorer.answering.set()
        assert len(await asyncio.gather(*waiting)) == 2


async def test_one_that_fails_is_left_alone_and_asked_again_when_it_is_well() -> None:
    async with scoring() as (served, extension):
        served.scorer.code = grpc.StatusCode.INTERNAL
        for _ in range(2):
            assert (await refusal(extension)).reason == "FITNESS_FUNCTION_FAILED"
        asked = len(served.scorer.asked)
        assert (await refusal(extension)).reason == "FITNESS_FUNCTION_AWAY"
        assert len(served.scorer.asked) == asked
        served.scorer.code = None
        # It is asked only once it says itself that it is well.
        await served.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(2 * REST_S)
        assert (await refusal(extension)).reason == "FITNESS_FUNCTION_AWAY"
        assert len(served.scorer.asked) == asked
        await served.health.set("", health_pb2.HealthCheckResponse.SERVING)

        async def works() -> bool:
            with contextlib.suppress(AutoDevError):
                return await score(extension) == 0.5
            return False

        await eventually(works, "it is asked again")


async def test_one_that_is_away_comes_back_by_itself() -> None:
    async with scoring() as (served, extension):
        await served.stop()
        assert (await refusal(extension)).reason == "FITNESS_FUNCTION_AWAY"
        await served.start()

        async def works() -> bool:
            with contextlib.suppress(AutoDevError):
                return await score(extension) == 0.5
            return False

        await eventually(works, "it is asked again")


async def test_an_error_on_purpose_opens_no_circuit() -> None:
    async with scoring() as (served, extension):
        served.scorer.code = grpc.StatusCode.INVALID_ARGUMENT
        for _ in range(5):
            error = await refusal(extension)
            assert (error.reason, "as the test says" in error.message) == ("FITNESS_FUNCTION_FAILED", True)
        assert len(served.scorer.asked) == 5


@pytest.mark.parametrize("proves_itself", [True, False])
async def test_over_mutual_tls_only_who_proves_itself_is_answered(tmp_path: Path, proves_itself: bool) -> None:
    theirs = certificates_in(tmp_path / "theirs", "localhost")
    (port,) = free_ports(1)
    served = Served(Scorer(), port)
    ours, public = theirs.files("fitness"), theirs.files("public")
    assert ours.authority is not None
    pair = [(public.key.read_bytes(), public.certificate.read_bytes())]
    await served.start(grpc.ssl_server_credentials(pair, ours.authority.read_bytes(), require_client_auth=True))
    settings = FitnessSettings(
        extensions={"acme.cost": f"tls://localhost:{port}"},
        extension_ca_file=ours.authority,
        extension_cert_file=ours.certificate if proves_itself else None,
        extension_key_file=ours.key if proves_itself else None,
    )
    try:
        async with extensions_of(settings) as found:
            if proves_itself:
                assert await score(found["acme.cost"]) == 0.5
            else:
                assert (await refusal(found["acme.cost"])).reason == "FITNESS_FUNCTION_AWAY"
    finally:
        await served.stop()
