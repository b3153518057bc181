"""Scoring variants by first runs, signals and reviews."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev.gateway.v1 import event_pb2
from autodev_sdk.events import make_event
from tests.clock import Clock
from tests.integration.fitness.parts import MOST_SIGNALS, Parts, create, evaluate, signal
from tests.serving import refusal
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub as Stub


async def get(stub: "Stub", variant_id: str) -> pb.WorkflowVariant:
    return (await stub.GetVariant(pb.GetVariantRequest(variant_id=variant_id))).variant


async def scored(parts: Parts) -> list[Any]:
    """Score and previous score of each VariantScored."""
    payloads = [event.variant_scored for event in await parts.events() if event.HasField("variant_scored")]
    return [(each.fitness_score, each.previous_score if each.HasField("previous_score") else None) for each in payloads]


async def test_a_first_run_scores_a_variant(fitness: "Stub", parts: Parts, clock: Clock) -> None:
    variant = await create(fitness)
    clock.advance(minutes=3)
    scored_variant = await evaluate(fitness, variant.id)
    assert scored_variant == await get(fitness, variant.id)
    assert scored_variant.fitness_score == pytest.approx(0.5)
    assert scored_variant.evaluation_status == pb.EVALUATION_STATUS_EVALUATED
    assert scored_variant.last_evaluated_at.ToDatetime(UTC) == clock()
    assert scored_variant.proxy_signals == pb.ProxySignals(execution_success=True)
    (event,) = await parts.events()
    assert (event.tenant_id, event.agent_id, event.variant_scored.variant_id) == ("acme", "ada", variant.id)
    assert await scored(parts) == [(pytest.approx(0.5), None)]


async def test_the_table_says_which_variants_are_evaluated(fitness: "Stub", storage: Storage) -> None:
    variants = [await create(fitness, request_id) for request_id in ("pending", "run", "told")]
    await evaluate(fitness, variants[1].id)
    await signal(fitness, variants[2].id, pb.ExternalSignal(id="s", invoice_created=True))
    found = dict(await storage.rows("fitness", "SELECT id, evaluation_status FROM workflow_variants"))
    assert [found[each.id] for each in variants] == ["pending", "evaluated", "evaluated"]


async def test_evaluating_again_replaces_the_proxy_score_and_keeps_the_signals(fitness: "Stub", parts: Parts) -> None:
    variant = await create(fitness)
    await evaluate(fitness, variant.id)
    await signal(fitness, variant.id, pb.ExternalSignal(id="s", invoice_created=True))
    again = await evaluate(fitness, variant.id, pb.ProxySignals())
    assert again.fitness_score == pytest.approx(0.6)
    assert [each.id for each in again.external_signals] == ["s"]
    assert await scored(parts) == [
        (pytest.approx(0.5), None),
        (pytest.approx(0.9), pytest.approx(0.5)),
        (pytest.approx(0.6), pytest.approx(0.9)),
    ]


async def test_a_score_that_is_confirmed_is_no_news(fitness: "Stub", parts: Parts, clock: Clock) -> None:
    variant = await create(fitness)
    await evaluate(fitness, variant.id)
    clock.advance(hours=1)
    again = await evaluate(fitness, variant.id)
    assert again.last_evaluated_at.ToDatetime(UTC) == clock()
    assert len(await parts.events()) == 1


async def test_a_worthless_first_run_is_scored_all_the_same(fitness: "Stub", parts: Parts) -> None:
    variant = await create(fitness)
    worthless = await evaluate(fitness, variant.id, pb.ProxySignals(syntax_error=True))
    assert (worthless.fitness_score, worthless.evaluation_status) == (0, pb.EVALUATION_STATUS_EVALUATED)
    assert await scored(parts) == [(0, None)]


async def test_the_same_webhook_twice_counts_once(fitness: "Stub", parts: Parts, clock: Clock) -> None:
    variant = await create(fitness)
    webhook = pb.ExternalSignal(id="wh-1", invoice_created=True)
    first = await signal(fitness, variant.id, webhook)
    clock.advance(hours=1)
    again = await signal(fitness, variant.id, webhook)
    assert first.variant == again.variant
    assert first.variant.fitness_score == pytest.approx(0.4)
    assert (first.accepted, again.accepted) == (1, 0)
    assert first.variant.evaluation_status == pb.EVALUATION_STATUS_EVALUATED
    assert len(await parts.events()) == 1


async def test_an_id_counts_once_within_one_call_and_whatever_it_says(fitness: "Stub") -> None:
    variant = await create(fitness)
    answer = await signal(
        fitness,
        variant.id,
        pb.ExternalSignal(id="wh", email_bounce=True),
        pb.ExternalSignal(id="wh", conversion_success=True),
        pb.ExternalSignal(id="other", conversion_value=250),
    )
    assert answer.accepted == 2
    assert [(each.id, each.WhichOneof("kind")) for each in answer.variant.external_signals] == [
        ("wh", "email_bounce"),
        ("other", "conversion_value"),
    ]


async def test_one_id_counts_for_each_variant_it_names(fitness: "Stub") -> None:
    for request_id in ("a", "b"):
        variant = await create(fitness, request_id)
        assert (await signal(fitness, variant.id, pb.ExternalSignal(id="wh", crm_conversion=True))).accepted == 1


async def test_concurrent_signals_all_count_once(fitness: "Stub") -> None:
    variant = await create(fitness)
    signals = [pb.ExternalSignal(id=f"s{index}", conversion_value=10) for index in range(10)]
    await asyncio.gather(*(signal(fitness, variant.id, each) for each in signals * 2))
    assert (await get(fitness, variant.id)).fitness_score == pytest.approx(0.1)


async def test_signals_that_came_first_wait_for_the_first_run(fitness: "Stub") -> None:
    variant = await create(fitness)
    await signal(fitness, variant.id, pb.ExternalSignal(id="s", email_bounce=True))
    assert (await get(fitness, variant.id)).fitness_score == 0
    assert (await evaluate(fitness, variant.id)).fitness_score == pytest.approx(0.2)


async def test_a_signal_is_kept_as_it_came(fitness: "Stub") -> None:
    variant = await create(fitness)
    when = Timestamp(seconds=1_700_000_000, nanos=123_456_000)
    sent = [
        pb.ExternalSignal(id="value", conversion_value=0, occurred_at=when),
        pb.ExternalSignal(id="error", error_signal=True),
    ]
    await signal(fitness, variant.id, *sent)
    assert list((await get(fitness, variant.id)).external_signals) == sent


@pytest.mark.parametrize(
    ("signals", "fields"),
    [
        ([pb.ExternalSignal(id="s")], ["signals[0].kind"]),
        ([pb.ExternalSignal(id="s", invoice_created=False)], ["signals[0].invoice_created"]),
        (
            [pb.ExternalSignal(id="a", error_signal=True), pb.ExternalSignal(id="b", email_bounce=False)],
            ["signals[1].email_bounce"],
        ),
        ([pb.ExternalSignal(id="s", conversion_value=-1)], ["signals[0].conversion_value"]),
        ([pb.ExternalSignal(id="s", conversion_value=float("nan"))], ["signals[0].conversion_value"]),
        ([pb.ExternalSignal(invoice_created=True)], ["signals[0].id"]),
        ([], ["signals"]),
    ],
)
async def test_a_signal_says_exactly_one_thing_that_happened(
    fitness: "Stub", signals: list[pb.ExternalSignal], fields: list[str]
) -> None:
    variant = await create(fitness)
    refused = await refusal(signal(fitness, variant.id, *signals))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", fields)
    assert await get(fitness, variant.id) == variant


async def test_a_variant_has_so_many_signals_and_no_more(fitness: "Stub") -> None:
    variant = await create(fitness)
    signals = [pb.ExternalSignal(id=f"s{index}", conversion_value=1) for index in range(MOST_SIGNALS + 1)]
    refused = await refusal(signal(fitness, variant.id, *signals))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "TOO_MANY_SIGNALS")
    assert not (await get(fitness, variant.id)).external_signals
    assert (await signal(fitness, variant.id, *signals[:MOST_SIGNALS])).accepted == MOST_SIGNALS
    assert (await signal(fitness, variant.id, signals[0])).accepted == 0


async def test_a_variant_that_is_not_there(fitness: "Stub") -> None:
    for call in (
        evaluate(fitness, "no-such"),
        signal(fitness, "no-such", pb.ExternalSignal(id="s", invoice_created=True)),
        fitness.GetLineage(pb.GetLineageRequest(variant_id="no-such")),
    ):
        assert (await refusal(call)).code == "NOT_FOUND"


async def test_a_variants_own_function_scores_its_first_run(fitness: "Stub") -> None:
    measured, own = await create(fitness, "m", function="measured"), await create(fitness, "o", function="acme.cost")
    measurements = Struct()
    measurements.update({"correct": 5, "total": 10, "time_ratio": 1})
    shown = pb.ProxySignals(execution_success=True, measurements=measurements)
    by_measurements = await evaluate(fitness, measured.id, shown)
    assert by_measurements.fitness_score == pytest.approx(0.35)
    assert by_measurements.proxy_signals == shown
    assert (await evaluate(fitness, own.id)).fitness_score == pytest.approx(0.9)


async def test_bad_measurements_and_broken_functions_are_refused(fitness: "Stub") -> None:
    measured, broken = (
        await create(fitness, "m", function="measured"),
        await create(fitness, "b", function="acme.broken"),
    )
    measurements = Struct()
    measurements.update({"total": "ten"})
    refused = await refusal(evaluate(fitness, measured.id, pb.ProxySignals(measurements=measurements)))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["signals.measurements.total"])
    refused = await refusal(evaluate(fitness, broken.id))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "FITNESS_FUNCTION_FAILED")


def review(variant_id: str, decision: Any = event_pb2.DECISION_APPROVED, tenant: str = "acme") -> event_pb2.Event:
    payload = event_pb2.ReviewDecided(
        review_id=str(uuid.uuid4()),
        subject_kind=event_pb2.SUBJECT_KIND_MUTATION,
        subject_id="m",
        decision=decision,
        variant_id=variant_id,
    )
    event = make_event(payload, agent_id="ada", correlation_id="episode")
    event.tenant_id = tenant
    return event


async def test_an_approved_review_approves_its_variant_once(fitness: "Stub", parts: Parts) -> None:
    variant = await create(fitness)
    await evaluate(fitness, variant.id)
    event = review(variant.id)
    for _ in range(2):
        await parts.listener.on_review(event)
    approved = await get(fitness, variant.id)
    assert approved.fitness_score == pytest.approx(1)
    assert approved.proxy_signals == pb.ProxySignals(execution_success=True, user_approved=True)
    assert len(await parts.events()) == 2
    last = (await parts.events())[-1]
    assert (last.causation_id, last.correlation_id) == (event.id, "episode")


async def test_a_variant_that_was_not_run_yet_can_be_approved(fitness: "Stub", parts: Parts) -> None:
    variant = await create(fitness)
    await parts.listener.on_review(review(variant.id))
    approved = await get(fitness, variant.id)
    assert approved.fitness_score == pytest.approx(0.7)
    assert approved.proxy_signals == pb.ProxySignals(user_approved=True)


async def test_other_reviews_change_nothing(fitness: "Stub", parts: Parts) -> None:
    variant = await create(fitness)
    for event in (
        review(variant.id, event_pb2.DECISION_REJECTED),
        review(variant.id, tenant="globex"),
        review("no-such"),
        review(""),
    ):
        await parts.listener.on_review(event)
    assert await get(fitness, variant.id) == variant
    assert await parts.events() == []


async def test_times_are_kept_to_the_microsecond_from_the_first_year_to_the_last(fitness: "Stub") -> None:
    variant = await create(fitness)
    first, last = Timestamp(), Timestamp()
    first.FromDatetime(datetime(1, 1, 1, tzinfo=UTC))
    last.FromDatetime(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    sent = [pb.ExternalSignal(id=f"{when.seconds}", error_signal=True, occurred_at=when) for when in (first, last)]
    await signal(fitness, variant.id, *sent)
    assert list((await get(fitness, variant.id)).external_signals) == sent
