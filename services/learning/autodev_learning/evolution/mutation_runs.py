"""Running a mutation and its parent in turns on every known input."""

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.evolution.comparison import Behaviour, compare_behaviour
from autodev_learning.evolution.mutations import Measurements, Mutation, SandboxStatus, measurements_from
from autodev_learning.evolution.proving import MutationProof, MutationProver
from autodev_learning.evolution.timing import RunBounds, Timer
from autodev_learning.joining import Joined
from autodev_learning.memento.candidates import ValidationResult
from autodev_learning.proof.agreement import Overfit
from autodev_runtime.errors import FailedPrecondition

if TYPE_CHECKING:
    from autodev_learning.store.evolution import EvolutionStore
    from autodev_learning.store.mutations import MutationStore
    from autodev_learning.store.skills import SkillStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TurnsResult:
    """What the runs showed: the behaviour, and the times; None where nothing could be compared."""

    behaviour: Behaviour
    measurements: Measurements | None


class MutationRuns:
    """Runs mutations, one at a time: two measurements at once would disturb each other."""

    def __init__(
        self,
        mutations: "MutationStore",
        evolution: "EvolutionStore",
        skills: "SkillStore",
        timer: Timer,
        bounds: RunBounds,
        prover: MutationProver,
    ) -> None:
        self._mutations = mutations
        self._evolution = evolution
        self._skills = skills
        self._timer = timer
        self._bounds = bounds
        self._prover = prover
        self._measuring = asyncio.Lock()
        self._joined: Joined[Mutation] = Joined()

    async def after_generation(self, mutation_id: str, caused_by: str) -> None:
        """Run a mutation that was generated; one without code has failed, an experiment's is run by its experiment."""
        mutation = await self._mutations.get(mutation_id)
        if mutation.code and not mutation.experiment_id:
            await self.execute(mutation_id, caused_by)

    async def execute(self, mutation_id: str, caused_by: str) -> Mutation:
        """Run a pending mutation against its parent and keep how it did; of another, what is kept.

        Raises NotFound, FailedPrecondition (NO_CODE), and what the sandbox raises.
        """
        mutation = await self._mutations.get(mutation_id)
        if mutation.status is not SandboxStatus.PENDING:
            return mutation
        if not mutation.code:
            raise FailedPrecondition(f"mutation {mutation_id!r} has no code", reason="NO_CODE")
        return await self._joined.once(mutation_id, lambda: self._execute(mutation, caused_by))

    async def _execute(self, mutation: Mutation, caused_by: str) -> Mutation:
        parent_code = await self.parent_code(mutation)
        proof = await self.prove(mutation, parent_code)
        if proof.fault:
            return await self._failed(mutation, proof, caused_by)
        result = await self.in_turns(mutation, parent_code)
        fault = result.behaviour.fault
        status = SandboxStatus.FAILED if fault else SandboxStatus.PASSED
        overfit = proof.overfit or ValidationResult(result.behaviour.results).overfit
        _count(status, overfit)
        log.info("mutation %s %s in turns with its parent", mutation.id, status)
        return await self._mutations.record_run(
            mutation, fault, result.behaviour.results, result.measurements, caused_by, proof.generated, overfit
        )

    async def _failed(self, mutation: Mutation, proof: MutationProof, caused_by: str) -> Mutation:
        _count(SandboxStatus.FAILED, proof.overfit)
        log.info("mutation %s failed its proof", mutation.id)
        return await self._mutations.record_run(
            mutation, proof.fault, proof.results, None, caused_by, proof.generated, proof.overfit
        )

    async def prove(self, mutation: Mutation, parent_code: str) -> MutationProof:
        """Run a mutation on its skill's suite and, beside any program, on inputs that nobody gave. Keeps nothing."""
        version = await self._skills.version(mutation.skill_id, mutation.parent_version)
        inputs = await self._evolution.known_inputs(mutation.skill_id, version)
        return await self._prover.prove(mutation, parent_code, version, inputs)

    async def in_turns(self, mutation: Mutation, parent_code: str) -> TurnsResult:
        """Run a mutation in turns with any program that it is to be compared with. Keeps nothing."""
        version = await self._skills.version(mutation.skill_id, mutation.parent_version)
        inputs = await self._evolution.known_inputs(mutation.skill_id, version)
        async with self._measuring:
            parent, rewrite = await self._timer.in_turns(
                (parent_code, mutation.code), version.preamble, [known.call for known in inputs], self._bounds
            )
        behaviour = compare_behaviour(inputs, parent, rewrite, mutation.purpose)
        return TurnsResult(behaviour, measurements_from(behaviour, parent, rewrite))

    async def parent_code(self, mutation: Mutation) -> str:
        """The code that a mutation was made from."""
        if mutation.parent_mutation_id:
            return (await self._mutations.get(mutation.parent_mutation_id)).code
        return (await self._skills.version(mutation.skill_id, mutation.parent_version)).code


def _count(status: SandboxStatus, overfit: Overfit) -> None:
    metrics.MUTATION_RUNS.labels(status).inc()
    if overfit is not Overfit.NONE:
        metrics.OVERFIT.labels("mutation", overfit).inc()
