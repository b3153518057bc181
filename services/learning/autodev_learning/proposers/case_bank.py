"""The case bank: code that worked on the same task, or a similar one."""

import ast
from dataclasses import dataclass, field

from autodev_learning.proposers import Budget, Case, NoProposal, Problem, Proposal
from autodev_learning.proposers.trials import Draft, Trials
from autodev_learning.similarity import SIMILAR_OVERLAP, task_words, word_overlap
from autodev_learning.trial import Tester

BATCH = 16
MAX_CASES = 256


@dataclass(frozen=True)
class CaseBank:
    """Proposes the first case, most similar and then simplest first, that passes every visible example."""

    tester: Tester
    name: str = field(default="case_bank", init=False)

    async def propose(self, problem: Problem, budget: Budget) -> Proposal | NoProposal:
        trials = Trials(self.tester, problem, budget)
        drafts = [Draft(case.code, (_origin(case),)) for case in ranked(problem)[:MAX_CASES]]
        if not drafts:
            return trials.no_proposal(self.name, "no case of a similar task")
        for start in range(0, len(drafts), BATCH):
            if trials.exhausted:
                break
            for trial in await trials.run(drafts[start : start + BATCH]):
                if trial.passes_all:
                    return trials.proposal(self.name, trial)
        return trials.no_proposal(self.name, f"none of {len(drafts)} cases passes every example")


def ranked(problem: Problem) -> list[Case]:
    """The cases whose task is similar and that define what the task asks for: most similar first, then the simplest."""
    wanted = task_words(problem.task_description)
    ranked: list[tuple[float, int, str, Case]] = []
    for case in problem.cases:
        overlap = word_overlap(wanted, task_words(case.task_description))
        if case.task_description != problem.task_description and overlap < SIMILAR_OVERLAP:
            continue
        size = _size(case.code, problem.entry_points)
        if size is not None:
            ranked.append((-overlap, size, case.code, case))
    ranked.sort(key=lambda entry: entry[:3])
    return [case for *_, case in ranked]


def _size(code: str, entry_points: tuple[str, ...]) -> int | None:
    """How many nodes a program's syntax tree has; None if it does not parse or lacks an entry point."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return sum(1 for _ in ast.walk(tree)) if defined.issuperset(entry_points) else None


def _origin(case: Case) -> str:
    return f"code that worked for {case.agent_id}" if case.agent_id else "code that worked"
