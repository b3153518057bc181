"""Comparing variants, and the schema."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev_fitness.rows import Base
from tests.integration.fitness.parts import Parts, create, evaluate
from tests.serving import refusal

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub as Stub

SECONDS = [0.2, 0.4, 0.6, 0.8, 1.0]


def runs(factor: float = 1.0, correct: int = 5, total: int = 5, count: int = 5) -> pb.RunMeasurements:
    return pb.RunMeasurements(run_seconds=[factor * each for each in SECONDS[:count]], correct=correct, total=total)


async def request_for(
    stub: "Stub", ours: pb.RunMeasurements, theirs: pb.RunMeasurements, request_id: str = "c"
) -> pb.CompareVariantsRequest:
    baseline = await create(stub, "baseline")
    variant = await create(stub, "variant", parent=baseline.id)
    return pb.CompareVariantsRequest(
        request_id=request_id,
        variant_id=variant.id,
        baseline_variant_id=baseline.id,
        variant_runs=ours,
        baseline_runs=theirs,
        mutation_id="mutation-1",
    )


async def test_a_faster_variant_wins_and_the_world_is_told(fitness: "Stub", parts: Parts) -> None:
    request = await request_for(fitness, runs(0.5), runs())
    await evaluate(fitness, request.variant_id)
    await evaluate(fitness, request.baseline_variant_id, pb.ProxySignals())
    answer = await fitness.CompareVariants(request)
    assert answer.wins
    assert [answer.time_ratio, answer.fitness_delta] == pytest.approx([0.5, 0.3])
    assert [answer.time_ratio_low, answer.time_ratio_high] == pytest.approx([0.5, 0.5])
    assert "faster" in answer.explanation
    event = (await parts.events())[-1]
    compared = event.variants_compared
    assert (event.agent_id, compared.variant_id, compared.mutation_id) == ("ada", request.variant_id, "mutation-1")
    assert (compared.time_ratio, compared.fitness_delta) == (answer.time_ratio, answer.fitness_delta)
    assert (compared.time_ratio_low, compared.time_ratio_high) == (answer.time_ratio_low, answer.time_ratio_high)
    assert compared.wins


async def test_events_tell_what_a_call_belongs_to_and_was_caused_by(fitness: "Stub", parts: Parts) -> None:
    request = await request_for(fitness, runs(0.5), runs())
    request.correlation_id, request.causation_id = "experiment-1", "event-1"
    await fitness.CompareVariants(request)
    run = pb.EvaluateInitialProxyRequest(
        variant_id=request.variant_id, correlation_id="episode-1", causation_id="event-2"
    )
    run.signals.execution_success = True
    await fitness.EvaluateInitialProxy(run)
    await evaluate(fitness, request.baseline_variant_id)
    told = [(event.correlation_id, event.causation_id) for event in await parts.events()]
    assert told == [("experiment-1", "event-1"), ("episode-1", "event-2"), ("", "")]


async def test_the_same_request_is_compared_once(fitness: "Stub", parts: Parts) -> None:
    request = await request_for(fitness, runs(0.5), runs())
    first = await fitness.CompareVariants(request)
    await evaluate(fitness, request.variant_id)
    request.variant_runs.CopyFrom(runs(3))
    again = await asyncio.gather(*(fitness.CompareVariants(request) for _ in range(5)))
    assert all(answer == first for answer in again)
    assert [event.HasField("variants_compared") for event in await parts.events()].count(True) == 1


async def test_each_request_has_its_own_comparison(fitness: "Stub") -> None:
    faster = await request_for(fitness, runs(0.5), runs(), "faster")
    slower = await request_for(fitness, runs(2), runs(), "slower")
    answers = [await fitness.CompareVariants(each) for each in (faster, slower)]
    assert [answer.wins for answer in answers] == [True, False]
    assert [await fitness.CompareVariants(each) for each in (faster, slower)] == answers


async def test_a_variant_that_is_right_on_fewer_inputs_loses(fitness: "Stub") -> None:
    request = await request_for(fitness, runs(0.01, correct=4), runs())
    assert not (await fitness.CompareVariants(request)).wins


@pytest.mark.parametrize(
    ("ours", "theirs", "field"),
    [
        (runs(count=4), runs(), "variant_runs.run_seconds"),
        (runs(total=6), runs(), "variant_runs.total"),
        (runs(), runs(correct=6), "baseline_runs.correct"),
        (runs(count=0), runs(count=0), "variant_runs.run_seconds"),
    ],
)
async def test_runs_that_are_not_of_the_same_inputs_are_refused(
    fitness: "Stub", parts: Parts, ours: pb.RunMeasurements, theirs: pb.RunMeasurements, field: str
) -> None:
    refused = await refusal(fitness.CompareVariants(await request_for(fitness, ours, theirs)))
    assert refused.code == "INVALID_ARGUMENT"
    assert field in refused.fields
    assert await parts.events() == []


@pytest.mark.parametrize("missing", ["variant_id", "baseline_variant_id"])
async def test_both_variants_must_be_there(fitness: "Stub", missing: str) -> None:
    request = await request_for(fitness, runs(), runs())
    setattr(request, missing, "no-such")
    assert (await refusal(fitness.CompareVariants(request))).code == "NOT_FOUND"


async def test_the_migrations_make_the_schema_of_the_models(parts: Parts) -> None:
    differences: list[Any] = []

    def compare(connection: Connection) -> None:
        differences.extend(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    await parts.database.run(compare)
    # What Alembic reads back of an index with a descending column is not what made it.
    assert [each for each in differences if getattr(each[1], "name", "") != "ix_workflow_variants_best"] == []
