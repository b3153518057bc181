"""The mesh's throughput, and what growing costs it: `make bench-mesh`.

The services are the real ones, processes of their own, and are called over gRPC from this process, on the same cores.
Every ratio stands beside its denominator from the same run, taken in turns with it. A bar that is not reached says
MISS; the status is 0 all the same, since a busy machine is no error.

    python -m benchmarks.mesh [--quick] [row ...]
"""

import argparse
import asyncio
import os
import platform

from benchmarks.mesh.rows import BARS, FULL, QUICK, Measurement
from benchmarks.sandbox.figures import table


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mesh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="row", help=f"all by default: {', '.join(BARS)}")
    parser.add_argument("--quick", action="store_true", help="little of everything: to see that it works")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(BARS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    measurement = Measurement(arguments.rows or list(BARS), QUICK if arguments.quick else FULL)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, Linux {platform.release()}, load {load:.1f}")
    if load > 1:
        print("something else is at work on this machine: quote none of these figures")
    asyncio.run(measurement.run())
    print()
    rows = [measurement.rows[name] for name in BARS if name in measurement.rows]
    print(table(rows))
    missed = sum(row.verdict == "MISS" for row in rows)
    print(f"\n{missed} of {len(rows)} rows MISS their bar; the status is 0 all the same")


if __name__ == "__main__":
    main()
