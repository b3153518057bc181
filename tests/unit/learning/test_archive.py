"""Archives keep the fittest of each kind, and the front what nothing beats."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.evolution.archive import Archive, Grid, Place, fittest
from autodev_learning.evolution.individuals import Individual, Stage
from autodev_learning.evolution.pareto import MOST_ON_FRONT, dominates, front_of, objectives_of
from tests.unit.learning.evolving import individual

GRID = Grid(size=10, latency_s=1.0)

individuals = st.lists(
    st.builds(
        lambda fitness, size, novelty, latency_s, memory_bytes, tokens: individual(
            0, fitness, size=size, novelty=novelty, latency_s=latency_s, memory_bytes=memory_bytes, tokens=tokens
        ),
        fitness=st.floats(-3, 3),
        size=st.integers(1, 40),
        novelty=st.floats(0, 1),
        latency_s=st.floats(0, 8),
        memory_bytes=st.integers(0, 3),
        tokens=st.integers(0, 3),
    ),
    max_size=40,
)


@given(individuals, st.integers(1, 5))
def test_an_archive_never_loses_its_best(made: list[Individual], depth: int) -> None:
    archive, best = Archive(GRID, depth), float("-inf")
    for each in made:
        archive.put(each)
        best = max(best, each.fitness)
        assert archive.best is not None
        assert archive.best.fitness == best


@given(individuals, st.integers(1, 5))
def test_a_cell_holds_the_fittest_of_its_kind_fittest_first(made: list[Individual], depth: int) -> None:
    archive = Archive(GRID, depth)
    for each in made:
        archive.put(each)
    for cell, kept in archive.cells.items():
        ever = sorted({id(each): each.fitness for each in made if GRID.cell(each) == cell}.values(), reverse=True)
        assert [each.fitness for each in kept] == sorted((each.fitness for each in kept), reverse=True)
        assert len(kept) <= depth
        assert kept[0].fitness == ever[0]


def test_a_place_says_what_became_of_a_program() -> None:
    archive = Archive(GRID, depth=2)
    first = individual(1, 1.0)
    assert archive.put(first) is Place.NEW
    assert archive.put(first) is Place.REFUSED
    assert archive.put(individual(2, 2.0)) is Place.BETTER
    assert archive.put(individual(3, 1.5)) is Place.KEPT
    assert archive.put(individual(4, 1.0)) is Place.REFUSED
    assert archive.put(individual(6, 1.5)) is Place.KEPT
    assert archive.put(individual(5, 0.0, size=40)) is Place.NEW
    assert [each.number for each in fittest(archive.individuals)] == [2, 6, 5]


def test_of_equals_the_one_made_last_comes_first() -> None:
    archive = Archive(GRID, depth=2)
    for number in range(1, 5):
        archive.put(individual(number, 1.0))
    assert [each.number for each in fittest(archive.individuals)] == [4, 3]
    # One that comes from another island is no newer than when it was made.
    assert archive.put(individual(0, 1.0)) is Place.REFUSED


def test_speed_is_no_feature_where_no_time_was_measured() -> None:
    assert GRID.cell(individual(1)) == GRID.cell(individual(2, latency_s=1.0)) == (0, 0, 0)
    assert GRID.cell(individual(1, latency_s=0.25)) == (0, -2, 0)
    assert GRID.cell(individual(1, size=15, novelty=1.0)) == (1, 0, 3)


@given(individuals)
def test_nothing_on_the_front_is_dominated_and_all_else_is(made: list[Individual]) -> None:
    front = [objectives_of(each) for each in front_of(made)]
    assert len(front) == len(set(front)) <= MOST_ON_FRONT
    assert not any(dominates(one, other) for one in front for other in front)
    for each in map(objectives_of, made):
        assert each in front or any(dominates(one, each) for one in front)


@pytest.mark.parametrize(
    "better", [{"fitness": 2.0}, {"latency_s": 0.5}, {"memory_bytes": 1}, {"tokens": 1}, {"size": 5}], ids=str
)
def test_each_objective_counts_by_itself(better: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"fitness": 1.0, "latency_s": 1.0, "memory_bytes": 2, "tokens": 2, "size": 10}
    plain, one = individual(1, **usual), individual(2, **{**usual, **better})
    assert front_of([plain, one]) == front_of([one, plain]) == [one]
    for name in usual.keys() - better.keys():
        worse = individual(3, **{**usual, **better, name: usual[name] * (0.5 if name == "fitness" else 2)})
        assert {each.number for each in front_of([plain, worse])} == {1, 3}


@pytest.mark.parametrize("stage", Stage)
def test_only_what_is_right_on_every_example_is_on_the_front(stage: Stage) -> None:
    one = individual(1, 1.0)
    one = replace(one, evaluation=replace(one.evaluation, stage=stage))
    assert front_of([one]) == ([one] if stage in (Stage.TIMING, Stage.DONE) else [])


def test_of_equals_the_first_is_on_the_front() -> None:
    assert front_of([individual(1, 1.0), individual(2, 1.0)]) == [individual(1, 1.0)]


@given(individuals)
def test_dominance_is_a_strict_order(made: list[Individual]) -> None:
    for one in map(objectives_of, made[:8]):
        assert not dominates(one, one)
        for other in map(objectives_of, made[:8]):
            assert not (dominates(one, other) and dominates(other, one))
