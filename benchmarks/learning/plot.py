"""Curves as an SVG file: panels beside each other, both axes by powers of ten."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH, HEIGHT = 460, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 34, 36, 46
COLOURS: Final = ("#1f6fb2", "#c2571a", "#2d8a4e", "#8a3ea8", "#7a6a00")
STYLE: Final = "text{font:12px sans-serif;fill:#222}.t{font-size:14px}.g{stroke:#ddd}.c{fill:none;stroke-width:1.6}"


@dataclass(frozen=True)
class Curve:
    """A stair: each height holds from its place to the next one's."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """Curves on the same axes. Heights below `lowest` are drawn there."""

    title: str
    across: str
    up: str
    lowest: float
    curves: Sequence[Curve]


def svg(panels: Sequence[Panel]) -> str:
    """The panels as the text of an SVG file."""
    width = WIDTH * len(panels)
    drawn = "\n".join(
        f'<g transform="translate({WIDTH * index} 0)">\n{_drawn(panel)}\n</g>' for index, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}">\n'
        f'<style>{STYLE}</style>\n<rect width="{width}" height="{HEIGHT}" fill="white"/>\n{drawn}\n</svg>\n'
    )


@dataclass(frozen=True)
class _Axes:
    right: int
    bottom: int
    top: int

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(max(1.0, value)) / self.right

    def y(self, value: float) -> float:
        power = max(self.bottom, math.log10(value)) if value > 0 else self.bottom
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.top - power) / (self.top - self.bottom)


def _drawn(panel: Panel) -> str:
    points = [point for curve in panel.curves for point in curve.points]
    heights = [max(panel.lowest, y) for _, y in points]
    bottom = math.floor(math.log10(min(heights)))
    axes = _Axes(
        right=max(1, math.ceil(math.log10(max(x for x, _ in points)))),
        bottom=bottom,
        top=max(bottom + 1, math.ceil(math.log10(max(heights)))),
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts = [
        f'<text class="t" x="{LEFT}" y="22">{panel.title}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{panel.across}</text>',
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{panel.up}</text>',
    ]
    for power in range(axes.right + 1):
        x = axes.x(10**power)
        parts.append(f'<path class="g" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{10**power:,}</text>')
    for power in range(axes.bottom, axes.top + 1, max(1, (axes.top - axes.bottom) // 6)):
        y = axes.y(10.0**power)
        parts.append(f'<path class="g" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for index, curve in enumerate(panel.curves):
        colour, at = COLOURS[index % len(COLOURS)], TOP + 16 * (index + 1)
        parts.append(f'<path class="c" stroke="{colour}" d="{_stair(curve, axes)}"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT - 4}" y="{at}" text-anchor="end" style="fill:{colour}">{curve.name}</text>'
        )
    return "\n".join(parts)


def _stair(curve: Curve, axes: _Axes) -> str:
    (first_x, first_y), *rest = curve.points
    steps = "".join(f"H{axes.x(x):.1f}V{axes.y(y):.1f}" for x, y in rest)
    return f"M{axes.x(first_x):.1f} {axes.y(first_y):.1f}{steps}"
