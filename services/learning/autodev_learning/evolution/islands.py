"""Islands of archives, and the search's state: a function of the programs that were evaluated, in their order.

Nothing else is state. So a checkpoint is the list of programs, going on after a crash is putting them in again, and two
runs whose evaluations find the same are the same run.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from autodev_learning.evolution.archive import Archive, Grid, Place, fittest
from autodev_learning.evolution.bandit import Bandit
from autodev_learning.evolution.individuals import ORIGINAL, Evaluation, Individual, Offer, Stage
from autodev_learning.evolution.learnt import Learnt
from autodev_learning.evolution.novelty import NotPython, Profile, distance, profile_of
from autodev_learning.evolution.operators import Order
from autodev_learning.evolution.strategy import DRAWS
from autodev_learning.remembering import MIB, Remembered

PAYOFFS = {Place.BETTER: 0.5, Place.NEW: 0.3, Place.KEPT: 0.1, Place.REFUSED: 0.0}
BEST_PAYS = 1.0
FITTEST_OTHERS, OTHERS_BY_LOT = 4, 6
MOST_FEEDBACK = 3
MOST_BYTES_MEASURED = 32 * MIB
BYTES_A_MEASURE = 300
PRESSURE = 0.7
"""An elite is chosen so many times as often as the one before it, by fitness; visits count against it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How an experiment searches; fixed when it starts, so that it goes on the same under other settings.

    Each step makes `batch` programs, dealt to `islands` in turns, whose archives hold `depth` programs of a kind. Every
    `migrate_every` steps each island's best goes to the next island. It ends early after `patience` steps without a
    better best. With `alone`, each program of a search by score has a sandbox of its own.
    """

    seed: int = 0
    islands: int = 4
    batch: int = 16
    depth: int = 12
    migrate_every: int = 10
    patience: int = 20
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What is kept of a program's syntax tree, which takes 25 times the memory of its text; see Individual."""

    digest: str
    size: int
    novelty: float


@dataclass(frozen=True)
class Ordered:
    """An order with the island it is for and the operator that gets it."""

    island: int
    operator: str
    order: Order


class Islands:
    """The state of a search."""

    def __init__(self, plan: Plan, operators: Sequence[str]) -> None:
        self.plan = plan
        self.bandit = Bandit([operator for operator in operators if operator != DRAWS])
        self.archives: list[Archive] = []
        self.individuals: list[Individual] = []
        self.best: Individual | None = None
        self.step = 0
        self._learnt = Learnt(plan.seed) if DRAWS in operators else None
        self._measures: Remembered[Measured] | None = None
        self._digests: set[str] = set()
        self._visits: dict[int, int] = defaultdict(int)
        self._feedback: dict[int, list[str]] = defaultdict(list)

    @property
    def tokens(self) -> int:
        return sum(each.offer.tokens for each in self.individuals)

    def begin(self, code: str, evaluation: Evaluation) -> Individual:
        """The program that all are made from. Raises NotPython."""
        profile = profile_of(code)
        return Individual(ORIGINAL, 0, 0, -1, "", Offer(code), evaluation, profile.digest, profile.size)

    def admit(self, individuals: Iterable[Individual]) -> None:
        """Take in what a step made, in order of number, and end the step. The original comes first, by itself."""
        step = self.step
        for individual in individuals:
            if individual.number != len(self.individuals):
                raise ValueError(f"program {individual.number} cannot follow {len(self.individuals)} programs")
            step = individual.step
            self.individuals.append(individual)
            self._digests.add(individual.digest)
            if individual.number == ORIGINAL:
                self._settle(individual)
            else:
                self._take_in(individual)
        self.end_step(step)

    def end_step(self, step: int) -> None:
        """Count a step, also one that made nothing; migrate when it is time."""
        if step > self.step and step % self.plan.migrate_every == 0:
            self._migrate()
        if self._learnt is not None and step > self.step:
            self._learnt.end_step()
        self.step = max(step, self.step)

    def replay(self, individuals: Sequence[Individual], steps: int) -> None:
        """Take in all that was made in so many steps, as they came."""
        by_step: dict[int, list[Individual]] = defaultdict(list)
        for individual in individuals:
            by_step[individual.step].append(individual)
        for step in range(max([steps, *by_step]) + 1):
            self.admit(by_step[step])
            self.end_step(step)

    def orders(self, step: int) -> list[Ordered]:
        """What to make in a step: parents by fitness and visits, operators by what has paid off.

        Of a search over numbers half is drawn from what was learnt of them: the draws of a strategy pay as a whole and
        late, which a bandit that sees each for itself takes for paying little.
        """
        chance = random.Random(f"{self.plan.seed}/{step}")
        chosen = self._chosen(step, chance)
        ranked = [fittest(archive.individuals) for archive in self.archives]
        visits = dict(self._visits)
        ordered = []
        for index, operator in enumerate(chosen):
            island = (step * self.plan.batch + index) % len(self.archives)
            elites = ranked[island]
            lot = random.Random(chance.getrandbits(64))
            if operator == DRAWS:
                ordered.append(Ordered(island, operator, self._draw(lot)))
                continue
            weights = [PRESSURE**rank / (1 + visits.get(each.number, 0)) ** 0.5 for rank, each in enumerate(elites)]
            parent = chance.choices(elites, weights)[0]
            visits[parent.number] = visits.get(parent.number, 0) + 1
            others = _others(elites, parent, chance)
            feedback = tuple(self._feedback.get(parent.number, ()))
            ordered.append(Ordered(island, operator, Order(parent, others, feedback, lot, self.is_known)))
        return ordered

    def _chosen(self, step: int, chance: random.Random) -> list[str]:
        """The operators of a step: what is drawn, and of the rest what the bandit says."""
        batch = self.plan.batch
        if self._learnt is None or self._learnt.distribution is None:
            return self.bandit.plan(batch, chance)
        drawn = (batch + step % 2) // 2
        chosen = [DRAWS] * drawn + self.bandit.plan(batch - drawn, chance)
        # Islands are served in turns: which of them get the draws must not be the same each time.
        chance.shuffle(chosen)
        return chosen

    def _draw(self, chance: random.Random) -> Order:
        assert self._learnt is not None
        assert self._learnt.around is not None, "what was learnt is of a program"
        return Order(self._learnt.around, (), (), chance, self.is_known, self._learnt.distribution)

    def is_known(self, code: str) -> bool:
        """Whether a program with the same syntax tree was there before; what is no Python was not."""
        try:
            return self._measured(code).digest in self._digests
        except NotPython:
            return False

    def _measured(self, code: str) -> Measured:
        """Raises NotPython."""
        assert self._measures is not None, "a search begins with its original"
        return self._measures(code)

    def conceived(self, step: int, made: Sequence[tuple[Ordered, Offer | None]]) -> list[Individual]:
        """Number what was made; what is no program, or was there before, is evaluated by that alone."""
        individuals: list[Individual] = []
        seen = set(self._digests)
        for ordered, offer in made:
            individual = self._conceived(step, len(self.individuals) + len(individuals), ordered, offer, seen)
            seen.add(individual.digest)
            individuals.append(individual)
        return individuals

    def _conceived(self, step: int, number: int, ordered: Ordered, offer: Offer | None, seen: set[str]) -> Individual:
        place = (number, step, ordered.island, ordered.order.parent.number, ordered.operator)
        if offer is None or not offer.code:
            return Individual(*place, offer or Offer(""), Evaluation(Stage.NONE))
        try:
            measured = self._measured(offer.code)
        except NotPython as error:
            return Individual(*place, offer, Evaluation(Stage.PARSES, feedback=str(error)))
        evaluation = Evaluation(Stage.KNOWN if measured.digest in seen else Stage.QUICK)
        return Individual(*place, offer, evaluation, measured.digest, measured.size, measured.novelty)

    def _settle(self, original: Individual) -> None:
        # It must not refer to the islands: what refers to itself stays in memory for long after an experiment.
        measure = partial(_measured_against, profile_of(original.code))
        self._measures = Remembered(measure, MOST_BYTES_MEASURED, lambda _: BYTES_A_MEASURE)
        grid = Grid(original.size, original.evaluation.latency_s)
        self.archives = [Archive(grid, self.plan.depth) for _ in range(self.plan.islands)]
        for archive in self.archives:
            archive.put(original)
        self.best = original
        if self._learnt is not None:
            self._learnt.show(original, is_best=True)

    def _take_in(self, individual: Individual) -> None:
        # What is drawn is made from all that was learnt, not from one program.
        self._visits[individual.parent] += individual.operator != DRAWS
        place = self.archives[individual.island].put(individual) if individual.alive else Place.REFUSED
        payoff = PAYOFFS[place]
        if individual.alive and self.best is not None and individual.fitness > self.best.fitness:
            self.best, payoff = individual, BEST_PAYS
        self.bandit.learn(individual.operator, payoff)
        if self._learnt is not None:
            self._learnt.show(individual, is_best=individual is self.best)
        if individual.evaluation.feedback and individual.evaluation.stage is not Stage.KNOWN:
            told = f"{individual.offer.note or individual.operator}: {individual.evaluation.feedback}"
            self._feedback[individual.parent] = [*self._feedback[individual.parent], told][-MOST_FEEDBACK:]
            self._feedback[individual.number].append(individual.evaluation.feedback)

    def _migrate(self) -> None:
        """Each island's best goes to the next island; all at once, so that none is carried on."""
        for archive, best in zip(
            [*self.archives[1:], self.archives[0]], [archive.best for archive in self.archives], strict=True
        ):
            if best is not None:
                archive.put(best)


def _measured_against(original: Profile, code: str) -> Measured:
    profile = profile_of(code)
    return Measured(profile.digest, profile.size, distance(profile, original))


def _others(elites: Sequence[Individual], parent: Individual, chance: random.Random) -> tuple[Individual, ...]:
    """The fittest besides the parent, and some of the rest."""
    others = [each for each in elites if each is not parent]
    rest = others[FITTEST_OTHERS:]
    return (*others[:FITTEST_OTHERS], *chance.sample(rest, min(OTHERS_BY_LOT, len(rest))))


def payoffs(individuals: Iterable[Individual]) -> Mapping[str, tuple[int, int]]:
    """Per operator: how often it was tried, and how often what it made was wholly evaluated."""
    counts: dict[str, tuple[int, int]] = {}
    for individual in individuals:
        if individual.operator:
            tried, ran = counts.get(individual.operator, (0, 0))
            counts[individual.operator] = tried + 1, ran + (individual.evaluation.stage is Stage.DONE)
    return counts
