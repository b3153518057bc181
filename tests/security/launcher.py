"""Starts a command and adopts its orphans, so that whatever comes of it stays among the descendants of this process.

    launcher.py [CONTROL-GROUP-FOLDER ...] -- COMMAND ...

Ends when the last of them has ended. The command's process id goes to stdout. If its own parent ends, it does too, and
the command with it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> None:
    split = sys.argv.index("--")
    groups, command = sys.argv[1:split], sys.argv[split + 1 :]
    for group in groups:
        with open(f"{group}/cgroup.procs", "w") as members:
            members.write(str(os.getpid()))
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    child = os.fork()
    if child == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        os.dup2(2, 1)
        os.execvp(command[0], command)
    os.write(1, b"%d\n" % child)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
