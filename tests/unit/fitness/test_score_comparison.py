"""Which of two variants is better, by what both were told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_fitness.score_comparison import FIRST_RUN, ScoreComparison, Told, compare_scores
from autodev_fitness.scoring import ExternalSignal, SignalKind, SignalWeights

WEIGHTS = SignalWeights()


def told(name: str, proxy: float, fitness: float = 0.0, **signals: SignalKind) -> Told:
    return Told(name, proxy, {each: ExternalSignal(each, kind) for each, kind in signals.items()}, fitness)


def compared(ours: Told, theirs: Told) -> ScoreComparison:
    return compare_scores(ours, theirs, WEIGHTS)


def test_a_signal_that_only_one_was_told_counts_for_neither() -> None:
    found = compared(told("a", 0.5, fitness=1.0, w1=SignalKind.CONVERSION_SUCCESS), told("b", 0.5, fitness=0.5))
    assert (found.better, found.shared, found.differences) == ("", 0, ())
    assert found.explanation == ("as good by the first run alone (0.5); by all that each was told, 1 against 0.5")


def test_of_the_signals_that_both_were_told_the_better_answer_wins() -> None:
    ours = told("a", 0.5, w1=SignalKind.EMAIL_BOUNCE, w2=SignalKind.INVOICE_CREATED)
    theirs = told("b", 0.5, w1=SignalKind.INVOICE_CREATED, w2=SignalKind.INVOICE_CREATED)
    found = compared(ours, theirs)
    assert found.better == "b"
    assert found.scores == pytest.approx((0.6, 1.0))
    assert [each.what for each in found.differences] == ["w1"]
    assert found.explanation == (
        "b is better than a by the first run and 2 signals that both were told: 1 against 0.6; "
        "most of it by w1 (+0.4 against -0.3)"
    )


def test_the_first_run_decides_where_nothing_else_differs() -> None:
    found = compared(told("a", 0.5), told("b", 0.2))
    assert found.better == "a"
    assert [each.what for each in found.differences] == [FIRST_RUN]


TOLD = st.builds(
    Told,
    st.sampled_from(["a", "b"]),
    st.floats(0, 1),
    st.dictionaries(
        st.sampled_from(["w1", "w2", "w3", "w4"]),
        st.builds(ExternalSignal, st.just("w"), st.sampled_from(SignalKind), st.floats(0, 1e6)),
    ),
    st.floats(0, 1),
)


@given(TOLD, TOLD)
def test_who_is_better_does_not_depend_on_who_is_asked_first(ours: Told, theirs: Told) -> None:
    forth, back = compared(ours, theirs), compared(theirs, ours)
    assert forth.scores == back.scores[::-1]
    assert forth.better == back.better
    assert [each.what for each in forth.differences] == [each.what for each in back.differences]
    assert all(0 <= score <= 1 for score in forth.scores)
