"""The floor: what starting Python costs without any sandbox."""

import os
import subprocess
import time

from autodev_sandbox import rootfs
from benchmarks.sandbox import spawner


def start_s() -> float:
    """Seconds from starting a bare interpreter until it has ended."""
    interpreter = str(rootfs.interpreter())
    started_s = time.perf_counter()
    os.waitpid(spawner.spawn(interpreter), 0)
    return time.perf_counter() - started_s


def starts_a_second(at_a_time: int, warm_up_s: float, seconds: float) -> float:
    """How many bare interpreters a second this machine starts and ends, so many at a time."""
    command = [str(rootfs.interpreter()), "-I", "-S", spawner.__file__, str(at_a_time), str(warm_up_s), str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
