"""Recorded attempts: the files, the events made of them, who reports which, and what the sample says."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev.gateway.v1 import event_pb2
from autodev_cli.episodes import Attempt, Task, TaskTest, event_of, read_attempts, read_tasks, sample_dir
from autodev_cli.errors import CommandError
from autodev_cli.inside.first_failure import first_failure, first_failures
from autodev_cli.replay.dealing import deal, limited
from autodev_runtime.rules import check_message
from examples.check_episodes import checked_attempts

TASK = {"task_id": "t", "description": "Do it", "preamble": "", "tests": [{"call": "f()", "expect": "1"}]}
ATTEMPT = {"episode_id": "e", "agent_id": "a", "task_id": "t", "outcome": "failure", "code": "def f(): return 2\n"}
TESTS = [{"call": "f(1)", "expect": "1"}, {"call": "f(0)", "expect": "0"}]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_sample_tells_the_truth() -> None:
    checked = list(checked_attempts())
    assert [each.attempt["episode_id"] + " " + each.fault for each in checked if each.fault] == []
    assert len(checked) > 20


def test_the_sample_shows_both_ways_to_a_skill() -> None:
    tasks = read_tasks(sample_dir() / "tasks.json")
    attempts = read_attempts(sample_dir() / "attempts.jsonl", tasks)
    solved = {each.task_id for each in attempts if not each.failed}
    failures = Counter((each.agent_id, each.task_id) for each in attempts if each.failed)
    assert len(tasks) >= 6
    assert solved, "no case for the case bank"
    assert set(tasks) - solved, "nothing is left to search"
    assert all(count >= 2 for count in failures.values()), "no agent fails often enough for a pattern"
    assert all(len(task.tests) >= 9 for task in tasks.values()), "too few examples are held out"


def test_files_are_read(tmp_path: Path) -> None:
    tasks = read_tasks(written(tmp_path / "tasks.json", json.dumps([TASK])))
    lines = json.dumps(ATTEMPT) + "\n\n" + json.dumps({**ATTEMPT, "outcome": "success"}) + "\n"
    failure, success = read_attempts(written(tmp_path / "attempts.jsonl", lines), tasks)
    assert tasks["t"].tests == (TaskTest("f()", "1"),)
    assert (failure.failed, success.failed) == (True, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no list of tasks"),
        ('{"a": 1}', "is no list of tasks"),
        ('[{"task_id": "t"}]', "'description' is missing"),
        ("{}", "is no list of tasks"),
        ("[1]", "something else stands where an object or a list must be"),
        ("[" * 100_000, "is no list of tasks: it is nested too deeply"),
    ],
)
def test_a_wrong_task_file_is_told(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        read_tasks(written(tmp_path / "tasks.json", text))


@pytest.mark.parametrize(
    ("change", "says"),
    [({"task_id": "x"}, "no task 'x'"), ({"outcome": "won"}, "neither failure nor success"), ({"code": None}, "")],
)
def test_a_wrong_attempt_is_told_with_its_line(tmp_path: Path, change: dict[str, object], says: str) -> None:
    tasks = read_tasks(written(tmp_path / "tasks.json", json.dumps([TASK])))
    broken = {name: value for name, value in {**ATTEMPT, **change}.items() if value is not None}
    lines = json.dumps(ATTEMPT) + "\n" + json.dumps(broken)
    with pytest.raises(CommandError, match=f"line 2, is no attempt.*{says}"):
        read_attempts(written(tmp_path / "attempts.jsonl", lines), tasks)


@pytest.mark.parametrize(("line", "says"), [("[1]", "something else stands"), ("[" * 100_000, "nested too deeply")])
def test_a_line_that_is_no_object_is_told(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(CommandError, match=f"line 1, is no attempt: .*{says}"):
        read_attempts(written(tmp_path / "attempts.jsonl", line), {})


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        read_tasks(tmp_path / "none.json")


def test_an_attempt_is_reported_whole() -> None:
    task = Task("t", "Do it", "X = 1\n", (TaskTest("f()", "1"),))
    event = event_of(task, Attempt("e-1", "a-1", "t", failed=True, code="def f(): ...", error_trace="ValueError: no"))
    check_message(event)
    assert event.agent_id == "a-1"
    assert event.task_failed == event_pb2.TaskEvent(
        episode_id="e-1",
        agent_id="a-1",
        task_description="Do it",
        error_trace="ValueError: no",
        outcome=event_pb2.OUTCOME_FAILURE,
        code="def f(): ...",
        preamble="X = 1\n",
        examples=[event_pb2.Example(call="f()", expected="1")],
    )
    assert event_of(task, Attempt("e-2", "a-1", "t", failed=False, code="")).HasField("task_succeeded")


attempts_lists = st.lists(
    st.builds(
        Attempt,
        episode_id=st.uuids().map(str),
        agent_id=st.sampled_from(["ann", "bob eve", "ünal/x"]),
        task_id=st.sampled_from(["one", "two"]),
        failed=st.booleans(),
        code=st.just("pass"),
    ),
    unique_by=lambda attempt: attempt.episode_id,
    max_size=40,
)


@given(attempts_lists, st.integers(1, 12))
def test_dealing_gives_every_agent_enough_failures_for_a_pattern(attempts: list[Attempt], agents: int) -> None:
    dealt = deal(attempts, agents, "run")
    assert Counter(each.code for each in dealt) == Counter(each.code for each in attempts)
    assert len({each.episode_id for each in dealt}) == len(attempts)
    for task_id in ("one", "two"):
        failures = [each for each in attempts if each.failed and each.task_id == task_id]
        of_agents = Counter(each.agent_id for each in dealt if each.failed and each.task_id == task_id)
        assert len(of_agents) <= agents
        assert len(failures) < 2 or min(of_agents.values()) >= 2


@given(attempts_lists)
def test_dealing_reports_cases_first_and_by_agents_that_did_not_fail(attempts: list[Attempt]) -> None:
    dealt = deal(attempts, 3, "run")
    assert [each.failed for each in dealt] == sorted(each.failed for each in dealt)
    failing = {each.agent_id for each in dealt if each.failed}
    assert failing.isdisjoint(each.agent_id for each in dealt if not each.failed)
    for each in dealt:
        check_message(event_of(Task(each.task_id, "Do it", "", ()), each))


def test_a_limit_keeps_the_first_of_each_task_and_outcome() -> None:
    attempts = [Attempt(str(n), "a", "t" if n % 2 else "u", failed=n % 4 < 2, code="") for n in range(16)]
    assert Counter((each.task_id, each.failed) for each in limited(attempts, 2)) == {
        ("t", True): 2,
        ("u", True): 2,
        ("t", False): 2,
        ("u", False): 2,
    }
    assert limited(attempts, None) == attempts


def test_a_trace_shows_the_programs_frames_and_not_the_runners() -> None:
    found = first_failure("def f(x):\n    return 1 // x\n", "", TESTS, 5.0)
    assert found == {
        "index": 1,
        "trace": 'Traceback (most recent call last):\n  File "program.py", line 2, in f\n    return 1 // x\n'
        "ZeroDivisionError: integer division or modulo by zero",
    }


def test_a_wrong_answer_is_an_assertion() -> None:
    found = first_failure("def f(x):\n    return 1\n", "", TESTS, 5.0)
    assert found == {"index": 1, "trace": "AssertionError: f(0) gave 1, expected 0"}


def test_a_program_that_passes_has_no_trace() -> None:
    assert first_failure("def f(x):\n    return float(x)\n", "", TESTS, 5.0) is None


def test_programs_that_do_not_end_or_crash_disturb_no_other() -> None:
    programs = [
        "def f(x):\n    while True:\n        pass\n",
        "import os\nos._exit(3)\n",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
        "import time\ndef f(x):\n    while True:\n        try:\n            time.sleep(9)\n"
        "        except BaseException:\n            pass\n",
        "def f(x:\n",
        "def f(x):\n    return x\nprint('x' * 10_000_000)\n",
    ]
    traces = [
        found["trace"].splitlines()[-1] if found else "" for found in first_failures(programs, "", TESTS, 0.2, 1.0)
    ]
    assert traces[:4] == [
        "TimeoutError: no answer within 0.2 s",
        "RuntimeError: the program's process ended with status 3",
        "RuntimeError: the program's process ended with signal 9",
        "TimeoutError: no answer within 1 s",
    ]
    assert traces[4].startswith("SyntaxError:")
    assert traces[5] == ""
