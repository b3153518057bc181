"""When an extension is asked, and when not."""

from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.extensions.circuit import Admission, Circuit

REST_S = 10.0


def opened(failures: int = 3) -> Circuit:
    circuit = Circuit(failures, REST_S)
    for _ in range(failures):
        circuit.failed(now_s=0)
    return circuit


def test_it_asks_until_so_many_failures_in_a_row() -> None:
    circuit = Circuit(3, REST_S)
    for happening in (
        circuit.failed,
        circuit.failed,
        lambda now_s: circuit.succeeded(),
        circuit.failed,
        circuit.failed,
    ):
        happening(0)
        assert circuit.admit(0) is Admission.ASK
    circuit.failed(0)
    assert circuit.admit(0) is Admission.REFUSE


def test_after_its_rest_one_question_tries_and_the_others_wait() -> None:
    circuit = opened()
    assert circuit.admit(REST_S - 0.1) is Admission.REFUSE
    assert [circuit.admit(REST_S) for _ in range(3)] == [Admission.TRIAL, Admission.REFUSE, Admission.REFUSE]
    circuit.succeeded()
    assert circuit.admit(REST_S) is Admission.ASK


def test_a_trial_that_fails_makes_it_rest_again() -> None:
    circuit = opened()
    circuit.admit(REST_S)
    circuit.failed(REST_S)
    assert circuit.admit(2 * REST_S - 0.1) is Admission.REFUSE
    assert circuit.admit(2 * REST_S) is Admission.TRIAL


def test_a_trial_whose_asker_went_away_leaves_room_for_another() -> None:
    circuit = opened()
    circuit.admit(REST_S)
    circuit.abandoned()
    assert circuit.admit(REST_S) is Admission.TRIAL


@given(st.lists(st.sampled_from(["failed", "succeeded", "admit", "abandoned"])), st.integers(1, 5))
def test_while_it_is_open_no_two_try_at_once(steps: list[str], failures: int) -> None:
    circuit = Circuit(failures, REST_S)
    trying = 0
    for now_s, step in enumerate(steps):
        if step == "admit":
            trying += circuit.admit(now_s) is Admission.TRIAL
        elif step == "failed":
            circuit.failed(now_s)
            trying = 0
        elif step == "succeeded":
            circuit.succeeded()
            trying = 0
        else:
            circuit.abandoned()
            trying = 0
        assert trying <= 1
