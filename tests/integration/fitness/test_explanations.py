"""Scores explained, and compared by what both variants were told."""

import math
from datetime import UTC
from typing import TYPE_CHECKING

import pytest
from google.protobuf.json_format import MessageToDict

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev_fitness.weights import Weights
from tests.clock import Clock
from tests.integration.fitness.parts import MOST_SIGNALS, create, evaluate, signal
from tests.serving import refusal

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub as Stub


async def explain(stub: "Stub", variant_id: str, page_size: int = 0) -> list[pb.ExplainFitnessResponse]:
    """Every page."""
    pages: list[pb.ExplainFitnessResponse] = []
    token = ""
    while not pages or token:
        request = pb.ExplainFitnessRequest(variant_id=variant_id, page_size=page_size, page_token=token)
        pages.append(await stub.ExplainFitness(request))
        token = pages[-1].next_page_token
    return pages


async def test_a_score_is_explained_signal_by_signal(fitness: "Stub", clock: Clock) -> None:
    variant = await create(fitness)
    await evaluate(fitness, variant.id)
    started = clock()
    await signal(fitness, variant.id, pb.ExternalSignal(id="sale", conversion_success=True))
    clock.advance(hours=2)
    await signal(fitness, variant.id, pb.ExternalSignal(id="bounce", email_bounce=True))
    (answer,) = await explain(fitness, variant.id)
    assert [(fact.name, fact.holds, fact.adjustment) for fact in answer.first_run] == [
        ("parses", True, 0.2),
        ("runs", True, 0.3),
        ("approved", False, 0.0),
    ]
    sale, bounce = answer.steps
    assert (sale.signal.id, sale.signal.WhichOneof("kind"), sale.adjustment) == ("sale", "conversion_success", 0.6)
    assert (sale.score_before, sale.score_after, sale.clamped) == (0.5, 1.0, True)
    assert sale.sum_after == pytest.approx(1.1)
    assert (bounce.score_before, bounce.clamped) == (1.0, False)
    assert (bounce.received_at.ToDatetime(UTC) - started).total_seconds() == 7200
    assert bounce.score_after == answer.fitness_score == pytest.approx(0.8)
    assert not answer.clamped
    assert answer.weights.version == 1
    assert MessageToDict(answer.weights.weights)["signals"]["email_bounce"] == -0.3
    assert answer.weights.since.ToDatetime(UTC) <= started


@pytest.mark.parametrize("page_size", [1, 7, 500])
async def test_the_pages_together_sum_to_the_score_exactly(fitness: "Stub", page_size: int) -> None:
    variant = await create(fitness)
    await evaluate(fitness, variant.id, pb.ProxySignals(syntax_error=True, execution_success=True))
    signals = [pb.ExternalSignal(id=f"s{index}", conversion_value=index * 7.3) for index in range(MOST_SIGNALS)]
    scored = (await signal(fitness, variant.id, *signals)).variant.fitness_score
    pages = await explain(fitness, variant.id, page_size)
    steps = [step for page in pages for step in page.steps]
    assert [step.signal.id for step in steps] == [each.id for each in signals]
    for page in pages:
        total = math.fsum([page.proxy_score, *(step.adjustment for step in steps)])
        assert (page.sum, page.fitness_score) == (total, scored)
        assert min(1.0, max(0.0, total)) == scored
    assert steps[-1].score_after == scored


async def test_a_pending_variant_has_nothing_to_explain(fitness: "Stub") -> None:
    variant = await create(fitness)
    (answer,) = await explain(fitness, variant.id)
    assert (answer.fitness_score, answer.sum, len(answer.first_run), len(answer.steps)) == (0, 0, 0, 0)
    assert answer.weights.version == 0
    assert (await evaluate(fitness, variant.id)).weights_version == 1


async def test_the_weights_are_those_of_the_settings(fitness: "Stub") -> None:
    variant = await create(fitness)
    await evaluate(fitness, variant.id)
    (answer,) = await explain(fitness, variant.id)
    # What a function of the test's own states as its version is a weight as well.
    assert MessageToDict(answer.weights.weights) == Weights(functions={"acme.cost": "7"}).as_json()


async def test_what_is_not_there_is_not_explained(fitness: "Stub") -> None:
    variant = await create(fitness)
    assert (await refusal(fitness.ExplainFitness(pb.ExplainFitnessRequest(variant_id="none")))).code == "NOT_FOUND"
    for one, other in ((variant.id, "none"), ("none", variant.id)):
        request = pb.CompareScoresRequest(variant_id=one, other_variant_id=other)
        assert (await refusal(fitness.CompareScores(request))).code == "NOT_FOUND"


async def test_two_variants_are_compared_by_what_both_were_told(fitness: "Stub") -> None:
    one, other = await create(fitness, "one"), await create(fitness, "other")
    for variant in (one, other):
        await evaluate(fitness, variant.id)
    await signal(
        fitness,
        one.id,
        pb.ExternalSignal(id="shared", email_bounce=True),
        pb.ExternalSignal(id="only-the-one", conversion_success=True),
    )
    await signal(fitness, other.id, pb.ExternalSignal(id="shared", crm_conversion=True))
    request = pb.CompareScoresRequest(variant_id=one.id, other_variant_id=other.id)
    answer = await fitness.CompareScores(request)
    assert answer.better_variant_id == other.id
    assert (answer.shared_signals, answer.other_score) == (1, 1.0)
    assert answer.score == pytest.approx(0.2)
    assert answer.fitness_score == pytest.approx(0.8)
    assert [(each.what, each.adjustment, each.other_adjustment) for each in answer.differences] == [
        ("shared", -0.3, 0.5)
    ]
    assert answer.explanation.startswith(f"{other.id} is better than {one.id}")


async def test_both_are_scored_by_the_others_function(fitness: "Stub") -> None:
    one, other = await create(fitness, "one"), await create(fitness, "other", function="acme.cost")
    for variant in (one, other):
        await evaluate(fitness, variant.id)
    request = pb.CompareScoresRequest(variant_id=one.id, other_variant_id=other.id)
    answer = await fitness.CompareScores(request)
    assert (answer.better_variant_id, answer.score, answer.other_score) == ("", 0.9, 0.9)


async def test_how_a_variant_was_made_is_kept(fitness: "Stub") -> None:
    parent, mate = await create(fitness, "parent"), await create(fitness, "mate")
    origin = pb.VariantOrigin(edit="crossover", detail="steps 1 to 2, then 3", seed=-7, mate_variant_id=mate.id)
    request = pb.CreateVariantRequest(request_id="c", agent_id="ada", parent_variant_id=parent.id, origin=origin)
    request.workflow_definition["steps"] = []
    made = (await fitness.CreateVariant(request)).variant
    found = (await fitness.GetVariant(pb.GetVariantRequest(variant_id=made.id))).variant
    assert found.origin == origin
    assert not parent.HasField("origin")
    request.request_id, request.origin.mate_variant_id = "d", "none"
    assert (await refusal(fitness.CreateVariant(request))).code == "NOT_FOUND"
