"""Scores are computed again when weights change: once each, in bounded batches, wherever it was stopped."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from autodev_fitness.functions import FitnessFunctions
from autodev_fitness.scoring import ExternalSignal, ProxySignals, ProxyWeights, SignalKind, SignalWeights
from autodev_fitness.variants import Variant
from autodev_fitness.weights import Weights
from tests.clock import Clock
from tests.integration.fitness.parts import BATCH_ROWS, DEFAULT_WEIGHTS, Parts, made
from tests.storage import Storage

DEARER = Weights(ProxyWeights(parses=0.15), signals=SignalWeights(email_bounce=-0.2))
TENANTS = ("acme", "globex")


@contextlib.asynccontextmanager
async def started(storage: Storage, weights: Weights = DEFAULT_WEIGHTS) -> AsyncIterator[Parts]:
    """A replica that starts with these weights."""
    async with made(storage, Clock(), weights) as parts:
        yield parts


async def scored(parts: Parts, tenant: str, name: str, function: str = "", signals: int = 1) -> Variant:
    variant = await parts.fitness.create(tenant, name, "", "ada", {}, function)
    await parts.fitness.evaluate_initial_proxy(tenant, variant.id, ProxySignals(execution_success=True))
    bounces = [ExternalSignal(f"s{number}", SignalKind.EMAIL_BOUNCE) for number in range(signals)]
    return (await parts.fitness.evaluate_delayed(tenant, variant.id, bounces))[0]


async def scores(parts: Parts) -> list[float]:
    return [each.fitness_score for tenant in TENANTS for each in await parts.fitness.variants(tenant, "", "", 100)]


async def test_every_evaluated_variant_of_every_tenant_is_scored_again_once(storage: Storage) -> None:
    async with started(storage) as parts:
        for tenant in TENANTS:
            await scored(parts, tenant, "one")
            await scored(parts, tenant, "two")
        pending = await parts.fitness.create("acme", "pending", "", "ada", {}, "")
        assert await parts.recalculation.catch_up() == 0
    async with started(storage, DEARER) as parts:
        told = len(await parts.events())
        assert await parts.recalculation.catch_up() == 4
        assert await parts.recalculation.catch_up() == 0
        for tenant in TENANTS:
            for variant in await parts.fitness.variants(tenant, "", "", 100):
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
        assert [await parts.recalculation.batch() for _ in range(5)] == [1, 1, 1, 1, 0]


async def test_what_was_stopped_in_the_middle_goes_on_and_ends_as_if_it_had_not_been(storage: Storage) -> None:
    async with started(storage) as parts:
        for number in range(4):
            await scored(parts, "acme", f"v{number}")
    async with started(storage, DEARER) as parts:
        assert await parts.recalculation.batch() == 1
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
            assert (await back.fitness.variants("acme", "", "", 9))[0].weights_version == 2
            assert await later.recalculation.catch_up() == 0
            # A replica whose weights are in use again takes part again.
            assert await earlier.recalculation.catch_up() == 1
            assert await back.recalculation.catch_up() == 0
            assert (await back.fitness.variants("acme", "", "", 9))[0].weights_version == 3


async def test_a_function_that_is_gone_or_broken_takes_no_first_run_away(storage: Storage) -> None:
    async with started(storage) as parts:
        variant = await scored(parts, "acme", "own", "acme.cost")
        assert variant.fitness_score == pytest.approx(0.9 - 0.3)
    async with started(storage, DEARER) as parts:
        parts.fitness._rules = replace(parts.fitness._rules, functions=FitnessFunctions(DEARER.proxy, DEARER.measured))
        assert await parts.recalculation.catch_up() == 1
        assert await scores(parts) == pytest.approx([0.9 - 0.2])
