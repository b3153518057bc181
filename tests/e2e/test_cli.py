"""The command line against a mesh that it started itself: five real services, real sandbox, public RPCs."""

import asyncio
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autodev.capability.v1.capability_service_pb2 import MATURITY_LEVEL_STUDENT, SetMaturityRequest
from autodev_cli.episodes import sample_dir
from autodev_cli.mesh import state
from autodev_cli.paging import PAGE
from autodev_sdk import AutoDevClient
from tests.conftest import require

CLIENT = Path(__file__).parents[2] / "examples" / "python_client.py"
COMMAND = [sys.executable, "-m", "autodev_cli"]
START_S, STOP_S, RUN_S, DEMO_S = 60.0, 20.0, 120.0, 400.0
SOLVED_TASKS = ("add_months", "csv_line")
"""Tasks of the sample that another agent's program solves."""


@dataclass
class OwnMesh:
    """A mesh that `autodev up` runs, and the commands that find it."""

    process: subprocess.Popen[str]
    data_dir: Path
    ready: dict[str, Any]
    pids: dict[str, int]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the mesh."""
        command = [*COMMAND, *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)

    def json(self, *arguments: str) -> Any:
        """Run a command that must work, and give what it printed for machines."""
        ended = self.run(*arguments, "-o", "json")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def states(self) -> dict[str, str]:
        """What each service says of itself, whether all serve or not."""
        states: dict[str, str] = json.loads(self.run("status", "-o", "json").stdout)["services"]
        return states

    def wait_until_all_serve(self) -> None:
        """The gateway asks the services behind it now and then, and may not have heard of the last."""
        deadline = time.monotonic() + START_S
        while set(states := self.states().values()) != {"SERVING"}:
            assert time.monotonic() < deadline, states

    def one_line_error(self, *arguments: str) -> str:
        """Run a command that must fail, and give the line that says why."""
        ended = self.run(*arguments)
        assert ended.returncode == 1, ended.stdout
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        return ended.stderr.strip()


def started(data_dir: Path, *options: str) -> OwnMesh:
    command = [*COMMAND, "up", "-o", "json", "--ports", "auto", "--data-dir", str(data_dir), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids: dict[str, int] = {}
    for line in process.stdout:
        told = json.loads(line)
        if "ready" in told:
            return OwnMesh(process, data_dir, told, pids)
        pids[told["service"]] = told["pid"]
    raise AssertionError(f"the mesh ended with status {process.wait()}")


def end(mesh: OwnMesh) -> None:
    mesh.process.send_signal(signal.SIGTERM)
    mesh.process.communicate(timeout=STOP_S)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMesh]:
    mesh = started(tmp_path_factory.mktemp("cli") / "data")
    try:
        require(mesh.ready["sandbox"]["default"] != "none", f"no sandbox works here: {mesh.ready['sandbox']}")
        yield mesh
    finally:
        end(mesh)


def solved_sample(directory: Path) -> tuple[str, str]:
    """The sample's files, cut down to what the case bank solves, without the traces."""
    tasks = [task for task in json.loads((sample_dir() / "tasks.json").read_text()) if task["task_id"] in SOLVED_TASKS]
    lines = map(json.loads, (sample_dir() / "attempts.jsonl").read_text().splitlines())
    attempts = [{**line, "error_trace": ""} for line in lines if line["task_id"] in SOLVED_TASKS]
    (directory / "tasks.json").write_text(json.dumps(tasks))
    (directory / "attempts.jsonl").write_text("".join(json.dumps(each) + "\n" for each in attempts))
    return str(directory / "tasks.json"), str(directory / "attempts.jsonl")


@pytest.fixture(scope="module")
def replayed(mesh: OwnMesh, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a replay of the sample's solved tasks printed."""
    tasks, attempts = solved_sample(tmp_path_factory.mktemp("files"))
    found: dict[str, Any] = mesh.json("replay", "--tasks", tasks, "--attempts", attempts)
    return found


def test_everything_serves(mesh: OwnMesh) -> None:
    mesh.wait_until_all_serve()
    status = mesh.json("status")
    assert set(status["services"].values()) == {"SERVING"}
    assert (status["unknown"], status["at_least"]) == ({}, [])
    assert status["sandbox"]["default"] != "none"


def test_a_replay_learns_every_solved_task(replayed: dict[str, Any]) -> None:
    assert [task["task_id"] for task in replayed["tasks"]] == list(SOLVED_TASKS)
    for task in replayed["tasks"]:
        assert (task["failures"], task["successes"], task["patterns"]) == (3, 1, 1)
        assert (task["validated"], task["approved"], task["promoted"]) == (1, 1, 1)
        assert task["held_out_passed"] == task["held_out_examples"] == 3
        assert (task["skills_passing_all"], task["skills_checked"]) == (1, 1)
        assert task["proposers"] == {"case_bank": 1}
        assert 0 < task["first_validated_s"] < replayed["total_s"]
    assert replayed["undone"] == []
    assert replayed["unexplained"] == 0


def test_a_replay_finds_the_traces_in_the_sandbox(mesh: OwnMesh, replayed: dict[str, Any]) -> None:
    ended = mesh.run("events", "tail", "--type", "task_failed", "--since", "start", "-o", "json")
    traces = {json.loads(line)["task_failed"]["error_trace"].splitlines()[-1] for line in ended.stdout.splitlines()}
    assert "ValueError: day is out of range for month" in traces
    assert any(trace.startswith("AssertionError: parse_csv_line(") for trace in traces)


def test_a_replay_puts_the_settings_back(mesh: OwnMesh, replayed: dict[str, Any]) -> None:
    settings = mesh.json("settings", "show")
    assert settings["enabled"] is False
    assert settings["max_skill_candidates_per_day"] == 5


def test_a_replay_that_is_told_to_end_puts_the_settings_back(mesh: OwnMesh, tmp_path: Path) -> None:
    before = mesh.json("settings", "show")
    tasks, attempts = solved_sample(tmp_path)
    arguments = ["replay", "--tasks", tasks, "--attempts", attempts, "--data-dir", str(mesh.data_dir)]
    with subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True) as replaying:
        try:
            assert replaying.stderr is not None
            while not (said := replaying.stderr.readline()).startswith("episodes:"):
                assert said, "the replay ended before it reported anything"
            replaying.send_signal(signal.SIGTERM)
            assert replaying.wait(STOP_S) == 128 + signal.SIGTERM
        finally:
            replaying.kill()
    assert mesh.json("settings", "show") == before


def test_a_demo_on_a_running_mesh_puts_the_settings_back(mesh: OwnMesh) -> None:
    before = mesh.json("settings", "show")
    assert not before["enabled"]
    arguments = ["demo", "--data-dir", str(mesh.data_dir)]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as showing:
        try:
            assert showing.stdout is not None
            while "failure " not in (said := showing.stdout.readline()):
                assert said, "the demonstration ended before it reported a failure"
            assert mesh.json("settings", "show")["enabled"]
            showing.send_signal(signal.SIGINT)
            assert showing.wait(STOP_S) == 128 + signal.SIGINT
        finally:
            showing.kill()
    assert mesh.json("settings", "show") == before


def test_the_table_of_a_replay_has_a_row_a_task(mesh: OwnMesh, tmp_path: Path) -> None:
    tasks, attempts = solved_sample(tmp_path)
    ended = mesh.run("replay", "--tasks", tasks, "--attempts", attempts, "--no-approve")
    assert ended.returncode == 0, ended.stderr + ended.stdout
    rows = {line.split()[0]: line.split() for line in ended.stdout.splitlines() if line.split()}
    for task_id in SOLVED_TASKS:
        failures, successes, patterns, candidates, validated, held_out, approved, promoted = rows[task_id][1:9]
        assert (failures, successes, patterns, candidates, validated) == ("3", "1", "1", "1", "1")
        assert (held_out, approved, promoted) == ("3/3", "0", "0")
    assert "patterns: 2" in ended.stderr


def test_a_waiting_review_is_shown_and_rejected(mesh: OwnMesh, tmp_path: Path) -> None:
    tasks, attempts = solved_sample(tmp_path)
    mesh.json("replay", "--tasks", tasks, "--attempts", attempts, "--no-approve")
    waiting = mesh.json("review", "list")["reviews"]
    shown = mesh.run("review", "show", waiting[0]["id"]).stdout
    assert "def " in shown
    assert "3 of 3 held-out examples pass" in shown
    assert waiting[0]["id"] in mesh.run("review", "list").stdout

    rejected = mesh.json("review", "reject", waiting[0]["id"], "--reason", "not needed")
    assert (rejected["decision"], rejected["reason"]) == ("DECISION_REJECTED", "not needed")
    assert waiting[0]["id"] not in {each["id"] for each in mesh.json("review", "list")["reviews"]}
    assert waiting[0]["id"] in {each["id"] for each in mesh.json("review", "list", "--all")["reviews"]}
    assert "was rejected by" in mesh.one_line_error("review", "approve", waiting[0]["id"])


def test_a_skill_is_listed_shown_and_run(mesh: OwnMesh, replayed: dict[str, Any]) -> None:
    assert "parse_csv_line" in {skill["name"] for skill in mesh.json("skills", "list")["skills"]}
    assert "csv.reader" in mesh.run("skills", "show", "parse_csv_line").stdout
    ran = mesh.run("skills", "run", "parse_csv_line", "parse_csv_line('a,\"b,c\"')")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0] == "['a', 'b,c']"
    assert mesh.json("skills", "run", "parse_csv_line", "parse_csv_line('a')")["result"] == ["a"]


def test_a_skill_that_fails_is_one_line(mesh: OwnMesh, replayed: dict[str, Any]) -> None:
    assert "failed [" in mesh.one_line_error("skills", "run", "parse_csv_line", "parse_csv_line(1, 2, 3)")


def test_what_is_not_there_is_one_line(mesh: OwnMesh, replayed: dict[str, Any]) -> None:
    assert "no skill 'none' [NOT_FOUND" in mesh.one_line_error("skills", "run", "none", "none()")
    assert "NOT_FOUND" in mesh.one_line_error("review", "show", "none")
    assert "[FAILED_PRECONDITION" in mesh.one_line_error("skills", "rollback", "parse_csv_line")


def test_a_wrong_key_is_one_line_that_says_what_to_do(mesh: OwnMesh) -> None:
    assert "[UNAUTHENTICATED" in mesh.one_line_error("skills", "list", "--api-key", "wrong")


def test_a_key_is_not_sent_in_plain_text_to_another_machine(mesh: OwnMesh) -> None:
    refused = mesh.one_line_error("skills", "list", "--address", "mesh.example:443")
    assert "mesh.example:443 is not on this machine" in refused
    assert "--ca-file" in refused


def test_events_are_printed_and_filtered(mesh: OwnMesh, replayed: dict[str, Any]) -> None:
    promoted = mesh.run("events", "tail", "--type", "skill_promoted", "--since", "start", "-o", "json")
    kinds = [set(json.loads(line)) & {"skill_promoted", "task_failed"} for line in promoted.stdout.splitlines()]
    assert len(kinds) >= len(SOLVED_TASKS)
    assert all(kind == {"skill_promoted"} for kind in kinds)
    assert len(mesh.run("events", "tail", "-n", "3").stdout.splitlines()) == 3


def test_followed_events_come_as_they_happen(mesh: OwnMesh, replayed: dict[str, Any]) -> None:
    arguments = ["events", "tail", "--follow", "--since", "1m", "--agent", "newcomer", "--data-dir", str(mesh.data_dir)]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as following:
        try:
            assert following.stdout is not None
            mesh.json("skills", "run", "parse_csv_line", "parse_csv_line('a')", "--agent", "newcomer")
            came, _, _ = select.select([following.stdout], [], [], RUN_S)
            assert came, "no event came"
            assert "newcomer" in following.stdout.readline()
            following.send_signal(signal.SIGINT)
            assert following.wait(STOP_S) == 130
        finally:
            # Else the block waits for ever for what follows for ever.
            following.kill()


def test_settings_and_levels_are_set(mesh: OwnMesh) -> None:
    changed = mesh.json("settings", "set", "--enabled", "--max-mutations-per-day", "3", "--proposers", "search")
    assert (changed["enabled"], changed["max_mutations_per_day"], changed["proposers"]) == (True, 3, ["search"])
    assert mesh.json("settings", "show") == changed
    assert mesh.json("settings", "set", "--no-enabled", "--proposers", "")["proposers"] == []
    mesh.json("agents", "set-maturity", "ann", "supervised", "--reason", "she is good")
    agents = {agent["id"]: agent["maturity"] for agent in mesh.json("agents", "list")["agents"]}
    assert agents["ann"] == "MATURITY_LEVEL_SUPERVISED"
    of_one = ("ann", "--capability", "auto_dev.alpha_evolver")
    (own,) = mesh.json("agents", "set-maturity", *of_one, "student")["capabilities"]
    assert own["maturity"] == "MATURITY_LEVEL_STUDENT"
    assert mesh.json("agents", "unset-maturity", *of_one)["capabilities"] == []


def test_a_proposer_that_there_is_not_is_refused_by_name(mesh: OwnMesh) -> None:
    before = mesh.json("settings", "show")
    ended = mesh.run("settings", "set", "--enabled", "--proposers", "search,nonsense")
    assert ended.returncode == 1
    assert "no proposer is named nonsense; there are: llm, case_bank, search, crossover" in ended.stderr
    assert mesh.json("settings", "show") == before
    ended = mesh.run("settings", "set", "--proposers", "search,llm")
    assert ended.returncode == 0
    assert "llm is not asked before the learning service has it configured" in ended.stderr
    mesh.json("settings", "set", "--proposers", "")


async def test_lists_longer_than_a_page_are_shown_whole(mesh: OwnMesh) -> None:
    key = (mesh.data_dir / "keys" / "default.key").read_text().strip()
    names = {f"crowd-{number}" for number in range(PAGE + 1)}
    requests = [SetMaturityRequest(agent_id=name, maturity=MATURITY_LEVEL_STUDENT) for name in names]
    async with AutoDevClient(mesh.ready["ready"], key) as client:
        await asyncio.gather(*map(client.capability.SetMaturity, requests))
    listed = mesh.json("agents", "list")
    assert names <= {each["id"] for each in listed["agents"]}
    assert listed["next_page_token"] == ""


def test_the_example_client_is_led_to_a_review(mesh: OwnMesh) -> None:
    mesh.json("settings", "set", "--enabled")
    mesh.json("agents", "set-maturity", "invoice-agent", "intern")
    key_file = mesh.data_dir / "keys" / "default.key"
    command = [sys.executable, str(CLIENT), "--address", mesh.ready["ready"], "--key-file", str(key_file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    lines = ended.stdout.splitlines()
    assert lines[0] == "reported 2 failures"
    assert lines[1:-1] == [
        "failure_pattern_detected",
        "candidate_generated",
        "candidate_validated",
        "review_requested",
    ]
    review = mesh.json("review", "show", lines[-1].split()[-1])
    assert "calendar.monthrange(year, month)[" in review["code"]


def test_the_example_client_says_what_may_be_missing_where_nothing_comes(mesh: OwnMesh) -> None:
    key_file = mesh.data_dir / "keys" / "default.key"
    arguments = ["--address", mesh.ready["ready"], "--key-file", str(key_file), "--agent", "student"]
    with subprocess.Popen([sys.executable, str(CLIENT), *arguments], stderr=subprocess.PIPE, text=True) as waiting:
        try:
            assert waiting.stderr is not None
            assert waiting.stderr.readline() == "nothing yet: is Auto-Dev enabled, and the agent INTERN?\n"
        finally:
            waiting.kill()


def test_a_second_mesh_in_the_directory_is_refused(mesh: OwnMesh) -> None:
    assert f"another mesh (process {mesh.process.pid})" in mesh.one_line_error("up", "--ports", "auto")


def test_a_service_that_dies_is_started_again(mesh: OwnMesh) -> None:
    os.kill(mesh.pids["fitness"], signal.SIGKILL)
    assert mesh.process.stdout is not None
    told = [json.loads(mesh.process.stdout.readline())]
    while (told[-1]["service"], told[-1]["state"]) != ("fitness", "SERVING"):
        told.append(json.loads(mesh.process.stdout.readline()))
    # Another service that needs this one may say for a moment that it is not ready; none else is started again.
    assert {each["service"] for each in told if each["pid"] != mesh.pids[each["service"]]} == {"fitness"}
    assert any("SIGKILL" in each["note"] for each in told)
    assert told[-1]["pid"] != mesh.pids["fitness"]
    mesh.wait_until_all_serve()


def test_a_mesh_that_ends_leaves_no_process_and_no_state(tmp_path: Path) -> None:
    mesh = started(tmp_path / "data")
    assert state.read(mesh.data_dir) is not None
    end(mesh)
    assert mesh.process.returncode == 0
    assert not any(state.is_alive(pid) for pid in mesh.pids.values())
    assert state.read(mesh.data_dir) is None


def test_a_mesh_whose_reader_is_gone_ends_without_a_word(tmp_path: Path) -> None:
    command = [*COMMAND, "up", "-o", "json", "--ports", "auto", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as mesh:
        try:
            assert mesh.stdout is not None
            mesh.stdout.readline()
            mesh.stdout.close()
            assert mesh.wait(START_S) == 0
            assert mesh.stderr is not None
            assert mesh.stderr.read() == ""
        finally:
            mesh.kill()


def test_a_demo_without_any_sandbox_says_what_to_install(tmp_path: Path) -> None:
    arguments = ["demo", "--up", "--exit", "--ports", "auto", "--data-dir", str(tmp_path / "data")]
    # As on a machine without an engine and without bubblewrap: no other level than PROCESS, and that not allowed.
    environment = {**os.environ, "AUTODEV_SANDBOX_LEVELS": "process"}
    ended = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=RUN_S, check=False, env=environment
    )
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    for part in ("needs a sandbox", "apt-get install bubblewrap", "--allow-process-sandbox"):
        assert part in ended.stderr
    assert "no isolation level works here" in ended.stdout


def test_the_demo_closes_both_loops(tmp_path: Path) -> None:
    arguments = ["demo", "--up", "--exit", "-o", "json", "--ports", "auto", "--data-dir", str(tmp_path / "data")]
    ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=DEMO_S, check=False)
    require("needs a sandbox" not in ended.stderr, f"no sandbox works here: {ended.stderr}")
    outcome = json.loads(ended.stdout)
    assert outcome["memento"]["closed"], outcome
    assert {"add_months", "csv_line", "unique_items"} <= {skill["task_id"] for skill in outcome["memento"]["skills"]}
    assert all(skill["runs_right"] for skill in outcome["memento"]["skills"])
    assert outcome["evolver_missing"] == ""
    evolver = outcome["evolver"]
    assert evolver["version"] == "1.1.0"
    assert evolver["before_s"] > 5 > evolver["after_s"]
    assert ended.returncode == 0


def test_a_mesh_whose_keys_are_a_files_is_started_with_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"tenant": "default", "subject": "ann", "roles": ["operator", "runtime"]}
    (tmp_path / "keys.json").write_text(json.dumps([{**known, "sha256": hashlib.sha256(b"the-key").hexdigest()}]))
    monkeypatch.setenv("AUTODEV_GATEWAY_API_KEYS_FILE", str(tmp_path / "keys.json"))
    monkeypatch.setenv("AUTODEV_API_KEY", "the-key")
    mesh = started(tmp_path / "data")
    try:
        assert not (tmp_path / "data" / "keys").exists()
        assert mesh.states()["gateway"] == "SERVING"
    finally:
        end(mesh)
