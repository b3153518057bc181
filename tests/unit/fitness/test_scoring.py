"""Scores, by the specification's numbers."""

from dataclasses import replace
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_fitness.scoring import (
    ExternalSignal,
    ProxySignals,
    ProxyWeights,
    SignalKind,
    SignalWeights,
    adjustment,
    clamp,
    proxy_score,
    total_score,
)

SIGNALS = st.builds(
    ExternalSignal,
    id=st.just("s"),
    kind=st.sampled_from(SignalKind),
    value=st.floats(min_value=0, max_value=1e15),
)


@pytest.mark.parametrize(
    ("syntax_error", "execution_success", "user_approved", "score"),
    [
        (True, False, False, 0.0),
        (False, False, False, 0.2),
        (False, True, False, 0.5),
        (False, False, True, 0.7),
        (False, True, True, 1.0),
        (True, True, True, 0.8),
        (True, False, True, 0.5),
        (True, True, False, 0.3),
    ],
)
def test_a_first_run_is_worth_what_it_shows(
    syntax_error: bool, execution_success: bool, user_approved: bool, score: float
) -> None:
    assert proxy_score(ProxySignals(syntax_error, execution_success, user_approved)) == pytest.approx(score)


@pytest.mark.parametrize(
    ("kind", "value", "worth"),
    [
        (SignalKind.INVOICE_CREATED, 0, 0.4),
        (SignalKind.CRM_CONVERSION, 0, 0.5),
        (SignalKind.CONVERSION_SUCCESS, 0, 0.6),
        (SignalKind.CONVERSION_VALUE, 0, 0.0),
        (SignalKind.CONVERSION_VALUE, 250, 0.25),
        (SignalKind.CONVERSION_VALUE, 500, 0.5),
        (SignalKind.CONVERSION_VALUE, 1e15, 0.5),
        (SignalKind.EMAIL_BOUNCE, 0, -0.3),
        (SignalKind.ERROR_SIGNAL, 0, -0.5),
    ],
)
def test_a_signal_is_worth_what_the_specification_says(kind: SignalKind, value: float, worth: float) -> None:
    assert adjustment(ExternalSignal("s", kind, value)) == pytest.approx(worth)


def test_weights_are_settings() -> None:
    assert proxy_score(ProxySignals(), ProxyWeights(parses=0.9)) == 0.9
    bounce = ExternalSignal("s", SignalKind.EMAIL_BOUNCE)
    assert adjustment(bounce, replace(SignalWeights(), email_bounce=-1)) == -1


@given(st.floats(0, 1), st.lists(SIGNALS, max_size=30))
def test_a_score_is_always_within_its_bounds(proxy: float, signals: list[ExternalSignal]) -> None:
    assert 0 <= total_score(proxy, map(adjustment, signals)) <= 1


@given(st.floats(0, 1), st.lists(SIGNALS, max_size=20), st.randoms())
def test_signals_give_the_same_score_in_any_order(proxy: float, signals: list[ExternalSignal], random: object) -> None:
    shuffled = list(signals)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert total_score(proxy, map(adjustment, shuffled)) == total_score(proxy, map(adjustment, signals))


def test_the_order_does_not_matter_even_where_it_would_clamp_on_the_way() -> None:
    adjustments = [0.6, 0.5, -0.5, -0.3]
    scores = {total_score(0.5, order) for order in permutations(adjustments)}
    assert len(scores) == 1
    assert scores.pop() == pytest.approx(0.8)


@given(st.floats(0, 1), st.lists(SIGNALS, max_size=20))
def test_it_is_the_step_by_step_clamp_wherever_no_step_clamps(proxy: float, signals: list[ExternalSignal]) -> None:
    score, heard = proxy, []
    for signal in signals:
        if 0 <= score + adjustment(signal) <= 1:
            score += adjustment(signal)
            heard.append(signal)
    stepwise = reduce(lambda score, signal: clamp(score + adjustment(signal)), heard, proxy)
    assert total_score(proxy, map(adjustment, heard)) == pytest.approx(stepwise)
