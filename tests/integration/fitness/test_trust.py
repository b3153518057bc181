"""Who is believed about a variant: what an approval and an outcome need, and that callers reach no signed webhook."""

from typing import TYPE_CHECKING

import grpc
import pytest

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev_runtime.identity import Role
from tests.integration.fitness.parts import create, evaluate, signal
from tests.serving import acting, refusal

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub as Stub

APPROVED = pb.ProxySignals(execution_success=True, user_approved=True)
INVOICE = pb.ExternalSignal(id="crm:msg_1", invoice_created=True)
BOUNCE = pb.ExternalSignal(id="crm:msg_1", email_bounce=True)


def caller(channel: grpc.aio.Channel, *roles: Role) -> "Stub":
    return FitnessServiceStub(acting(channel, "acme", *roles))


@pytest.mark.parametrize("roles", [(), (Role.RUNTIME,), (Role.OPERATOR,)])
async def test_only_a_reviewer_or_a_service_says_that_a_person_approved(
    channel: grpc.aio.Channel, fitness: "Stub", roles: tuple[Role, ...]
) -> None:
    variant = await create(fitness)
    told = await refusal(evaluate(caller(channel, *roles), variant.id, APPROVED))
    assert (told.code, told.reason, told.metadata["role"]) == ("PERMISSION_DENIED", "ROLE_REQUIRED", "reviewer")
    for role in (Role.REVIEWER, Role.SERVICE):
        assert (await evaluate(caller(channel, role), variant.id, APPROVED)).fitness_score == pytest.approx(1)


async def test_who_may_not_approve_takes_no_approval_away(channel: grpc.aio.Channel, fitness: "Stub") -> None:
    variant = await create(fitness)
    assert (await evaluate(caller(channel), variant.id)).fitness_score == pytest.approx(0.5)
    await evaluate(fitness, variant.id, APPROVED)
    again = await evaluate(caller(channel), variant.id, pb.ProxySignals(syntax_error=True))
    assert again.proxy_signals == pb.ProxySignals(syntax_error=True, user_approved=True)
    assert (await evaluate(fitness, variant.id)).proxy_signals == pb.ProxySignals(execution_success=True)


@pytest.mark.parametrize("roles", [(), (Role.REVIEWER,), (Role.OPERATOR,)])
async def test_only_a_runtime_or_a_service_vouches_for_an_outcome(
    channel: grpc.aio.Channel, fitness: "Stub", roles: tuple[Role, ...]
) -> None:
    variant = await create(fitness)
    told = await refusal(signal(caller(channel, *roles), variant.id, INVOICE))
    assert (told.code, told.reason, told.metadata["role"]) == ("PERMISSION_DENIED", "ROLE_REQUIRED", "runtime")
    for role in (Role.RUNTIME, Role.SERVICE):
        assert (await signal(caller(channel, role), variant.id, INVOICE)).accepted == 1


async def test_a_caller_cannot_take_the_id_of_a_signed_webhook(channel: grpc.aio.Channel, fitness: "Stub") -> None:
    variant = await create(fitness)
    assert (await signal(fitness, variant.id, BOUNCE, BOUNCE)).accepted == 1
    assert (await signal(fitness, variant.id, BOUNCE)).accepted == 0
    counted = await signal(caller(channel, Role.SERVICE), variant.id, INVOICE, INVOICE)
    assert counted.accepted == 1
    # Each is shown by the id that was stated.
    assert list(counted.variant.external_signals) == [BOUNCE, INVOICE]
    assert (await signal(caller(channel, Role.SERVICE), variant.id, INVOICE)).accepted == 0


async def test_an_id_that_was_kept_as_it_was_stated_counts_once_whoever_states_it(
    channel: grpc.aio.Channel, fitness: "Stub"
) -> None:
    # As an earlier release kept a caller's, and as a webhook's is kept.
    variant = await create(fitness)
    assert (await signal(caller(channel, Role.SERVICE), variant.id, INVOICE)).accepted == 1
    assert (await signal(fitness, variant.id, INVOICE)).accepted == 0


async def test_the_longest_id_of_a_caller_is_kept(fitness: "Stub") -> None:
    variant = await create(fitness)
    longest = pb.ExternalSignal(id="a:" + "b" * 126, invoice_created=True)
    assert list((await signal(fitness, variant.id, longest)).variant.external_signals) == [longest]


async def test_a_comparison_names_a_callers_signal_as_it_was_stated(fitness: "Stub") -> None:
    one, other = await create(fitness, "one"), await create(fitness, "other")
    await signal(fitness, one.id, BOUNCE)
    await signal(fitness, other.id, INVOICE)
    answer = await fitness.CompareScores(pb.CompareScoresRequest(variant_id=one.id, other_variant_id=other.id))
    assert [each.what for each in answer.differences] == ["crm:msg_1"]
    assert "by crm:msg_1 (" in answer.explanation


async def test_a_webhooks_signal_is_not_shared_with_a_callers_of_the_same_id(
    channel: grpc.aio.Channel, fitness: "Stub"
) -> None:
    one, other = await create(fitness, "one"), await create(fitness, "other")
    await signal(fitness, one.id, INVOICE)
    await signal(caller(channel, Role.SERVICE), other.id, INVOICE)
    answer = await fitness.CompareScores(pb.CompareScoresRequest(variant_id=one.id, other_variant_id=other.id))
    assert (answer.shared_signals, list(answer.differences)) == (0, [])
