"""Runs a service's module in a process that ends when its supervisor does, even by SIGKILL.

Usage: python -m autodev_cli.mesh.child <supervisor's pid> <module>
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel send SIGTERM when the parent dies. Elsewhere than on Linux there is no such thing."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        # It died before the request was made, so nobody will send the signal.
        sys.exit("the supervisor is gone")


def main() -> None:
    """Tie this process to its supervisor and become the module."""
    parent_pid, module = int(sys.argv[1]), sys.argv[2]
    end_with_parent(parent_pid)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
