"""The rows of the table: what was measured, against what, and the bar."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Side(Enum):
    """On which side of a bar a figure has to be."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True)
class Bar:
    """What a row is called, and what it has to reach, in `unit`s: of its `denominator` where it has one."""

    what: str
    side: Side
    limit: float
    unit: str
    denominator: str = ""

    def met_by(self, measured: float) -> bool:
        return measured <= self.limit if self.side is Side.AT_MOST else measured >= self.limit

    def __str__(self) -> str:
        return f"{self.side.value} {self.limit:,g} {self.unit}"


@dataclass(frozen=True)
class Row:
    """One line of the table; `notes` are printed below it."""

    what: str
    figure: str
    denominator: str
    measured: str
    bar: str
    verdict: str
    notes: Sequence[str] = field(default=())

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.what, self.figure, self.denominator, self.measured, self.bar, self.verdict)


HEADER = Row("what", "figure", "denominator", "measured", "bar", "")


def judged(bar: Bar, figure: str, denominator: str, measured: float, notes: Sequence[str] = ()) -> Row:
    """A row with its verdict."""
    met = bar.met_by(measured)
    digits = f"{measured:,.0f}" if measured >= 100 or measured.is_integer() else f"{measured:.2f}"
    against = f"{denominator} {bar.denominator}".strip()
    return Row(bar.what, figure, against, f"{digits} {bar.unit}", str(bar), "PASS" if met else "MISS", notes)


def missing(bar: Bar, why: str) -> Row:
    """A row that cannot be measured on this machine."""
    return Row(bar.what, "", "", "", str(bar), "NOT HERE", [why])


def table(rows: Sequence[Row]) -> str:
    """The rows under each other."""
    lines = [HEADER, *rows]
    widths = [max(map(len, column)) for column in zip(*(row.cells for row in lines), strict=True)]
    text = []
    for row in lines:
        text.append("  ".join(cell.ljust(width) for cell, width in zip(row.cells, widths, strict=True)).rstrip())
        text += [f"    {note}" for note in row.notes]
    return "\n".join(text)


def ms(seconds: Sequence[float]) -> str:
    """The median, in milliseconds."""
    return f"{statistics.median(seconds) * 1000:.2f} ms"


def spread_ms(seconds: Sequence[float]) -> str:
    """The median with the middle half."""
    low, median, high = statistics.quantiles(seconds, n=4)
    return f"{median * 1000:8.2f} ms  (half of {len(seconds)} within {low * 1000:.2f} to {high * 1000:.2f})"


def spread_rate(rates: Sequence[float]) -> str:
    """The median with the least and the most."""
    return f"{statistics.median(rates):.1f}/s ({min(rates):.1f} to {max(rates):.1f})"
