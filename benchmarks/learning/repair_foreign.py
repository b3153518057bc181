"""Functions of the standard library with a mistake that was drawn: how many are repaired, how many of these wrongly.

Done and judged as row `repair` is, with its budget and its bars. Nobody who knew the repair operators wrote the
functions or chose the mistakes; the calls that test them are this benchmark's.
"""

from collections.abc import Collection, Mapping
from typing import Final

from autodev_learning.trial import SandboxTester
from benchmarks.figures import Bar, Row, Side
from benchmarks.learning.effort import Effort
from benchmarks.learning.foreign import programs
from benchmarks.learning.repair_classic import QUICK, repaired
from tests.unit.learning.sandboxed import namespace_execute

BARS: Final[Mapping[str, Bar]] = {
    "repair-foreign": Bar("functions of the standard library with a drawn mistake repaired", Side.AT_LEAST, 60, "%"),
    "repair-foreign-overfit": Bar("of what was proposed for them, overfit", Side.AT_MOST, 5, "%"),
    "repair-foreign-seconds": Bar("processor time for such a function, mean", Side.AT_MOST, 5, "s"),
}


async def measure(names: Collection[str], effort: Effort) -> Mapping[str, Row]:
    """Repair the programs; the three rows come from the same run."""
    execute = await namespace_execute()
    found, missing = await programs(effort.seed, SandboxTester(execute))
    notes = [f"not in this Python: {', '.join(missing)}"] if missing else []
    rows = await repaired(found[::QUICK] if effort.quick else found, BARS, effort.seed, execute, notes)
    return {name: row for name, row in rows.items() if name in names}
