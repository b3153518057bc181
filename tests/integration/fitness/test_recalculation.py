"""Scores are computed again when weights change: once each, in bounded batches, wherever it was stopped."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from autodev_fitness.functions import FitnessFunctions
from autodev_fitness.scoring import ExternalSignal, ProxySignals, ProxyWeights, SignalKind, SignalWeights
from autodev_fitness.variants import Variant
from autodev_fitness.weights import Weights
from autodev_runtime.errors import Unavailable
from autodev_runtime.request_ids import RequestId
from autodev_sdk.extensions import FitnessFunction, RunSignals
from tests.clock import Clock
from tests.integration.fitness.parts import BATCH_ROWS, DEFAULT_WEIGHTS, OWN_FUNCTION, Parts, made
from tests.storage import Storage

DEARER = Weights(ProxyWeights(parses=0.15), signals=SignalWeights(email_bounce=-0.2))
TENANTS = ("acme", "globex")


@contextlib.asynccontextmanager
async def started(
    storage: Storage, weights: Weights = DEFAULT_WEIGHTS, own: Sequence[FitnessFunction] = (OWN_FUNCTION,)
) -> AsyncIterator[Parts]:
    """A replica that starts with these weights, and functions of the user's own."""
    async with made(storage, Clock(), weights, own) as parts:
        yield parts


def cost(version: str, gives: float) -> FitnessFunction:
    """The user's function, in a version."""
    return FitnessFunction(OWN_FUNCTION.name, "what a run cost", lambda signals: gives, version)


def away(signals: RunSignals) -> float:
    raise Unavailable("it is being deployed", reason="FITNESS_FUNCTION_AWAY")


async def scored(parts: Parts, tenant: str, name: str, function: str = "", signals: int = 1) -> Variant:
    variant = await parts.fitness.create(tenant, RequestId(name, name), "", "ada", {}, function)
    await parts.fitness.evaluate_initial_proxy(tenant, variant.id, ProxySignals(execution_success=True))
    bounces = [ExternalSignal(f"s{number}", SignalKind.EMAIL_BOUNCE) for number in range(signals)]
    return (await parts.fitness.evaluate_delayed(tenant, variant.id, bounces))[0]


async def scores(parts: Parts) -> list[float]:
    listed = [await parts.fitness.variants(tenant, "", "", 100) for tenant in TENANTS]
    return [variant.fitness_score for each in listed for variant in each.variants]


async def test_every_evaluated_variant_of_every_tenant_is_scored_again_once(storage: Storage) -> None:
    async with started(storage) as parts:
        for tenant in TENANTS:
            await scored(parts, tenant, "one")
            await scored(parts, tenant, "two")
        pending = await parts.fitness.create("acme", RequestId("pending", "pending"), "", "ada", {}, "")
        assert await parts.recalculation.catch_up() == 0
    async with started(storage, DEARER) as parts:
        told = len(await parts.events())
        assert await parts.recalculation.catch_up() == 4
        assert await parts.recalculation.catch_up() == 0
        for tenant in TENANTS:
            for variant in (await parts.fitness.variants(tenant, "", "", 100)).variants:
                if variant.id == pending.id:
                    assert (variant.last_evaluated_at, variant.weights_version) == (None, None)
                    continue
                assert variant.fitness_score == pytest.approx(0.15 + 0.3 - 0.2)
                assert variant.weights_version == 2
        events = (await parts.events())[told:]
        assert len(events) == 4
        assert {round(event.variant_scored.previous_score, 9) for event in events} == {0.2}


async def test_history_keeps_what_a_signal_added_when_it_came(storage: Storage) -> None:
    async with started(storage) as parts:
        variant = await scored(parts, "acme", "one")
    async with started(storage, DEARER) as parts:
        before = await parts.fitness.explain("acme", variant.id)
        assert (before.weights.version, before.steps[0].adjustment) == (1, -0.3)
        assert before.steps[-1].score_after == before.variant.fitness_score == variant.fitness_score
        await parts.recalculation.catch_up()
        after = await parts.fitness.explain("acme", variant.id)
        assert (after.weights.version, after.steps[0].adjustment) == (2, -0.2)
        assert after.steps[0].heard.adjustment_then == -0.3
        assert after.steps[-1].score_after == after.variant.fitness_score


async def test_a_batch_is_bounded_by_variants_and_signals_together(storage: Storage) -> None:
    async with started(storage) as parts:
        for name, signals in (("a", 1), ("b", BATCH_ROWS + 2), ("c", 1), ("d", 1)):
            await scored(parts, "acme", name, signals=signals)
    async with started(storage, DEARER) as parts:
        assert [len(await parts.recalculation.batch(set())) for _ in range(5)] == [1, 1, 1, 1, 0]


async def test_what_was_stopped_in_the_middle_goes_on_and_ends_as_if_it_had_not_been(storage: Storage) -> None:
    async with started(storage) as parts:
        for number in range(4):
            await scored(parts, "acme", f"v{number}")
    async with started(storage, DEARER) as parts:
        assert await parts.recalculation.batch(set()) == [True]
    async with started(storage, DEARER) as parts:
        assert await parts.recalculation.catch_up() == 3
        assert await scores(parts) == pytest.approx([0.25] * 4)


async def test_of_two_replicas_with_other_weights_only_the_last_started_recalculates(storage: Storage) -> None:
    async with started(storage) as earlier, started(storage, DEARER) as later:
        await scored(earlier, "acme", "one")
        assert await earlier.recalculation.catch_up() == 0
        assert await later.recalculation.catch_up() == 1
        assert await earlier.recalculation.catch_up() == 0
        async with started(storage) as back:
            assert (await back.fitness.variants("acme", "", "", 9)).variants[0].weights_version == 2
            assert await later.recalculation.catch_up() == 0
            # A replica whose weights are in use again takes part again.
            assert await earlier.recalculation.catch_up() == 1
            assert await back.recalculation.catch_up() == 0
            assert (await back.fitness.variants("acme", "", "", 9)).variants[0].weights_version == 3


async def test_a_function_that_is_gone_or_broken_takes_no_first_run_away(storage: Storage) -> None:
    async with started(storage) as parts:
        variant = await scored(parts, "acme", "own", "acme.cost")
        assert variant.fitness_score == pytest.approx(0.9 - 0.3)
    async with started(storage, DEARER) as parts:
        parts.fitness._rules = replace(parts.fitness._rules, functions=FitnessFunctions(DEARER.proxy, DEARER.measured))
        assert await parts.recalculation.catch_up() == 1
        assert await scores(parts) == pytest.approx([0.9 - 0.2])
        (kept,) = (await parts.fitness.variants("acme", "", "", 9)).variants
        assert (kept.function_version, kept.weights_version) == ("7", 2)


async def test_another_version_of_a_function_scores_again_what_it_scored(storage: Storage) -> None:
    async with started(storage, own=[cost("1", 0.9)]) as parts:
        variant = await scored(parts, "acme", "own", "acme.cost")
        other = await scored(parts, "globex", "built-in")
        assert variant.function_version == "1"
        assert variant.fitness_score == pytest.approx(0.9 - 0.3)
    async with started(storage, own=[cost("2", 0.4)]) as parts:
        told = len(await parts.events())
        before = await parts.fitness.explain("acme", variant.id)
        assert (before.variant.function_version, before.weights.weights) == (
            "1",
            replace(DEFAULT_WEIGHTS, functions={"acme.cost": "1"}),
        )
        assert await parts.recalculation.catch_up() == 2
        after = (await parts.fitness.explain("acme", variant.id)).variant
        assert after.function_version == "2"
        assert after.fitness_score == pytest.approx(0.4 - 0.3)
        assert (await parts.fitness.variant("globex", other.id)).fitness_score == other.fitness_score
        assert len(await parts.events()) == told + 1, "a score that is the same is no news"
        assert await parts.recalculation.catch_up() == 0


async def test_without_another_version_nothing_is_scored_again(storage: Storage) -> None:
    for version in ("", "1"):
        async with started(storage, own=[cost(version, 0.9)]) as parts:
            await parts.recalculation.catch_up()
            variant = await scored(parts, "acme", f"own {version}", "acme.cost")
        async with started(storage, own=[cost(version, 0.4)]) as parts:
            assert await parts.recalculation.catch_up() == 0
            assert (await parts.fitness.variant("acme", variant.id)).fitness_score == variant.fitness_score


async def test_what_a_function_scored_that_is_away_waits_for_it_and_holds_up_nothing_else(storage: Storage) -> None:
    async with started(storage, own=[cost("1", 0.9)]) as parts:
        own = [(await scored(parts, "acme", f"own {number}", "acme.cost")).id for number in range(BATCH_ROWS + 1)]
        await scored(parts, "globex", "built-in")
    async with started(storage, DEARER, own=[replace(cost("2", 0.4), score=away)]) as parts:
        assert await parts.recalculation.catch_up() == 1
        bounce = ExternalSignal("late", SignalKind.EMAIL_BOUNCE)
        waiting, accepted = await parts.fitness.evaluate_delayed("acme", own[0], [bounce])
        assert (accepted, waiting.weights_version, waiting.function_version) == (1, 1, "1")
        explained = await parts.fitness.explain("acme", own[0])
        assert explained.steps[-1].score_after == explained.variant.fitness_score == pytest.approx(0.9 - 0.3 - 0.3)
    async with started(storage, DEARER, own=[cost("2", 0.7)]) as parts:
        assert await parts.recalculation.catch_up() == len(own)
        again = [await parts.fitness.variant("acme", each) for each in own]
        assert [each.fitness_score for each in again] == pytest.approx([0.7 - 0.2 - 0.2, *[0.7 - 0.2] * BATCH_ROWS])
        assert {(each.weights_version, each.function_version) for each in again} == {(2, "2")}


async def test_a_signal_that_comes_before_a_variant_is_scored_again_does_not_keep_it_from_that(
    storage: Storage,
) -> None:
    async with started(storage) as parts:
        variant = await scored(parts, "acme", "one")
    async with started(storage, DEARER) as parts:
        sale = ExternalSignal("sale", SignalKind.CRM_CONVERSION)
        told, _ = await parts.fitness.evaluate_delayed("acme", variant.id, [sale])
        assert told.weights_version == 1
        assert told.fitness_score == pytest.approx(0.5 - 0.3 + 0.5)
        assert await parts.recalculation.catch_up() == 1
        assert (await parts.fitness.variant("acme", variant.id)).fitness_score == pytest.approx(0.45 - 0.2 + 0.5)
