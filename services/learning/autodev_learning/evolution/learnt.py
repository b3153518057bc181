"""Which program's numbers an experiment learns the distribution of, and what it is told of them."""

import random
from collections.abc import Sequence

from autodev_learning.evolution.individuals import Individual
from autodev_learning.evolution.numbers_in import Literal, continuous, elsewhere, literals_of, scales_of, shape_of
from autodev_learning.evolution.strategy import DRAWS, FIRST_STEP, MOST_NUMBERS, Distribution, Strategy


class Learnt:
    """The distribution of one shape of program; a function of the programs that it was shown, in their order.

    It begins at the original. Once nothing more comes of it, it begins anew in the best program's shape, in turns
    around the best with smaller steps, and elsewhere with twice the draws of the last time elsewhere (Hansen, 2009,
    "Benchmarking a BI-population CMA-ES on the BBOB-2009 function testbed"). A best program that has more numbers than
    its own it turns to at once. It learns from its own draws alone (decision 0043).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._runs = 0
        self._strategy: Strategy | None = None
        self._shape = ""
        self._numbers = 0
        self.around: Individual | None = None
        """The program whose numbers are drawn: the best of the shape."""
        self._best: Individual | None = None

    @property
    def distribution(self) -> Distribution | None:
        """What the next are drawn from; None where the program has no numbers that may be any."""
        return self._strategy.distribution if self._strategy is not None else None

    def show(self, program: Individual, *, is_best: bool) -> None:
        """Learn from a program that was drawn, or that is the best of all now."""
        if not program.code or not (is_best or program.operator == DRAWS):
            return
        literals = continuous(literals_of(program.code))
        of_shape = shape_of(program.code) == self._shape
        if of_shape and program.operator == DRAWS and self._strategy is not None:
            self._strategy.tell(_values(literals), program.fitness if program.alive else float("-inf"))
        if is_best:
            self._best = program
            if of_shape:
                self.around = program
            elif len(literals) > self._numbers:
                self._begin(program, _values(literals))

    def end_step(self) -> None:
        """Learn, and begin anew elsewhere where nothing more is found."""
        if self._strategy is None or self._best is None:
            return
        self._strategy.learn()
        if self._strategy.is_over:
            self._runs += 1
            literals = continuous(literals_of(self._best.code))
            chance = random.Random(f"{self._seed}/{self._runs}")
            if self._runs % 2:
                self._begin(self._best, _values(literals), 0, FIRST_STEP * 10 ** (-2 * chance.random()))
            else:
                self._begin(self._best, elsewhere(literals, chance), self._runs // 2)

    def _begin(
        self, program: Individual, mean: Sequence[float], doublings: int = 0, first_step: float = FIRST_STEP
    ) -> None:
        self.around, self._shape, self._numbers, self._strategy = program, shape_of(program.code), len(mean), None
        if 0 < len(mean) <= MOST_NUMBERS:
            scales = scales_of(continuous(literals_of(program.code)))
            self._strategy = Strategy([float(each) for each in mean], scales, doublings, first_step)


def _values(literals: Sequence[Literal]) -> list[float]:
    return [float(each.value) for each in literals]
