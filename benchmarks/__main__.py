"""Runs every benchmark, one after the other: `python -m benchmarks`. Each prints its denominators from the same run."""

import subprocess
import sys

BENCHMARKS = ("startup", "forwarding", "events", "capability", "learning_latency")


def main() -> int:
    """Run them; the status is that of the first that failed."""
    statuses = []
    for name in BENCHMARKS:
        print(f"\n== {name}", flush=True)
        statuses.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode)
    return next(filter(None, statuses), 0)


if __name__ == "__main__":
    sys.exit(main())
