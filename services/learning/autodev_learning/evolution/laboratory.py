"""The parts that an experiment's search is made of: operators, evaluator, islands."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from autodev_learning.evolution.asking import Asked
from autodev_learning.evolution.breeding import Breeding
from autodev_learning.evolution.cascade import Evaluator, ScoreEvaluator, SkillEvaluator
from autodev_learning.evolution.comparison import Purpose
from autodev_learning.evolution.experiments import Experiment
from autodev_learning.evolution.islands import Islands
from autodev_learning.evolution.objectives import Objective
from autodev_learning.evolution.operators import Aim, Brief, Operator, operators_for
from autodev_learning.evolution.rewriting import Program, purpose_for
from autodev_learning.evolution.screening import MOST_AT_ONCE, alone, single, together
from autodev_learning.evolution.timing import Timer
from autodev_learning.examples import Example
from autodev_learning.memento.proposing import Workshop, entry_points_of
from autodev_learning.peers.capabilities import Capabilities
from autodev_learning.proposers import NoProposal, Problem, Proposal
from autodev_learning.proposers.allowance import Allowance
from autodev_learning.proposers.builtin import BUILTIN
from autodev_learning.trial import Execute, ExecuteEach, SandboxTester

if TYPE_CHECKING:
    from autodev_learning.store.evolution import EvolutionStore
    from autodev_learning.store.skills import SkillStore

SEARCHES_A_STEP = 1
"""A built-in proposer is a whole search: once a step is enough."""
MOST_ASKED = 16
SCORING_S = 10.0
EXECUTION_S = 250.0


@dataclass(frozen=True)
class LaboratoryLimits:
    """What evaluations may use. `lanes` sandboxes are at work at once for each experiment."""

    lanes: int = 2
    trial_seconds: float = 0.4
    seconds_per_call: float = 20.0


@dataclass(frozen=True)
class Search:
    """An experiment's search and the program that it starts from."""

    breeding: Breeding
    code: str

    @property
    def islands(self) -> Islands:
        return self.breeding.islands

    @property
    def aim(self) -> Aim:
        return self.breeding.brief.aim

    def has_taken(self, steps: int) -> bool:
        """Whether these are its steps: another replica may have taken more."""
        return self.islands.step == steps


class Laboratory:
    """Sets searches up."""

    def __init__(
        self,
        execute: Execute,
        execute_each: ExecuteEach,
        workshop: Workshop,
        evolution: "EvolutionStore",
        skills: "SkillStore",
        capabilities: Capabilities,
        limits: LaboratoryLimits,
    ) -> None:
        self._execute = execute
        self._execute_each = execute_each
        self._workshop = workshop
        self._evolution = evolution
        self._skills = skills
        self._capabilities = capabilities
        self._limits = limits

    async def search_for(self, experiment: Experiment) -> Search | None:
        """A search that has made nothing yet; None where there is nothing to run a skill on.

        Raises what the sandbox raises.
        """
        if experiment.objective is not None:
            return await self._by_score(experiment, experiment.objective)
        return await self._for_skill(experiment)

    async def _by_score(self, experiment: Experiment, objective: Objective) -> Search:
        lanes, seconds = self._limits.lanes, self._limits.trial_seconds
        proof = single(self._execute_each, seconds, lanes)
        at_once = max(1, min(MOST_AT_ONCE, int(EXECUTION_S / (seconds + 0.1))))
        screening = proof if experiment.plan.alone else together(self._execute, seconds, lanes, at_once)
        evaluator = ScoreEvaluator(objective, screening, proof, SandboxTester(self._execute, SCORING_S))
        names = entry_points_of([objective.call], objective.preamble, [objective.initial_code])
        brief = Brief(Aim.SCORE, objective.description, names, (), objective.preamble)
        return await self._search(experiment, brief, evaluator, objective.initial_code)

    async def _for_skill(self, experiment: Experiment) -> Search | None:
        skill = await self._skills.get(experiment.skill_id)
        version = await self._skills.version(experiment.skill_id, experiment.skill_version)
        known = await self._evolution.known_inputs(skill.id, version)
        # What is held out is for the runs in turns, which every winner has to pass.
        inputs = tuple(each for each in known if not each.held_out)
        if not inputs:
            return None
        program = Program(version.code, version.preamble, skill.description, version.entry_points, inputs)
        seconds = self._limits.seconds_per_call
        calls = [each.call for each in inputs]
        reference = await Timer(self._execute).time(version.code, version.preamble, calls, [seconds] * len(calls))
        aim = Aim.MEND if purpose_for(None, inputs, reference) is Purpose.MEND else Aim.FASTER
        quick = alone(self._execute, self._limits.trial_seconds, self._limits.lanes)
        evaluator = SkillEvaluator(program, aim, reference, self._execute, quick, seconds)
        visible = tuple(Example(each.call, each.expected) for each in inputs if each.expected)
        brief = Brief(aim, skill.description, version.entry_points, visible, version.preamble)
        return await self._search(experiment, brief, evaluator, version.code)

    async def _search(self, experiment: Experiment, brief: Brief, evaluator: Evaluator, code: str) -> Search:
        asked = await self._asked(brief.aim)
        operators: list[Operator] = [*operators_for(brief.aim), *asked]
        islands = Islands(experiment.plan, [operator.name for operator in operators])
        return Search(Breeding(islands, operators, brief, evaluator), code)

    async def _asked(self, aim: Aim) -> list[Operator]:
        """The workspace's proposers as operators; the built-in ones mend, and nothing else."""
        names = self._workshop.named((await self._capabilities.workspace()).proposers)
        return [
            Asked(name, partial(self._propose, name), SEARCHES_A_STEP if name in BUILTIN else MOST_ASKED)
            for name in names
            if aim is Aim.MEND or name not in BUILTIN
        ]

    async def _propose(self, name: str, problem: Problem, allowance: Allowance | None) -> Proposal | NoProposal:
        async with self._workshop.slot():
            return await self._workshop.propose(problem, [name], allowance)
