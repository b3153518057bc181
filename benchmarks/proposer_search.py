"""How many problems the built-in proposers solve, on real attempts.

Each task's failing attempts are dealt round-robin to pretend agents; each agent's failures on a task are one problem.
The proposers see every example but each third; a problem is solved when a fresh run passes all of them.

    python -m benchmarks.proposer_search --tasks tasks.json --attempts attempts.jsonl [--proposers search crossover]
"""

import argparse
import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autodev_learning.examples import Example, called_names, split_held_out
from autodev_learning.proposers import Budget, Case, FailedProgram, Problem, Proposal, propose_first
from autodev_learning.proposers.builtin import builtin_proposers
from autodev_learning.trial import Execute, SandboxTester, check
from tests.unit.learning.sandboxed import namespace_execute


@dataclass(frozen=True)
class Task:
    id: str
    description: str
    preamble: str
    examples: tuple[Example, ...]
    failures: tuple[str, ...]
    successes: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    task: str
    label: str
    solved: bool
    proposed: bool
    held_out_passed: str
    tried: int
    seconds: float
    detail: str
    code: str


def read_tasks(tasks_file: Path, attempts_file: Path) -> Iterator[Task]:
    attempts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in attempts_file.read_text().splitlines():
        attempt = json.loads(line)
        attempts[attempt["task_id"], attempt["outcome"]].append(attempt["code"])
    tasks: list[dict[str, Any]] = json.loads(tasks_file.read_text())
    for task in tasks:
        yield Task(
            task["task_id"],
            task["description"],
            task["preamble"],
            tuple(Example(test["call"], test["expect"]) for test in task["tests"]),
            tuple(attempts[task["task_id"], "failure"]),
            tuple(attempts[task["task_id"], "success"]),
        )


def problem_of(task: Task, failures: tuple[str, ...], cases: tuple[Case, ...], seed: int) -> Problem:
    visible, _ = split_held_out(task.examples)
    return Problem(
        task_description=task.description,
        entry_points=called_names([example.call for example in task.examples]),
        failures=tuple(FailedProgram(code) for code in failures),
        visible=visible,
        preamble=task.preamble,
        cases=cases,
        seed=seed,
    )


async def solve(task: Task, label: str, problem: Problem, names: list[str], budget: Budget, execute: Execute) -> Result:
    tester = SandboxTester(execute)
    started = time.monotonic()
    answer = await propose_first(builtin_proposers(names, tester), problem, budget)
    seconds = time.monotonic() - started
    if not isinstance(answer, Proposal):
        return Result(task.id, label, False, False, "-", answer.tried, seconds, answer.reason, "")
    verdict = await check(SandboxTester(execute, seconds_per_program=5.0), answer.code, task.preamble, task.examples)
    held_out = verdict.passed[2::3]
    detail = f"{answer.proposer}: {'; '.join(answer.edits)}"
    return Result(
        task.id,
        label,
        verdict.passes_all,
        True,
        f"{sum(held_out)}/{len(held_out)}",
        answer.tried,
        seconds,
        detail,
        answer.code,
    )


def problems_of(task: Task, arguments: argparse.Namespace) -> Iterator[tuple[str, Problem]]:
    cases = tuple(Case(code, task.description, f"agent-{index}") for index, code in enumerate(task.successes))
    if "case_bank" not in arguments.proposers:
        cases = ()
    if arguments.each:
        for index, code in enumerate(task.failures[: arguments.each]):
            yield f"program {index}", problem_of(task, (code,), cases, arguments.seed)
        return
    for agent in range(arguments.agents):
        yield f"agent {agent}", problem_of(task, task.failures[agent :: arguments.agents], cases, arguments.seed)


def print_table(results: list[Result], show: bool) -> None:
    if show:
        print("| task | problem | proposed | held out | all pass | tried | seconds | how |")
        print("|---|---|---|---|---|---|---|---|")
        for r in results:
            print(
                f"| {r.task} | {r.label} | {'yes' if r.proposed else 'no'} | {r.held_out_passed} | "
                f"{'yes' if r.solved else 'no'} | {r.tried} | {r.seconds:.1f} | {r.detail} |"
            )
        print()
    print("| task | problems | proposed | all examples pass, held-out ones too | median s | longest s |")
    print("|---|---|---|---|---|---|")
    for task in dict.fromkeys(r.task for r in results):
        rows = [r for r in results if r.task == task]
        times = sorted(r.seconds for r in rows)
        proposed, solved = sum(r.proposed for r in rows), sum(r.solved for r in rows)
        print(f"| {task} | {len(rows)} | {proposed} | {solved} | {times[len(times) // 2]:.1f} | {times[-1]:.1f} |")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--attempts", type=Path, required=True)
    parser.add_argument("--only", help="one task's id")
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--each", type=int, default=0, help="instead, each of the first N failing programs alone")
    parser.add_argument("--seconds", type=float, default=15.0, help="the budget of each proposer for a problem")
    parser.add_argument("--proposers", nargs="+", default=["search", "crossover"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="a row per problem, too")
    arguments = parser.parse_args()
    execute = await namespace_execute()
    results: list[Result] = []
    for task in read_tasks(arguments.tasks, arguments.attempts):
        if arguments.only in (None, task.id):
            for label, problem in problems_of(task, arguments):
                budget = Budget(seconds=arguments.seconds)
                results.append(await solve(task, label, problem, arguments.proposers, budget, execute))
    print_table(results, arguments.show)


if __name__ == "__main__":
    asyncio.run(main())
