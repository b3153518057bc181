"""What speaks against a rewrite before it is timed: its skill's suite, and inputs that nobody gave."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autodev_learning.evolution.comparison import KnownInput, Purpose
from autodev_learning.examples import call_key
from autodev_learning.memento.candidates import ExampleResult, ValidationResult
from autodev_learning.proof.agreement import GeneratedCheck, Overfit, difference_text
from autodev_learning.proof.domains import Kind
from autodev_learning.proof.prover import Prover
from autodev_learning.proof.suites import regression_text, suite_results

if TYPE_CHECKING:
    from autodev_learning.evolution.mutations import Mutation
    from autodev_learning.skills.registry import SkillVersion
    from autodev_learning.store.skills import SkillStore
    from autodev_learning.store.suites import SuiteStore


@dataclass(frozen=True)
class MutationProof:
    """How a rewrite did on what its proposer never saw. `fault`: why it is rejected, empty where it is not.

    `results` are those of the suite; `generated` is None where no input could be made.
    """

    results: tuple[ExampleResult, ...] = ()
    generated: GeneratedCheck | None = None
    fault: str = ""
    overfit: Overfit = Overfit.NONE


class MutationProver:
    """Proves rewrites. Raises NotFound, and what the sandbox raises."""

    def __init__(self, skills: "SkillStore", suites: "SuiteStore", prover: Prover) -> None:
        self._skills = skills
        self._suites = suites
        self._prover = prover

    async def prove(
        self, mutation: "Mutation", parent_code: str, version: "SkillVersion", inputs: Sequence[KnownInput]
    ) -> MutationProof:
        """Run a rewrite on its skill's suite and, beside what it was made from, on inputs that nobody gave."""
        results = marked(await self._suite(mutation, version), inputs)
        if fault := regression_text(results):
            return MutationProof(results, None, fault, ValidationResult(results).overfit)
        reference = f"version {version.version}" if parent_code == version.code else "what it was made from"
        checked = await self._prover.generated(
            mutation.code,
            [parent_code],
            version.preamble,
            [known.call for known in inputs],
            mutation.id,
            reference,
        )
        if checked is None:
            return MutationProof(results)
        fault = generated_fault(checked, mutation.purpose)
        return MutationProof(results, checked, fault, generated_overfit(checked, mutation.purpose))

    async def regression(self, mutation: "Mutation") -> str:
        """Which of its skill's examples a rewrite fails now, in a sentence: the suite may have grown since its run."""
        version = await self._skills.version(mutation.skill_id, mutation.parent_version)
        return regression_text(await self._suite(mutation, version))

    async def _suite(self, mutation: "Mutation", version: "SkillVersion") -> tuple[ExampleResult, ...]:
        suite = await self._suites.members(mutation.skill_id)
        active = (await self._skills.get(mutation.skill_id)).active
        return await suite_results(self._prover, mutation.code, active.code, version.preamble, suite)


def marked(results: Sequence[ExampleResult], inputs: Sequence[KnownInput]) -> tuple[ExampleResult, ...]:
    """The results, held out where the call is no known input that proposers see."""
    seen = {call_key(known.call) for known in inputs if not known.held_out}
    return tuple(replace(each, held_out=each.held_out or call_key(each.call) not in seen) for each in results)


def generated_fault(checked: GeneratedCheck, purpose: Purpose) -> str:
    """Why generated inputs reject a rewrite, in a sentence. Only what is to do the same can be held to its parent."""
    if purpose is not Purpose.FASTER or not checked.differing:
        return ""
    return f"{difference_text(checked.differing[0], f'{checked.reference} does')}"


def generated_overfit(checked: GeneratedCheck, purpose: Purpose) -> Overfit:
    """What generated inputs say of a rewrite that passes its skill's suite."""
    if purpose is Purpose.FASTER:
        return Overfit.FOUND if checked.differing else Overfit.NONE
    breaks = any(each.breaks and each.kind is not Kind.BEYOND for each in checked.differing)
    return Overfit.SUSPECTED if breaks else Overfit.NONE
