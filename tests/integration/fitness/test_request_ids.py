"""A request_id stands for one variant or comparison, and a service's is out of callers' reach."""

from typing import TYPE_CHECKING

import grpc
import pytest

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev_learning.peers.fitness import Cause, FitnessClient, Runs
from autodev_runtime.identity import Identity, Role, acting_as
from tests.integration.fitness.parts import create, workflow
from tests.serving import acting, refusal

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub as Stub

FAST = pb.RunMeasurements(run_seconds=[0.001] * 5, correct=5, total=5)
SLOW = pb.RunMeasurements(run_seconds=[1] * 5, correct=5, total=5)
RUNS = Runs((1,) * 5, 5, 5)
CALLER = Identity("acme", "caller", frozenset())


@pytest.fixture
def service(channel: grpc.aio.Channel) -> "Stub":
    return FitnessServiceStub(acting(channel, "acme", Role.SERVICE))


def comparison(variant: str, baseline: str, mutation: str = "", request_id: str = "c") -> pb.CompareVariantsRequest:
    return pb.CompareVariantsRequest(
        request_id=request_id,
        variant_id=variant,
        baseline_variant_id=baseline,
        variant_runs=FAST,
        baseline_runs=SLOW,
        mutation_id=mutation,
    )


async def test_an_id_again_for_another_variant_is_refused(fitness: "Stub") -> None:
    parent = await create(fitness, "parent")
    first = pb.CreateVariantRequest(request_id="r", agent_id="ada", workflow_definition=workflow(code="x"))
    made = (await fitness.CreateVariant(first)).variant
    for changed in (
        pb.CreateVariantRequest(parent_variant_id=parent.id),
        pb.CreateVariantRequest(agent_id="bob"),
        pb.CreateVariantRequest(workflow_definition=workflow(code="y")),
        pb.CreateVariantRequest(fitness_function="measured"),
        pb.CreateVariantRequest(origin=pb.VariantOrigin(edit="drop")),
    ):
        request = pb.CreateVariantRequest()
        request.CopyFrom(first)
        request.MergeFrom(changed)
        told = await refusal(fitness.CreateVariant(request))
        assert (told.code, told.reason) == ("FAILED_PRECONDITION", "REQUEST_ID_REUSED")
    first.fitness_function = "proxy"  # which is the default
    assert (await fitness.CreateVariant(first)).variant == made


async def test_an_id_again_for_another_comparison_is_refused(fitness: "Stub") -> None:
    one, other = (await create(fitness, "one")).id, (await create(fitness, "other")).id
    first = await fitness.CompareVariants(comparison(one, other, "m"))
    for request in (comparison(other, one, "m"), comparison(one, one, "m"), comparison(one, other, "another")):
        told = await refusal(fitness.CompareVariants(request))
        assert (told.code, told.reason) == ("FAILED_PRECONDITION", "REQUEST_ID_REUSED")
    assert await fitness.CompareVariants(comparison(one, other, "m")) == first


async def test_a_caller_cannot_make_the_comparison_that_decides(fitness: "Stub", channel: grpc.aio.Channel) -> None:
    learning = FitnessClient(FitnessServiceStub(channel))
    for name in ("version:s@1", "mutation:m"):
        await create(fitness, name)
    with acting_as(CALLER):
        baseline = await learning.create("version:s@1", "ada", {"skill_id": "s"})
        variant = await learning.create("mutation:m", "ada", {"skill_id": "s"}, baseline.id)
        await fitness.CompareVariants(comparison(variant.id, baseline.id, "m", f"m:{baseline.id}"))
        slower = await learning.compare("m", variant.id, baseline.id, (RUNS, RUNS), Cause("m", ""))
        assert not slower.wins
        # Two mutations of a version may be for different agents; its variant is the first one's.
        assert await learning.create("version:s@1", "bob", {"skill_id": "s"}) == baseline


async def test_what_an_earlier_release_kept_is_found(fitness: "Stub", service: "Stub") -> None:
    # It kept everybody's requests by the ids that were stated, as a service's are.
    made = await create(service, "r")
    compared = await service.CompareVariants(comparison(made.id, made.id))
    assert await create(fitness, "r") == made
    assert await fitness.CompareVariants(comparison(made.id, made.id)) == compared
    found = (await fitness.ListVariants(pb.ListVariantsRequest(request_id="r"))).variants
    assert [each.id for each in found] == [made.id]
    assert (await refusal(create(fitness, "r", agent_id="bob"))).reason == "REQUEST_ID_REUSED"


async def test_a_service_takes_no_callers_id(fitness: "Stub", service: "Stub") -> None:
    mine, theirs = await create(fitness, "r"), await create(service, "r")
    assert mine.id != theirs.id
    for stub, variant in ((fitness, mine), (service, theirs)):
        found = (await stub.ListVariants(pb.ListVariantsRequest(request_id="r"))).variants
        assert [each.id for each in found] == [variant.id]
