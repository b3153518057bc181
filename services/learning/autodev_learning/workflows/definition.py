"""What a workflow of steps is. Other workflow definitions can be stored and scored, and not mutated.

    {"steps": [{"id": "find", "tool": "search", "parameters": {"limit": 10}, "needs": []}, ...], ...}

Each step names a `tool`. An `id` is its own; `needs` are ids of steps before it; `parameters` are any JSON. Whatever
else a step or the workflow holds is kept as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Step = Mapping[str, Any]
Workflow = Mapping[str, Any]

MOST_STEPS = 100
MOST_SHOWN = 40


def fault_of(workflow: Workflow) -> str:
    """What keeps it from being a valid workflow of steps, in words; empty for a valid one."""
    steps = workflow.get("steps")
    if not isinstance(steps, list) or not steps:
        return "it has no list of steps"
    if len(steps) > MOST_STEPS:
        return f"it has more than {MOST_STEPS} steps"
    known: set[str] = set()
    for number, step in enumerate(steps, start=1):
        if fault := _fault_of_step(step, known):
            return f"step {number} {fault}"
        if "id" in step:
            known.add(step["id"])
    return ""


def _fault_of_step(step: object, known: set[str]) -> str:
    if not isinstance(step, dict):
        return "is no object"
    if not _is_name(step.get("tool")):
        return "names no tool"
    if not isinstance(step.get("parameters", {}), dict):
        return "has parameters that are no object"
    if "id" in step and (not _is_name(step["id"]) or step["id"] in known):
        return "has an id that is empty or another step's"
    needs = step.get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(each, str) and each in known for each in needs):
        return "needs what is no step before it"
    return ""


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def steps_of(workflow: Workflow) -> Sequence[Step]:
    """The steps of a valid workflow."""
    steps: Sequence[Step] = workflow["steps"]
    return steps


def with_steps(workflow: Workflow, steps: Sequence[Step]) -> Workflow:
    """The workflow with other steps."""
    return {**workflow, "steps": [dict(step) for step in steps]}


def title(steps: Sequence[Step], index: int) -> str:
    """How a step is called in a sentence: "step 2 (search)"."""
    return f"step {index + 1} ({steps[index]['tool'][:MOST_SHOWN]})"
