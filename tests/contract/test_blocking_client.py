"""What a plain, blocking gRPC client sees of a mesh: reflection, health and refusals, as `grpcurl`-style tools do.

pytest-grpc's fixtures give the blocking channel; the server that they would start is the mesh instead.
"""

import asyncio
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from autodev.capability.v1 import capability_service_pb2, capability_service_pb2_grpc
from autodev.sandbox.v1 import sandbox_service_pb2, sandbox_service_pb2_grpc
from tests.contract.messages import methods
from tests.mesh import DEVELOPER, SERVICES, TENANT, Mesh, key

CALL_S = 10.0
SERVED = sorted({method.containing_service.full_name for method in methods()})
OWN = {name: [each for each in SERVED if each.startswith(f"autodev.{name}.")] for name in SERVICES}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with asyncio.Runner() as runner:
        started = Mesh(tmp_path_factory.mktemp("blocking"))
        runner.run(started.__aenter__())
        yield started
        runner.run(started.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def grpc_addr(mesh: Mesh) -> str:
    return mesh.address("gateway")


@pytest.fixture(scope="module")
def grpc_server(mesh: Mesh) -> Mesh:
    return mesh


def test_reflection_on_the_gateway_shows_every_method_of_every_service(grpc_channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(grpc_channel)
    assert set(SERVED) <= set(database.get_services())
    pool = DescriptorPool(database)
    for method in methods():
        reflected = pool.FindServiceByName(method.containing_service.full_name).methods_by_name[method.name]
        assert reflected.input_type.full_name == method.input_type.full_name


@pytest.mark.parametrize("service", SERVED)
def test_the_gateway_says_of_every_service_that_it_serves(grpc_channel: grpc.Channel, service: str) -> None:
    # Watch, since the gateway asks the services behind it every half second until all of them serve.
    request = health_pb2.HealthCheckRequest(service=service)
    answers = health_pb2_grpc.HealthStub(grpc_channel).Watch(request, timeout=CALL_S)
    assert any(answer.status == health_pb2.HealthCheckResponse.SERVING for answer in answers)
    answers.cancel()


@pytest.mark.parametrize("name", SERVICES)
def test_every_process_shows_and_vouches_for_its_own_services(mesh: Mesh, name: str) -> None:
    with grpc.insecure_channel(mesh.address(name)) as channel:
        assert set(OWN[name]) <= set(ProtoReflectionDescriptorDatabase(channel).get_services())
        for service in OWN[name]:
            request = health_pb2.HealthCheckRequest(service=service)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=CALL_S)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_blocking_client_reads_streams(grpc_channel: grpc.Channel) -> None:
    stub = sandbox_service_pb2_grpc.SandboxServiceStub(grpc_channel)
    request = sandbox_service_pb2.ExecuteStreamRequest(execution=sandbox_service_pb2.ExecuteRequest(code="print('x')"))
    keyed = (("authorization", f"Bearer {key(TENANT, DEVELOPER)}"),)
    events = [each.WhichOneof("event") for each in stub.ExecuteStream(request, timeout=CALL_S, metadata=keyed)]
    assert events == ["started", "stdout", "finished"]


def test_a_call_without_a_key_is_refused_and_one_with_it_answered(
    grpc_create_channel: Callable[[], grpc.Channel],
) -> None:
    request = capability_service_pb2.GetWorkspaceSettingsRequest()
    with grpc_create_channel() as channel:
        stub = capability_service_pb2_grpc.CapabilityServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.GetWorkspaceSettings(request, timeout=CALL_S)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        answer = stub.GetWorkspaceSettings(
            request, timeout=CALL_S, metadata=(("authorization", f"Bearer {key(TENANT, DEVELOPER)}"),)
        )
        assert not answer.settings.enabled
