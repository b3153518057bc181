"""How long clients wait before they try again."""

from itertools import islice

from autodev_sdk.pauses import pauses_s


def test_pauses_double_up_to_two_seconds_each_shortened_by_up_to_a_half() -> None:
    for pause_s, longest_s in zip(islice(pauses_s(), 8), [0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2], strict=True):
        assert longest_s / 2 <= pause_s <= longest_s


def test_clients_that_lost_the_same_gateway_do_not_come_back_at_once() -> None:
    assert len({next(pauses_s()) for _ in range(100)}) > 90
