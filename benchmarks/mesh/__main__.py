"""The mesh's throughput, and what growing costs it: `make bench-mesh`.

The services are the real ones, processes of their own, and are called over gRPC from this process, on the same cores.
Every ratio stands beside its denominator from the same run, taken in turns with it. A bar that is not reached says
MISS; the status is 0 all the same, since a busy machine is no error.

    python -m benchmarks.mesh [--quick] [row ...]
"""

from benchmarks.command import measure
from benchmarks.mesh.rows import BARS, FULL, QUICK, Measurement

if __name__ == "__main__":
    measure("benchmarks.mesh", __doc__, BARS, (FULL, QUICK), Measurement)
