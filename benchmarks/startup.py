"""How long `autodev up` takes to five SERVING services, and the idle mesh's memory.

The denominator of the time: as many bare `python -c "import grpc"` at once as the mesh has services, on the same
machine in the same run. Memory is PSS where the kernel tells (a page that n processes share counts 1/n for each),
else RSS.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autodev_cli.mesh.layout import SERVICES

RUNS = 5
IDLE_S = 3.0
"""How long the mesh is left alone before its memory is read."""
LIMIT_S, AIM_BYTES = 3.0, 400 * 1024 * 1024
MIB = 1024 * 1024
STOP_S = 20.0


@dataclass(frozen=True)
class Start:
    """One start: seconds to the last service that served, and the bytes of each process when idle, if asked for."""

    seconds: float
    memory_bytes: dict[str, int]


def start_mesh(data_dir: Path, *, idle_s: float = 0.0) -> Start:
    """Start a mesh, wait until all serve, let it idle and read its memory, end it."""
    command = [sys.executable, "-m", "autodev_cli", "up", "-o", "json", "--ports", "auto", "--data-dir", str(data_dir)]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as mesh:
        assert mesh.stdout is not None
        pids: dict[str, int] = {}
        while len(pids) < len(SERVICES):
            line = mesh.stdout.readline()
            if not line:
                raise SystemExit(f"the mesh ended before all served: status {mesh.wait()}")
            told = json.loads(line)
            if told.get("state") == "SERVING":
                pids[told["service"]] = told["pid"]
        seconds = time.perf_counter() - started
        memory = {}
        if idle_s:
            time.sleep(idle_s)
            memory = {name: memory_of(pid, *_children(pid)) for name, pid in pids.items()}
            memory |= {"nursery": memory_of(*_children(mesh.pid)), "supervisor": memory_of(mesh.pid)}
        mesh.send_signal(signal.SIGTERM)
        mesh.wait(STOP_S)
    return Start(seconds, memory)


def memory_of(*pids: int) -> int:
    """The bytes of the processes: PSS, or RSS where the kernel does not tell PSS."""
    return sum(map(_own_memory, pids))


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _own_memory(pid: int) -> int:
    for file, field in ((f"/proc/{pid}/smaps_rollup", "Pss:"), (f"/proc/{pid}/status", "VmRSS:")):
        try:
            lines = Path(file).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def import_grpc_at_once(count: int) -> float:
    """Seconds for so many interpreters that import grpc, at once."""
    started = time.perf_counter()
    processes = [subprocess.Popen([sys.executable, "-c", "import grpc"]) for _ in range(count)]
    for process in processes:
        process.wait()
    return time.perf_counter() - started


def spread(seconds: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(seconds):5.2f} s  ({min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} runs)"


def main() -> int:
    """Measure and print; status 1 where the median of later starts is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args().runs
    bare, first, again = [], [], []
    memory: dict[str, int] = {}
    for number in range(runs):
        with tempfile.TemporaryDirectory(prefix="autodev-startup-") as directory:
            bare.append(import_grpc_at_once(len(SERVICES)))
            first.append(start_mesh(Path(directory)).seconds)
            start = start_mesh(Path(directory), idle_s=IDLE_S if number == runs - 1 else 0.0)
            again.append(start.seconds)
            memory = start.memory_bytes or memory
    ratio = statistics.median(first) / statistics.median(bare)
    print(f"five bare `import grpc` at once           {spread(bare)}")
    print(f"autodev up, in a new directory            {spread(first)}  {ratio:.1f} × bare, limit {LIMIT_S:g} s")
    print(f"autodev up, in a directory with its files {spread(again)}")
    print(f"memory of the idle mesh {sum(memory.values()) / MIB:.0f} MiB (aim: at most {AIM_BYTES / MIB:.0f})")
    for name, size in memory.items():
        print(f"  {name:11} {size / MIB:6.1f} MiB")
    return 0 if statistics.median(first) <= LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
