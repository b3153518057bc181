"""A learning engine that knows which words people mix up: it swaps one at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

from autodev_sdk.extensions import Attempt, BaseLearningEngine, CodeChange, LearningProblem, Validity

SWAPS = (("% 2", "% 3"), ("== 1", "== 0"), ("<=", "<"), (">=", ">"), ("min(", "max("), ("and", "or"))


class Swaps(BaseLearningEngine):
    """Proposes the failing program with one swap, and the next swap when that was not it."""

    async def analyze_episode(self, problem: LearningProblem) -> Mapping[str, Any]:
        """Which swaps the latest failing program leaves room for."""
        if not problem.failures:
            return {"swaps": []}
        code = problem.failures[-1].code
        return {"swaps": [list(each) for each in SWAPS if each[0] in code]}

    async def propose_code_change(
        self, problem: LearningProblem, findings: Mapping[str, Any], attempts: Sequence[Attempt]
    ) -> CodeChange:
        """The next swap that was not tried."""
        left = findings["swaps"][len(attempts) :]
        if not left:
            return CodeChange("", "no swap is left to try")
        old, new = left[0]
        return CodeChange(problem.failures[-1].code.replace(old, new), f"swap {old!r} for {new!r}")

    async def validate_change(self, problem: LearningProblem, code: str) -> Validity:
        """Nothing that imports: this engine never adds an import, so one that is there is not its own."""
        return Validity("import" not in code, "it imports something")
