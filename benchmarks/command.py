"""The command line of a benchmark of rows: which, how much, and the table at the end."""

import argparse
import asyncio
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from benchmarks.figures import Bar, Row, table

Effort = TypeVar("Effort")


class Measurement(Protocol):
    """One run; `rows` is what was measured, by name."""

    rows: dict[str, Row]

    async def run(self) -> None:
        """Measure."""


def measure(
    package: str,
    about: str | None,
    bars: Mapping[str, Bar],
    efforts: tuple[Effort, Effort],
    begin: Callable[[Sequence[str], Effort], Measurement],
) -> None:
    """Read the arguments, measure, print. `efforts` are the full one and the quick one."""
    parser = parser_of(package, about, bars)
    arguments = parser.parse_args()
    run(begin(chosen(parser, arguments, bars), efforts[arguments.quick]), bars)


def parser_of(package: str, about: str | None, bars: Mapping[str, Bar]) -> argparse.ArgumentParser:
    """The arguments that every benchmark of rows takes."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {package}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="row", help=f"all by default: {', '.join(bars)}")
    parser.add_argument("--quick", action="store_true", help="little of everything: to see that it works")
    return parser


def chosen(parser: argparse.ArgumentParser, arguments: argparse.Namespace, bars: Mapping[str, Bar]) -> list[str]:
    """The rows that were asked for."""
    if unknown := set(arguments.rows) - set(bars):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    return arguments.rows or list(bars)


def run(measurement: Measurement, bars: Mapping[str, Bar]) -> None:
    """Measure, and print the table."""
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, Linux {platform.release()}, load {load:.1f}")
    if load > 1:
        print("something else is at work on this machine: quote none of these figures")
    asyncio.run(measurement.run())
    print()
    rows = [measurement.rows[name] for name in bars if name in measurement.rows]
    print(table(rows))
    missed = sum(row.verdict == "MISS" for row in rows)
    print(f"\n{missed} of {len(rows)} rows MISS their bar; the status is 0 all the same")
