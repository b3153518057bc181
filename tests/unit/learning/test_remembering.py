"""What is remembered is bounded by its size."""

import gc
import random
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.evolution import numbers_in
from autodev_learning.evolution.islands import Plan
from autodev_learning.evolution.operators import edit
from autodev_learning.remembering import MIB, Remembered, remembered
from tests.unit.learning.evolving import begun

MOST = 1000
A_TEXT = sys.getsizeof("1")


class Answer:
    """As many bytes as the text says, for each time that it was worked out."""

    def __init__(self, text: str) -> None:
        self.bytes = int(text)


class Work:
    """Answers that tell which of them are still there."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.there: WeakSet[Answer] = WeakSet()
        self.ask = Remembered(self._work, MOST, lambda answer: answer.bytes)

    def _work(self, text: str) -> Answer:
        self.done.append(text)
        answer = Answer(text)
        self.there.add(answer)
        return answer


@given(st.lists(st.integers(0, 1500).map(str)))
def test_no_more_is_there_than_the_bound_and_each_answer_is_right(texts: list[str]) -> None:
    work = Work()
    for text in texts:
        assert work.ask(text).bytes == int(text)
        assert sum(A_TEXT + answer.bytes for answer in work.there) <= MOST


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    work = Work()
    for text in ("300", "301", "300", "302", "300", "301"):
        work.ask(text)
    assert work.done == ["300", "301", "302", "301"]


def test_what_does_not_fit_by_itself_takes_nobodys_place() -> None:
    work = Work()
    for text in ("500", "2000", "2000", "500"):
        work.ask(text)
    assert work.done == ["500", "2000", "2000"]


def test_what_raises_is_tried_again() -> None:
    tried: list[str] = []

    @remembered(MOST, sys.getsizeof)
    def broken(text: str) -> str:
        tried.append(text)
        raise ValueError(text)

    for _ in range(2):
        with pytest.raises(ValueError, match="text"):
            broken("text")
    assert tried == ["text", "text"]


def points(number: int, seed: int) -> str:
    chance = random.Random(seed)
    lines = [f"        ({chance.random():.9f}, {chance.random():.9f}),\n" for _ in range(number)]
    return f"def f():\n    points = [\n{''.join(lines)}    ]\n    return points\n"


def taken(work: Callable[[str], Any], texts: list[str]) -> int:
    """Bytes that are taken once these were asked for and their answers are gone."""
    gc.collect()
    tracemalloc.start()
    try:
        for text in texts:
            work(text)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("work", [numbers_in.literals_of, edit._edits_of])
@pytest.mark.parametrize("number", [20, 150])
def test_no_less_is_counted_than_what_is_kept_of_a_program(work: Remembered[Any], number: int) -> None:
    """Three programs' worth of room holds three of them at most, however many were asked for."""
    work(points(1, seed=0))
    program = points(number, seed=1)
    counted = sys.getsizeof(program) + work.bytes_of(work.work(program))
    bounded = Remembered(work.work, 3 * counted + 1000, work.bytes_of)
    assert taken(bounded, [points(number, seed) for seed in range(2, 9)]) < 3 * counted + MIB / 10


def test_of_a_long_program_that_a_search_knows_little_more_is_kept_than_its_text() -> None:
    """Its tree takes 25 times as much."""
    islands = begun(Plan(), code=points(1, seed=0))
    texts = [points(1000, seed) for seed in range(20)]
    assert taken(islands.is_known, texts) < MIB


def test_a_search_that_is_over_leaves_nothing_in_memory() -> None:
    islands = begun(Plan())
    assert not islands.is_known(points(10, seed=0))
    gone = weakref.ref(islands)
    gc.disable()
    try:
        del islands
        assert gone() is None
    finally:
        gc.enable()
