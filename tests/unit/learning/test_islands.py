"""The search's state is a function of what was evaluated."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodev_learning.evolution.breeding import Breeding
from autodev_learning.evolution.individuals import Evaluation, Individual, Offer, Stage
from autodev_learning.evolution.islands import Islands, Plan
from autodev_learning.evolution.numbers_in import literals_of
from autodev_learning.evolution.operators import Aim, Brief, Order, operators_for
from tests.unit.learning.evolving import START, begun, individual, scored

BRIEF = Brief(Aim.SCORE, "anything", ("f",))


class Adds:
    """Makes a program that adds something by lot; now and then nothing, or no Python."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def offers(self, orders: Sequence[Order], brief: Brief) -> Sequence[Offer | None]:
        return [self._offer(order) for order in orders]

    def _offer(self, order: Order) -> Offer | None:
        added = order.chance.randrange(12)
        if added == 0:
            return None
        return Offer("def f(:" if added == 1 else order.parent.code + f"f.a{added} = {added}\n", f"added {added}")


class Scores:
    async def original(self, code: str) -> Evaluation:
        return Evaluation(Stage.DONE, 0.0, 0.0)

    async def evaluate(self, codes: Sequence[str], best: float) -> Sequence[Evaluation]:
        return [replace(each, feedback="so so") for each in scored(codes)]


def search(plan: Plan) -> Breeding:
    operators = (Adds("a"), Adds("b"))
    return Breeding(Islands(plan, ("a", "b")), operators, BRIEF, Scores())


async def run(plan: Plan, steps: int) -> Islands:
    breeding = search(plan)
    breeding.islands.admit(await breeding.begin(START))
    for step in range(1, steps + 1):
        breeding.islands.admit(await breeding.breed(step))
        breeding.islands.end_step(step)
    return breeding.islands


def state(islands: Islands) -> tuple[object, ...]:
    cells = [archive.cells for archive in islands.archives]
    return islands.individuals, cells, islands.best, islands.bandit, islands.step


@settings(max_examples=30)
@given(st.integers(0, 2**40), st.integers(1, 5), st.integers(1, 12), st.integers(0, 11))
def test_a_search_that_is_broken_off_anywhere_goes_on_as_if_it_were_not(
    seed: int, islands: int, batch: int, broken_after: int
) -> None:
    plan = Plan(seed, islands, batch, depth=3, migrate_every=3)
    whole = asyncio.run(run(plan, 12))

    async def broken() -> Islands:
        kept = [each for each in whole.individuals if each.step <= broken_after]
        breeding = search(plan)
        breeding.islands.replay(kept, broken_after)
        for step in range(broken_after + 1, 13):
            breeding.islands.admit(await breeding.breed(step))
            breeding.islands.end_step(step)
        return breeding.islands

    assert state(asyncio.run(broken())) == state(whole)


async def test_another_seed_searches_elsewhere() -> None:
    one, other = await run(Plan(1, batch=8), 6), await run(Plan(2, batch=8), 6)
    assert [each.code for each in one.individuals] != [each.code for each in other.individuals]


async def test_what_was_there_before_is_not_evaluated_again() -> None:
    made = (await run(Plan(batch=16), 8)).individuals
    ran = [each.digest for each in made if each.evaluation.stage is Stage.DONE]
    assert len(ran) == len(set(ran))
    known = [each for each in made if each.evaluation.stage is Stage.KNOWN]
    assert known
    assert not any(each.code for each in known)
    assert {Stage.NONE, Stage.PARSES} <= {each.evaluation.stage for each in made}


async def test_the_best_of_all_is_never_lost() -> None:
    islands = await run(Plan(batch=8, depth=1), 12)
    best = max(each.fitness for each in islands.individuals if each.alive)
    assert islands.best is not None
    assert islands.best.fitness == best == max(a.best.fitness for a in islands.archives if a.best is not None)


async def test_islands_exchange_their_best_when_it_is_time() -> None:
    islands = begun(Plan(islands=2, migrate_every=2))
    code = "def f(x):\n    return x + 9.0\n"
    better = Individual(1, 1, 0, 0, "a", Offer(code), Evaluation(Stage.DONE, 5.0, 5.0), "d", 7)
    islands.admit([better])
    assert islands.archives[1].best is not better
    islands.end_step(2)
    assert islands.archives[1].best is better


async def test_what_went_wrong_is_told_to_who_proposes_next() -> None:
    islands = begun(Plan(islands=1, batch=4))
    wrong = Individual(
        1, 1, 0, 0, "a", Offer("def f(x): 1", "left out"), Evaluation(Stage.QUICK, feedback="f(1) gives None")
    )
    islands.admit([wrong])
    assert {ordered.order.feedback for ordered in islands.orders(2)} == {("left out: f(1) gives None",)}


def test_parents_are_chosen_by_fitness_and_by_visits() -> None:
    islands = begun(Plan(islands=1, batch=2000, depth=3))
    fitter = Individual(1, 1, 0, 0, "a", Offer("def f(x): 2"), Evaluation(Stage.DONE, 1.0), "d", 7)
    islands.admit([fitter])
    parents = [ordered.order.parent.number for ordered in islands.orders(2)]
    assert parents.count(1) > 1.15 * parents.count(0) > 0
    visited = [Individual(n, 2, 0, 1, "a", Offer(""), Evaluation(Stage.NONE)) for n in range(2, 4000)]
    islands.admit(visited)
    later = [ordered.order.parent.number for ordered in islands.orders(3)]
    assert later.count(1) < parents.count(1)


def _made(number: int, operator: str, fitness: float) -> Individual:
    program = Offer(f"def f(x): {number}")
    return Individual(number, number, 0, 0, operator, program, Evaluation(Stage.DONE, fitness), f"d{number}", 7)


def test_with_a_parent_come_the_four_fittest_of_its_island_and_six_others_by_lot() -> None:
    islands = begun(Plan(1, islands=1, batch=20, depth=30))
    for number in range(1, 20):
        islands.admit([replace(individual(number, float(number)), operator="a")])
    ranked = list(range(19, -1, -1))
    lots = set[tuple[int, ...]]()
    for ordered in islands.orders(2):
        order = ordered.order
        fittest = [number for number in ranked if number != order.parent.number][:4]
        others = [each.number for each in order.others]
        assert others[:4] == fittest
        assert len(set(others)) == len(others) == 10
        assert order.parent.number not in others
        lots.add(tuple(others[4:]))
    assert len(lots) > 10


def test_what_was_known_already_or_went_well_tells_a_parent_nothing() -> None:
    islands = begun(Plan(1, islands=1))
    known = Evaluation(Stage.KNOWN, feedback="it was there")
    islands.admit([replace(individual(1), evaluation=known, operator="a"), replace(individual(2), operator="a")])
    assert {ordered.order.feedback for ordered in islands.orders(2)} == {()}


@pytest.mark.parametrize(("pays", "other"), ["ab", "ba"])
def test_operators_are_chosen_by_what_their_programs_were_worth(pays: str, other: str) -> None:
    islands = begun(Plan(islands=1, batch=40, depth=2))
    for number in range(1, 21):
        operator, fitness = (pays, float(number)) if number % 2 else (other, -1.0)
        islands.admit([_made(number, operator, fitness)])
    chosen = [ordered.operator for ordered in islands.orders(21)]
    assert chosen.count(pays) > 2 * chosen.count(other)


def test_a_better_best_pays_most_and_what_no_archive_keeps_pays_nothing() -> None:
    islands = begun(Plan(islands=1, depth=2), operators=("best", "better", "kept", "refused"))
    islands.bandit.discount = 1.0
    made = [
        _made(1, "best", 5.0),
        replace(_made(2, "kept", 1.0), size=7),
        replace(_made(3, "better", 2.0), novelty=0.9),
        replace(_made(4, "refused", 0.5), size=7),
    ]
    islands.admit(made)
    paid = islands.bandit.paid
    assert 1.0 == paid["best"] > paid["better"] > paid["kept"] > paid["refused"] == 0.0


def test_a_programs_novelty_is_how_far_its_tree_is_from_the_originals() -> None:
    islands = begun(Plan(islands=1, batch=2), code=START)
    near, far = START.replace("1.0", "2.0"), "class A:\n    pass\n"
    orders = islands.orders(1)
    conceived = islands.conceived(1, [(orders[0], Offer(near)), (orders[1], Offer(far))])
    assert 0 < conceived[0].novelty < 0.5 < conceived[1].novelty <= 1


def test_programs_come_in_order() -> None:
    islands = begun(Plan())
    with pytest.raises(ValueError, match="cannot follow"):
        islands.admit([Individual(5, 1, 0, 0, "a", Offer(""), Evaluation(Stage.NONE))])


def test_orders_of_a_step_are_the_same_each_time() -> None:
    islands = begun(Plan(seed=4, batch=20))
    one, other = islands.orders(1), islands.orders(1)
    assert [(o.operator, o.island, o.order.chance.random()) for o in one] == [
        (o.operator, o.island, o.order.chance.random()) for o in other
    ]
    assert random.Random("4/1").random() != random.Random("4/2").random()


class Steep:
    """Scores a point of four numbers by how near it is to (1, 2, 3, 4); what goes wrong in a program is its matter."""

    async def original(self, code: str) -> Evaluation:
        return self._scored(code)

    async def evaluate(self, codes: Sequence[str], best: float) -> Sequence[Evaluation]:
        return [self._scored(code) for code in codes]

    def _scored(self, code: str) -> Evaluation:
        values = [literal.value for literal in literals_of(code)]
        if len(values) != 4:
            return Evaluation(Stage.QUICK, feedback="not four numbers")
        fitness = -sum(10**at * (value - at - 1) ** 2 for at, value in enumerate(values))
        return Evaluation(Stage.DONE, fitness, fitness)


async def searched(seed: int, steps: int, kept: Sequence[Individual] = (), done: int = 0) -> Islands:
    operators = operators_for(Aim.SCORE)
    islands = Islands(Plan(seed, migrate_every=4), [operator.name for operator in operators])
    breeding = Breeding(islands, operators, BRIEF, Steep())
    if kept:
        islands.replay(kept, done)
    else:
        islands.admit(await breeding.begin("def f():\n    return [(9.0, -9.0), (9.0, 0.5)]\n"))
    for step in range(done + 1, steps + 1):
        islands.admit(await breeding.breed(step))
        islands.end_step(step)
    return islands


@pytest.mark.parametrize("seed", range(2))
async def test_a_search_over_numbers_finds_them_and_goes_on_the_same_wherever_it_is_broken_off(seed: int) -> None:
    whole = await searched(seed, 120)
    assert whole.best is not None
    assert whole.best.fitness > -1e-2
    for done in (1, 57, 119):
        resumed = await searched(seed, 120, [each for each in whole.individuals if each.step <= done], done)
        assert state(resumed) == state(whole)


async def test_of_a_search_over_numbers_half_is_drawn_and_of_any_other_nothing() -> None:
    names = ("covariance", "a", "b")
    for batch in (1, 5):
        islands = begun(Plan(batch=batch), names)
        drawn = sum(ordered.operator == "covariance" for step in (1, 2) for ordered in islands.orders(step))
        assert drawn == batch
        orders = [ordered.order for ordered in islands.orders(1) if ordered.operator == "covariance"]
        assert all(order.distribution is not None for order in orders)
    islands = begun(Plan(batch=9), names, "def f(x):\n    return x\n")
    assert {ordered.operator for ordered in islands.orders(1)} == {"a", "b"}
