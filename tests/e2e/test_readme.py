"""The README's first steps, as they are printed there, lead to a review."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.e2e.test_cli import COMMAND, RUN_S, OwnMesh, end, started

README = (Path(__file__).parents[2] / "README.md").read_text()
ADDRESS = "127.0.0.1:50051"


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[OwnMesh]:
    mesh = started(tmp_path / ".autodev")
    try:
        require(mesh.ready["sandbox"]["default"] != "none", f"no sandbox works here: {mesh.ready['sandbox']}")
        yield mesh
    finally:
        end(mesh)


def test_the_programs_and_commands_in_their_order_make_a_skill_that_runs(mesh: OwnMesh) -> None:
    section = README[README.index("## From an agent") :]
    report, run = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    *allowing, listing = re.findall(r"^    autodev (.*)$", section, re.MULTILINE)[:3]
    for command in allowing:
        assert mesh.run(*command.split()).returncode == 0
    for _ in range(2):
        output_of(report, mesh)
    assert until(mesh, "review_requested") == ["failure_pattern_detected", "candidate_generated", "candidate_validated"]
    [review] = mesh.json(*listing.split())["reviews"]
    mesh.json("review", "approve", review["id"])
    until(mesh, "skill_promoted")
    assert output_of(run, mesh) == "29\n"


def output_of(program: str, mesh: OwnMesh) -> str:
    """What a program of the README prints, beside the mesh's data directory."""
    code = program.replace(ADDRESS, mesh.ready["ready"])
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=mesh.data_dir.parent, stdout=subprocess.PIPE, text=True, check=True, timeout=RUN_S
    ).stdout


def until(mesh: OwnMesh, last: str) -> list[str]:
    """The kinds of events from the first pattern until one of the kind."""
    found: list[str] = []
    follow = [*COMMAND, "events", "tail", "--follow", "--since", "start", "--data-dir", str(mesh.data_dir)]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as following:
        bound = threading.Timer(RUN_S, following.terminate)
        bound.start()
        try:
            assert following.stdout is not None
            for line in following.stdout:
                kind = line.split()[2]
                if kind == last:
                    following.terminate()
                    return found
                if found or kind == "failure_pattern_detected":
                    found.append(kind)
        finally:
            bound.cancel()
    raise AssertionError(f"no {last} came after {found}")
