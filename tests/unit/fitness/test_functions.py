"""Fitness functions by name."""

import asyncio
import math
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_fitness.functions import (
    FitnessFunctions,
    MeasuredWeights,
    installed_functions,
    measured_score,
    stated_versions,
)
from autodev_fitness.scoring import ProxySignals, ProxyWeights
from autodev_fitness.weights import Weights, weights_from
from autodev_runtime.errors import FailedPrecondition, InvalidArgument, Unavailable
from autodev_sdk.extensions import FitnessFunction, Group, RunSignals

finding = sys.modules["autodev_sdk.extensions.installed"]

WEIGHTS = MeasuredWeights()


def of(*others: FitnessFunction) -> FitnessFunctions:
    return FitnessFunctions(ProxyWeights(), WEIGHTS, others)


def constant(name: str, score: Any) -> FitnessFunction:
    return FitnessFunction(name, "always the same", lambda signals: score)


def measured(success: bool = True, **measurements: Any) -> float:
    return measured_score(ProxySignals(execution_success=success, measurements=measurements), WEIGHTS)


def test_the_built_in_functions_come_first() -> None:
    assert [each.name for each in of(constant("b", 1), constant("a", 1)).all()] == ["proxy", "measured", "a", "b"]


async def test_the_default_is_the_proxy_score() -> None:
    signals = ProxySignals(execution_success=True)
    assert of().named("").name == "proxy"
    assert await of().score("proxy", "acme", signals) == pytest.approx(0.5)


def test_an_unknown_function_is_named() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        of().named("telepathy")
    assert caught.value.reason == "UNKNOWN_FITNESS_FUNCTION"
    assert caught.value.metadata == {"known": "proxy,measured"}


def test_two_functions_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="proxy"):
        of(constant("proxy", 1))


@pytest.mark.parametrize(("given_score", "score"), [(0.3, 0.3), (-5, 0), (7, 1), (True, 1)])
async def test_a_custom_score_is_clamped(given_score: Any, score: float) -> None:
    assert await of(constant("own", given_score)).score("own", "acme", ProxySignals()) == score


@pytest.mark.parametrize("given_score", [math.nan, math.inf, "high", None])
async def test_a_custom_function_that_gives_no_number_is_at_fault(given_score: Any) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await of(constant("own", given_score)).score("own", "acme", ProxySignals())
    assert caught.value.reason == "FITNESS_FUNCTION_FAILED"


async def test_a_custom_function_that_never_answers_is_away() -> None:
    async def hangs(signals: RunSignals) -> float:
        await asyncio.Event().wait()
        return 1.0

    functions = FitnessFunctions(ProxyWeights(), WEIGHTS, [FitnessFunction("own", "", hangs)], timeout_s=0.01)
    with pytest.raises(Unavailable, match="no score within") as caught:
        await functions.score("own", "acme", ProxySignals())
    assert caught.value.reason == "FITNESS_FUNCTION_AWAY"


async def test_a_custom_function_whose_work_was_cancelled_is_at_fault() -> None:
    async def waits(signals: RunSignals) -> float:
        work = asyncio.ensure_future(asyncio.Event().wait())
        work.cancel()
        return float(await work)

    with pytest.raises(FailedPrecondition, match="raised CancelledError"):
        await of(FitnessFunction("own", "", waits)).score("own", "acme", ProxySignals())


async def test_a_custom_function_is_cancelled_with_its_caller() -> None:
    async def hangs(signals: RunSignals) -> float:
        await asyncio.Event().wait()
        return 1.0

    caller = asyncio.ensure_future(of(FitnessFunction("own", "", hangs)).score("own", "acme", ProxySignals()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_a_custom_function_that_raises_is_at_fault() -> None:
    with pytest.raises(FailedPrecondition, match="raised ZeroDivisionError"):
        await of(FitnessFunction("own", "", lambda signals: 1 / 0)).score("own", "acme", ProxySignals())


def test_measured_blends_correctness_and_speed() -> None:
    assert measured(correct=10, total=10, time_ratio=0) == pytest.approx(0.8)
    assert measured(correct=10, total=10, time_ratio=1) == pytest.approx(0.7)
    assert measured(correct=5, total=10, time_ratio=1) == pytest.approx(0.35)
    assert measured(correct=0, total=10, time_ratio=0) == 0


def test_measured_without_measurements_goes_by_the_runs_success() -> None:
    assert measured() == pytest.approx(0.7)
    assert measured(success=False) == 0


def test_measured_gives_nothing_for_code_that_does_not_parse() -> None:
    assert measured_score(ProxySignals(syntax_error=True, user_approved=True), WEIGHTS) == 0


@pytest.mark.parametrize(
    ("measurements", "field"),
    [
        ({"total": "ten"}, "total"),
        ({"total": 3, "correct": 4}, "correct"),
        ({"total": 3, "correct": -1}, "correct"),
        ({"time_ratio": True}, "time_ratio"),
        ({"time_ratio": None}, "time_ratio"),
    ],
)
def test_measurements_that_are_no_such_numbers_are_named(measurements: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        measured(**measurements)
    assert [violation.field for violation in caught.value.violations] == [f"signals.measurements.{field}"]


@given(
    st.integers(1, 100).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
)
def test_measured_prefers_what_is_righter_and_what_is_faster(
    counts: tuple[int, int], ratio: float, other: float
) -> None:
    correct, total = counts
    assert 0 <= measured(correct=correct, total=total, time_ratio=ratio) <= 1
    faster, slower = sorted((ratio, other))
    assert measured(correct=correct, total=total, time_ratio=faster) >= measured(
        correct=correct, total=total, time_ratio=slower
    )


OWN = constant("acme.cost", 0.5)


def offer(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, str]) -> None:
    """Let installed distributions offer these: (name, value) of entry points."""
    found = EntryPoints(EntryPoint(name, value, Group.FITNESS_FUNCTIONS) for name, value in entries)
    monkeypatch.setattr(finding, "entry_points", lambda group: found.select(group=group))
    unfit = replace(OWN, name="acme.broken", version="2" * 65)
    monkeypatch.setitem(sys.modules, "acme_fitness", SimpleNamespace(OWN=OWN, UNFIT=unfit))


def test_installed_distributions_offer_functions_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("acme.cost", "acme_fitness:OWN"))
    assert installed_functions() == ([OWN], [])


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("acme.broken", "math:pi", "no FitnessFunction"),
        ("acme.broken", "acme_nowhere:OWN", "ModuleNotFoundError"),
        ("acme.broken", "acme_fitness:OWN", "calls itself 'acme.cost'"),
        ("acme.broken", "acme_fitness:UNFIT", "its version is no text of at most 64 characters"),
    ],
)
async def test_one_that_is_broken_says_why_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    offer(monkeypatch, ("acme.cost", "acme_fitness:OWN"), (name, value))
    working, broken = installed_functions()
    offered = FitnessFunctions(ProxyWeights(), WEIGHTS, working, broken)
    assert await offered.score("acme.cost", "acme", ProxySignals()) == 0.5
    with pytest.raises(FailedPrecondition, match=told) as caught:
        offered.named("acme.broken")
    assert caught.value.reason == "FITNESS_FUNCTION_FAILED"


def test_an_installed_function_takes_no_name_that_the_settings_give(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("acme.cost", "acme_fitness:OWN"))
    working, broken = installed_functions(taken=["acme.cost"])
    assert (working, broken[0].reason) == ([], "the name is taken")


def test_functions_without_versions_leave_the_weights_what_they_were() -> None:
    assert stated_versions([OWN, replace(OWN, name="acme.risk", version="2")]) == {"acme.risk": "2"}
    plain = Weights()
    versioned = replace(plain, functions={"acme.risk": "2"})
    assert "functions" not in plain.as_json()
    assert len({plain.digest, versioned.digest, replace(plain, functions={"acme.risk": "3"}).digest}) == 3
    assert [weights_from(each.as_json()) for each in (plain, versioned)] == [plain, versioned]
