"""The case bank: code that worked on the same task, on a similar one, or that does what the examples ask for."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from autodev_learning.examples import Example
from autodev_learning.proposers import Budget, Case, NoProposal, Problem, Proposal
from autodev_learning.proposers.frontier import BROKEN
from autodev_learning.proposers.trials import Draft, Trials
from autodev_learning.similarity import SIMILAR_OVERLAP, task_words, word_overlap
from autodev_learning.trial import Tester

BATCH = 16
MAX_CASES = 256
MOST_ADAPTATIONS = 8
ENOUGH_EXAMPLES, ENOUGH_ANSWERS = 4, 2
"""Code of a task that is described otherwise has to pass so many examples, with so many different answers."""


@dataclass(frozen=True)
class CaseBank:
    """Proposes the first case, most similar and then simplest first, that passes every visible example.

    A case that calls its functions otherwise is adapted: names, and the order of two parameters.
    """

    tester: Tester
    name: str = field(default="case_bank", init=False)

    async def propose(self, problem: Problem, budget: Budget) -> Proposal | NoProposal:
        trials = Trials(self.tester, problem, budget)
        drafts = [draft for case in ranked(problem)[:MAX_CASES] for draft in drafts_of(case, problem)]
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
    """The cases that may do, most similar first, then those that need no adapting, then the simplest.

    A case of another task counts only where the examples are enough to tell by what it does.
    """
    wanted = task_words(problem.task_description)
    by_behaviour = tells_enough(problem.visible)
    ranked: list[tuple[float, bool, int, str, Case]] = []
    for case in problem.cases:
        overlap = word_overlap(wanted, task_words(case.task_description))
        similar = case.task_description == problem.task_description or overlap >= SIMILAR_OVERLAP
        defined = _defined(case.code)
        if defined is None or not (similar or by_behaviour):
            continue
        tree, names = defined
        fits = names.issuperset(problem.entry_points)
        ranked.append((-overlap if similar else 1.0, not fits, sum(1 for _ in ast.walk(tree)), case.code, case))
    ranked.sort(key=lambda entry: entry[:4])
    return [case for *_, case in ranked]


def tells_enough(examples: Sequence[Example]) -> bool:
    """Whether code that passes these does what is asked, whatever it was written for."""
    calls, answers = {example.call for example in examples}, {example.expected for example in examples}
    return len(calls) >= ENOUGH_EXAMPLES and len(answers) >= ENOUGH_ANSWERS


def drafts_of(case: Case, problem: Problem) -> Iterator[Draft]:
    """The case's code, as it is where it defines what the task asks for, or else adapted."""
    origin = f"code that worked for {case.agent_id}" if case.agent_id else "code that worked"
    defined = _defined(case.code)
    if defined is not None and defined[1].issuperset(problem.entry_points):
        yield Draft(case.code, (origin,))
    else:
        for code, how in adapted(case.code, problem.entry_points, arities(problem.visible)):
            yield Draft(code, (origin, how))


def arities(examples: Sequence[Example]) -> dict[str, int]:
    """How many arguments each function is called with."""
    found: dict[str, int] = {}
    for example in examples:
        try:
            tree = ast.parse(example.call, mode="eval")
        except BROKEN:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
                found.setdefault(node.func.id, len(node.args))
    return found


def adapted(code: str, entry_points: Sequence[str], called: dict[str, int]) -> Iterator[tuple[str, str]]:
    """The code with its functions under the names that the task asks for, and what was done, likeliest first."""
    tree = ast.parse(code)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    missing = [name for name in entry_points if all(node.name != name for node in functions)]
    spare = [node for node in functions if node.name not in entry_points]
    for count, chosen in enumerate(permutations(spare, len(missing))):
        if count == MOST_ADAPTATIONS:
            return
        if any(len(node.args.args) != called.get(name) for name, node in zip(missing, chosen, strict=True)):
            continue
        names = {node.name: name for name, node in zip(missing, chosen, strict=True)}
        how = ", ".join(f"`{old}` called `{name}`" for old, name in names.items())
        renamed = ast.unparse(Renaming(names).visit(ast.parse(code)))
        yield f"{renamed}\n", how
        if len(names) == 1 and called[missing[0]] == 2:
            old = chosen[0].name
            turned = f"{code.rstrip()}\n\ndef {missing[0]}(first, second):\n    return {old}(second, first)\n"
            yield turned, f"`{old}` called `{missing[0]}`, its arguments swapped"


class Renaming(ast.NodeTransformer):
    """Gives functions other names, where they are defined and where they are used."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.name = self._names.get(node.name, node.name)
        return node


def _defined(code: str) -> tuple[ast.Module, set[str]] | None:
    """A program's tree and the functions at its top; None if it does not parse or defines none."""
    try:
        tree = ast.parse(code)
    except BROKEN:
        return None
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return (tree, names) if names else None
