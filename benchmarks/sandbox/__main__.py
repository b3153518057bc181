"""The sandbox's speed and what it leaves behind: `make bench-sandbox`.

The service is the real one, a process of its own, and is called over gRPC from this process, on the same cores. Every
figure stands beside its denominator from the same run, taken in turns with it. A bar that is not reached says MISS; the
status is 0 all the same, since a busy machine is no error.

    python -m benchmarks.sandbox [--quick] [row ...]
"""

from benchmarks.command import measure
from benchmarks.sandbox.rows import BARS, FULL, QUICK, Measurement

if __name__ == "__main__":
    measure("benchmarks.sandbox", __doc__, BARS, (FULL, QUICK), Measurement)
