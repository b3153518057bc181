"""Runs every program of the sample and checks that the files tell the truth: who fails, and with which trace.

Usage: python examples/check_episodes.py [--write]     --write renews the traces in attempts.jsonl

The programs are the project's own, so they run here, each in a process of its own. `autodev replay` runs others'
programs, and those only in the sandbox.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autodev_cli.inside import first_failure

EPISODES = Path(__file__).parent / "episodes"
SECONDS_PER_EXAMPLE = 2.0
TIMEOUT_S = 60.0
_RUN = """
import json, sys
sys.stdout, out = sys.stderr, sys.stdout
json.dump(first_failure(**json.load(sys.stdin)), out)
"""


@dataclass(frozen=True)
class Checked:
    """An attempt, and what running it showed: the trace of its first failure, empty where it passes everything."""

    attempt: dict[str, Any]
    trace: str

    @property
    def fault(self) -> str:
        """What the file says that is not so; empty where it tells the truth."""
        says_failure = self.attempt["outcome"] == "failure"
        if says_failure != bool(self.trace):
            return f"is said to be a {self.attempt['outcome']} and {'fails' if self.trace else 'passes'}"
        if self.attempt.get("error_trace", "") != self.trace:
            return f"fails by {self.trace!r}, not by {self.attempt.get('error_trace', '')!r}"
        return ""


def trace_of(attempt: dict[str, Any], task: dict[str, Any]) -> str:
    """Run an attempt in a process of its own until one of its task's examples fails."""
    program = Path(first_failure.__file__).read_text() + _RUN
    given = {
        "code": attempt["code"],
        "preamble": task["preamble"],
        "examples": task["tests"],
        "seconds_per_example": SECONDS_PER_EXAMPLE,
    }
    ended = subprocess.run(
        [sys.executable, "-I", "-c", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    found = json.loads(ended.stdout)
    return str(found["trace"]) if found else ""


def checked_attempts(directory: Path = EPISODES) -> Iterator[Checked]:
    """Run each attempt of the sample."""
    tasks = {task["task_id"]: task for task in json.loads((directory / "tasks.json").read_text())}
    for line in (directory / "attempts.jsonl").read_text().splitlines():
        attempt = json.loads(line)
        yield Checked(attempt, trace_of(attempt, tasks[attempt["task_id"]]))


def renewed(checked: Checked) -> str:
    """The attempt's line with the trace it really has."""
    attempt = {name: value for name, value in checked.attempt.items() if name != "error_trace"}
    return json.dumps(attempt | ({"error_trace": checked.trace} if checked.trace else {}))


def main() -> int:
    """Check, or renew; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="renew the traces in attempts.jsonl")
    write = parser.parse_args().write
    checked = list(checked_attempts())
    if write:
        (EPISODES / "attempts.jsonl").write_text("".join(f"{renewed(each)}\n" for each in checked))
        checked = list(checked_attempts())
    faults = [f"{each.attempt['episode_id']} {each.fault}" for each in checked if each.fault]
    print("\n".join(faults) or f"{len(checked)} attempts tell the truth")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
