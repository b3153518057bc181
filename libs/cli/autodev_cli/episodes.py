"""Recorded attempts at tasks: reading them, and making the events that report them.

`tasks.json` is a list of objects: task_id, description, preamble, tests (a list of `call`, a Python expression, and
`expect`, the literal it must equal). `attempts.jsonl` has an object a line: episode_id, agent_id, task_id, outcome
("failure" or "success"), code, and perhaps error_trace.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autodev.gateway.v1 import event_pb2
from autodev_cli.errors import CommandError
from autodev_sdk import make_event

HELD_OUT_EVERY = 3
"""Every third example of a task is held out: the rule of the episodes' receiver, for the tables here."""

WRONG = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a file raises that holds something else."""


@dataclass(frozen=True)
class TaskTest:
    """One thing a correct program does."""

    call: str
    expect: str


@dataclass(frozen=True)
class Task:
    """What was to be done."""

    task_id: str
    description: str
    preamble: str
    tests: tuple[TaskTest, ...]

    def is_held_out(self, index: int) -> bool:
        """Whether no proposer sees this test."""
        return index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


@dataclass(frozen=True)
class Attempt:
    """One agent's program for a task."""

    episode_id: str
    agent_id: str
    task_id: str
    failed: bool
    code: str
    error_trace: str = ""


def sample_dir() -> Path:
    """Where the project's own sample of episodes is. Raises CommandError where it was not installed."""
    here = Path(__file__).resolve()
    for path in (here.parent / "episodes_sample", here.parents[3] / "examples" / "episodes"):
        if (path / "tasks.json").is_file():
            return path
    raise CommandError("the sample episodes are not installed; give --tasks and --attempts")


def read_tasks(path: Path) -> dict[str, Task]:
    """The tasks of a file by id. Raises CommandError that says what is wrong where."""
    try:
        tasks = [
            Task(
                str(each["task_id"]),
                str(each["description"]),
                str(each.get("preamble", "")),
                tuple(TaskTest(str(test["call"]), str(test["expect"])) for test in each["tests"]),
            )
            for each in _list(json.loads(_text(path)))
        ]
    except WRONG as error:
        raise CommandError(f"{path} is no list of tasks: {_named(error)}") from error
    return {task.task_id: task for task in tasks}


def read_attempts(path: Path, tasks: Mapping[str, Task]) -> list[Attempt]:
    """The attempts of a file, in order. Raises CommandError that says what is wrong where."""
    attempts = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            attempts.append(_attempt(json.loads(line), tasks))
        except WRONG as error:
            raise CommandError(f"{path}, line {number}, is no attempt: {_named(error)}") from error
    return attempts


def _list(given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise TypeError
    return given


def _attempt(given: dict[str, Any], tasks: Mapping[str, Task]) -> Attempt:
    if given["task_id"] not in tasks:
        raise ValueError(f"no task {given['task_id']!r}")
    if given["outcome"] not in ("failure", "success"):
        raise ValueError(f"outcome {given['outcome']!r} is neither failure nor success")
    return Attempt(
        str(given["episode_id"]),
        str(given["agent_id"]),
        str(given["task_id"]),
        given["outcome"] == "failure",
        str(given["code"]),
        str(given.get("error_trace", "")),
    )


def event_of(task: Task, attempt: Attempt) -> event_pb2.Event:
    """The event by which the agent's runtime reports the attempt."""
    report = event_pb2.TaskEvent(
        episode_id=attempt.episode_id,
        agent_id=attempt.agent_id,
        task_description=task.description,
        error_trace=attempt.error_trace,
        outcome=event_pb2.OUTCOME_FAILURE if attempt.failed else event_pb2.OUTCOME_SUCCESS,
        code=attempt.code,
        preamble=task.preamble,
        examples=[event_pb2.Example(call=test.call, expected=test.expect) for test in task.tests],
    )
    return make_event(report, agent_id=attempt.agent_id, correlation_id=attempt.episode_id)


def of_task(attempts: Iterable[Attempt], task_id: str, *, failed: bool) -> list[Attempt]:
    """A task's failures, or its successes."""
    return [each for each in attempts if each.task_id == task_id and each.failed == failed]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8: {error.reason}") from error


def _named(error: Exception) -> str:
    match error:
        case KeyError():
            return f"{error} is missing"
        case TypeError() | AttributeError():
            return "something else stands where an object or a list must be (examples/README.md has the format)"
        case RecursionError():
            return "it is nested too deeply"
    return str(error)
