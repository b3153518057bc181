"""The programs that pass every visible example, and which of them to believe."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from autodev_learning.examples import called_names
from autodev_learning.proposers import Problem
from autodev_learning.proposers.functions import examples_about
from autodev_learning.proposers.probes import Poll, Voter, probes
from autodev_learning.proposers.trials import Trial, Trials
from autodev_learning.trial import CallOutcome

ENOUGH_BEHAVIOURS = 8
MORE_PROGRAMS = 256
SOLUTION_WEIGHT = 0.25


@dataclass
class Solutions:
    """Collects solutions until there are enough to choose from.

    A failure that passes all visible examples fails one that is not visible: it is no solution, and neither is a
    program that no probe tells apart from it.
    """

    problem: Problem
    trials: Trials
    probes: tuple[str, ...]
    attempts: list[tuple[Trial, tuple[CallOutcome, ...]]]
    known_wrong: set[tuple[CallOutcome, ...]]
    found: dict[tuple[CallOutcome, ...], list[Trial]] = field(default_factory=dict)
    tried_at_first: int | None = None

    @classmethod
    async def start(cls, problem: Problem, trials: Trials, attempts: Sequence[Trial]) -> "Solutions":
        """Begin with the attempts as they were; those among the problem's failures are known to be wrong."""
        calls = probes(problem.visible)
        outcomes = await trials.probe(attempts, calls)
        failures = {failure.code for failure in problem.failures}
        probed = list(zip(attempts, outcomes, strict=True))
        wrong = {given for trial, given in probed if trial.code in failures and trial.passes_all}
        solutions = cls(problem, trials, calls, probed, wrong)
        await solutions.add([trial for trial in attempts if trial.code not in failures])
        return solutions

    async def add(self, tried: Sequence[Trial]) -> None:
        """Keep those that pass every example and that nothing shows to be wrong."""
        passing = [trial for trial in tried if trial.passes_all]
        for trial, outcomes in zip(passing, await self.trials.probe(passing, self.probes), strict=True):
            if outcomes not in self.known_wrong:
                self.found.setdefault(outcomes, []).append(trial)
                if self.tried_at_first is None:
                    self.tried_at_first = self.trials.tried

    @property
    def enough(self) -> bool:
        """Whether to stop: one that answers every probe is found, and enough others to choose from were sought."""
        if self.tried_at_first is None:
            return False
        sought = self.trials.tried >= 2 * self.tried_at_first + MORE_PROGRAMS
        if not sought and len(self.found) < ENOUGH_BEHAVIOURS:
            return False
        poll = self._poll()
        return any(poll.answers(outcomes) for outcomes in self.found)

    def best(self) -> Trial | None:
        """The solution that the attempts and the other solutions agree with most; the least edited of its behaviour."""
        poll = self._poll()
        ranked = [
            (-poll.agreement(outcomes), *_effort(trial), trial)
            for outcomes, trials in self.found.items()
            for trial in [min(trials, key=_effort)]
        ]
        return min(ranked, key=lambda entry: entry[:3])[3] if ranked else None

    def _poll(self) -> Poll:
        abouts = [self._about(probe) for probe in self.probes]
        voters = [Voter(outcomes, tuple(_trust(trial, about) for about in abouts)) for trial, outcomes in self.attempts]
        # Solutions that edits made are many variations of few programs: together they must not outvote the attempts.
        voters += [Voter(outcomes, (SOLUTION_WEIGHT,) * len(self.probes)) for outcomes in self.found]
        return Poll.of(voters, len(self.probes), self.problem.visible)

    def _about(self, probe: str) -> list[int]:
        """The places of the visible examples that are about the functions that a probe calls."""
        return [place for name in called_names([probe]) for place in examples_about(name, self.problem.visible)]


def _trust(trial: Trial, about: Sequence[int]) -> float:
    """How much an attempt's vote weighs: the square of the share it passes of the examples about the same function."""
    share = sum(trial.passed[place] for place in about) / max(1, len(about))
    return share * share


def _effort(trial: Trial) -> tuple[int, int]:
    return len(trial.edits), len(trial.code)
