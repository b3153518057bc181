"""Forwarding: what a service behind the gateway hears and says is what the client says and hears."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from autodev.fitness.v1 import fitness_service_pb2 as fitness_pb
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev.gateway.v1 import event_service_pb2
from autodev.learning.v1 import evolver_service_pb2 as evolver_pb
from autodev_gateway.backends import FORWARDED
from autodev_gateway.forwarding import Backend, Forwarder, backend_options, services_in
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import ROLES_KEY, SUBJECT_KEY, TENANT_KEY, current_identity, service_identity
from autodev_runtime.server import Endpoint, Served, running
from autodev_runtime.settings import ServiceSettings
from autodev_sdk import AutoDevClient
from tests.integration.gateway.parts import PATIENCE_S, Running, started, until
from tests.mesh import free_ports
from tests.serving import refusal
from tests.storage import Storage

SERVICE = "autodev.fitness.v1.FitnessService"
EVOLVER = "autodev.learning.v1.EvolverService"


@dataclass
class Behind:
    """A service behind the gateway that notes what it hears. Its answers are the bytes it was asked with."""

    calls: list[dict[str, str]] = field(default_factory=list)
    remaining_s: list[float | None] = field(default_factory=list)
    cancelled: int = 0
    streaming: int = 0

    def add_to(self, server: grpc.aio.Server) -> None:
        answers: dict[str, Any] = {
            "GetVariant": grpc.unary_unary_rpc_method_handler(self.get),
            "ListVariants": grpc.unary_unary_rpc_method_handler(self.hang),
            "ListTopVariants": grpc.unary_unary_rpc_method_handler(self.refuse),
        }
        server.add_registered_method_handlers(SERVICE, answers)
        streams: dict[str, Any] = {"RunResearchExperiment": grpc.unary_stream_rpc_method_handler(self.stream)}
        server.add_registered_method_handlers(EVOLVER, streams)

    def note(self, context: Any) -> None:
        self.calls.append({key: value for key, value in context.invocation_metadata() if isinstance(value, str)})
        self.remaining_s.append(context.time_remaining())

    async def get(self, request: bytes, context: Any) -> bytes:
        self.note(context)
        variant = fitness_pb.WorkflowVariant(id=current_identity().tenant)
        if fitness_pb.GetVariantRequest.FromString(request).variant_id == "none":
            raise NotFound("variant", "none")
        return fitness_pb.GetVariantResponse(variant=variant).SerializeToString()

    async def hang(self, request: bytes, context: Any) -> bytes:
        self.note(context)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return b""

    async def refuse(self, request: bytes, context: Any) -> bytes:
        status = status_pb2.Status(code=9, message="not now: é")
        status.details.add().Pack(error_details_pb2.PreconditionFailure())
        status.details.add().Pack(error_details_pb2.Help())
        told = rpc_status.to_status(status)
        await context.abort(told.code, told.details, (*told.trailing_metadata, ("x-more", "kept")))
        return b""

    async def stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.note(context)
        self.streaming += 1
        try:
            for number in range(3):
                yield evolver_pb.RunResearchExperimentResponse(
                    experiment=evolver_pb.Experiment(id=str(number))
                ).SerializeToString()
            asked = evolver_pb.RunResearchExperimentRequest.FromString(request)
            if asked.request_id == "endless":
                await asyncio.Event().wait()
            if asked.request_id == "none":
                raise NotFound("experiment", "none")
        finally:
            self.streaming -= 1


@contextlib.asynccontextmanager
async def backend(behind: Behind, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    endpoint = Endpoint(address, [Served(SERVICE, behind.add_to), Served(EVOLVER, lambda _: None)])
    async with running("behind", ServiceSettings(port=0, drain_s=0), [endpoint]):
        yield f"127.0.0.1:{endpoint.port}"


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest_asyncio.fixture
async def gateway(tmp_path: Path, behind: Behind) -> AsyncIterator[Running]:
    async with (
        backend(behind) as address,
        started(Storage(tmp_path), fitness_address=address, learning_address=address) as gateway,
    ):
        yield gateway


async def test_the_service_hears_who_calls_and_nothing_of_the_key(acme: AutoDevClient, behind: Behind) -> None:
    spoofed = (*service_identity("learning", "globex").metadata(), ("x-tenant", "globex"))
    response = await acme.fitness.GetVariant(fitness_pb.GetVariantRequest(variant_id="v"), metadata=spoofed)
    assert response.variant.id == "acme"
    heard = behind.calls[0]
    assert (heard[TENANT_KEY], heard[SUBJECT_KEY], heard[ROLES_KEY]) == (
        "acme",
        "developer",
        "operator,reviewer,runtime",
    )
    assert "authorization" not in heard
    assert "x-tenant" not in heard


async def test_the_trace_goes_on(acme: AutoDevClient, behind: Behind) -> None:
    trace_id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    metadata = (("traceparent", f"00-{trace_id}-{span}-01"),)
    await acme.fitness.GetVariant(fitness_pb.GetVariantRequest(variant_id="v"), metadata=metadata)
    _, heard_trace, heard_span, _ = behind.calls[0]["traceparent"].split("-")
    assert heard_trace == trace_id
    assert heard_span != span


async def test_the_deadline_goes_on(acme: AutoDevClient, behind: Behind) -> None:
    await acme.fitness.GetVariant(fitness_pb.GetVariantRequest(variant_id="v"), timeout=7)
    remaining_s = behind.remaining_s[0]
    assert remaining_s is not None
    assert 5 < remaining_s <= 7
    told = await refusal(acme.fitness.ListVariants(fitness_pb.ListVariantsRequest(), timeout=0.3))
    assert told.code == "DEADLINE_EXCEEDED"
    await until(lambda: behind.cancelled == 1, "the service's call has ended")


async def test_a_call_that_is_cancelled_is_cancelled_behind(acme: AutoDevClient, behind: Behind) -> None:
    call = acme.fitness.ListVariants(fitness_pb.ListVariantsRequest())
    await until(lambda: len(behind.calls) == 1, "the call has arrived")
    call.cancel()
    await until(lambda: behind.cancelled == 1, "the service's call is cancelled")


async def test_a_refusal_comes_back_with_every_detail(acme: AutoDevClient) -> None:
    told = await refusal(acme.fitness.GetVariant(fitness_pb.GetVariantRequest(variant_id="none")))
    assert (told.code, told.reason, told.metadata) == ("NOT_FOUND", "NOT_FOUND", {"kind": "variant", "id": "none"})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await acme.fitness.ListTopVariants(fitness_pb.ListTopVariantsRequest())
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "not now: é"
    status = rpc_status.from_call(caught.value)
    assert [each.TypeName() for each in status.details] == ["google.rpc.PreconditionFailure", "google.rpc.Help"]
    assert ("x-more", "kept") in tuple(caught.value.trailing_metadata())


async def test_field_rules_are_the_services_to_enforce(acme: AutoDevClient, behind: Behind) -> None:
    await acme.fitness.GetVariant(fitness_pb.GetVariantRequest(variant_id="no identifier"))
    assert len(behind.calls) == 1


async def test_a_stream_comes_through_as_it_is_made(acme: AutoDevClient) -> None:
    request = evolver_pb.RunResearchExperimentRequest(request_id="endless")
    stream = acme.evolver.RunResearchExperiment(request)
    async with asyncio.timeout(PATIENCE_S):
        seen: list[Any] = [await stream.read() for _ in range(3)]
    assert [each.experiment.id for each in seen] == ["0", "1", "2"]
    stream.cancel()


async def test_a_stream_ends_with_the_services_status(acme: AutoDevClient) -> None:
    done = [each async for each in acme.evolver.RunResearchExperiment(evolver_pb.RunResearchExperimentRequest())]
    assert len(done) == 3
    received = []

    async def listen() -> None:
        request = evolver_pb.RunResearchExperimentRequest(request_id="none")
        async for each in acme.evolver.RunResearchExperiment(request):
            received.append(each)

    told = await refusal(listen())
    assert (told.code, told.metadata["kind"]) == ("NOT_FOUND", "experiment")
    assert len(received) == 3


async def test_a_stream_whose_client_goes_is_ended_behind(acme: AutoDevClient, behind: Behind) -> None:
    stream = acme.evolver.RunResearchExperiment(evolver_pb.RunResearchExperimentRequest(request_id="endless"))
    await stream.read()
    assert behind.streaming == 1
    stream.cancel()
    await until(lambda: behind.streaming == 0, "the service's stream has ended")


async def test_a_service_that_is_down_is_unavailable_and_comes_back(tmp_path: Path, behind: Behind) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    request = fitness_pb.GetVariantRequest(variant_id="v")
    async with started(Storage(tmp_path), fitness_address=address) as gateway, gateway.client() as acme:
        for _ in range(2):
            told = await refusal(acme.fitness.GetVariant(request))
            assert (told.code, told.reason) == ("UNAVAILABLE", "SERVICE_AWAY")
            assert address not in told.message
            await health_becomes(gateway, SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)
            async with backend(behind, address):
                await health_becomes(gateway, SERVICE, health_pb2.HealthCheckResponse.SERVING)
                assert (await acme.fitness.GetVariant(request)).variant.id == "acme"
        # Its own services do not wait for those behind it.
        own = event_service_pb2.DESCRIPTOR.services_by_name["EventService"].full_name
        await health_becomes(gateway, own, health_pb2.HealthCheckResponse.SERVING)


async def health_becomes(gateway: Running, service: str, status: int) -> None:
    async with grpc.aio.insecure_channel(gateway.public_address) as channel, asyncio.timeout(PATIENCE_S):
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service)):
            if answer.status == status:
                return


async def test_a_service_killed_under_a_call_is_unavailable(tmp_path: Path, behind: Behind) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    async with started(Storage(tmp_path), fitness_address=address) as gateway:
        metadata = (("authorization", f"Bearer {gateway.key('acme')}"),)
        async with grpc.aio.insecure_channel(gateway.public_address) as channel:
            async with backend(behind, address):
                await health_becomes(gateway, SERVICE, health_pb2.HealthCheckResponse.SERVING)
                call = FitnessServiceStub(channel).ListVariants(fitness_pb.ListVariantsRequest(), metadata=metadata)
                waiting = asyncio.ensure_future(refusal(call))
                await until(lambda: len(behind.calls) == 1, "the call has arrived")
            assert (await waiting).code == "UNAVAILABLE"


async def test_streams_in_both_directions_are_forwarded() -> None:
    name = event_service_pb2.DESCRIPTOR.services_by_name["EventService"].full_name

    async def echo(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    def add_echo(server: grpc.aio.Server) -> None:
        server.add_registered_method_handlers(name, {"PublishStream": grpc.stream_stream_rpc_method_handler(echo)})

    settings = ServiceSettings(port=0, drain_s=0)
    last = Endpoint("127.0.0.1:0", [Served(name, add_echo)])
    async with (
        running("behind", settings, [last]),
        grpc.aio.insecure_channel(f"127.0.0.1:{last.port}", backend_options(1 << 20)) as channel,
    ):
        files = (event_service_pb2.DESCRIPTOR,)
        assert services_in(*files) == (name,)
        forwarder = Forwarder({name: Backend(channel, (name,))}, files)
        first = Endpoint("127.0.0.1:0", [], generic_handlers=[forwarder])
        async with (
            running("first", settings, [first]),
            grpc.aio.insecure_channel(f"127.0.0.1:{first.port}") as near,
        ):
            method: Any = near.stream_stream(f"/{name}/PublishStream")
            call = method(metadata=service_identity("learning").metadata())
            for number in range(3):
                await call.write(b"%d" % number)
                async with asyncio.timeout(PATIENCE_S):
                    assert await call.read() == b"%d" % number
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF


def test_every_service_but_the_gateways_own_is_forwarded() -> None:
    names = services_in(*FORWARDED)
    assert len(names) == len(set(names)) == 9
    assert not [name for name in names if name.startswith("autodev.gateway.")]


async def test_an_unknown_method_is_unimplemented(gateway: Running) -> None:
    async with grpc.aio.insecure_channel(gateway.public_address) as channel:
        metadata = (("authorization", f"Bearer {gateway.key('acme')}"),)
        call: Any = channel.unary_unary("/autodev.fitness.v1.FitnessService/Nothing")
        assert (await refusal(call(b"", metadata=metadata))).code == "UNIMPLEMENTED"
