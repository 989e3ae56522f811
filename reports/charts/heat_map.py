"""Heat maps: layers by steps, or cores by time, as a handful of SVG paths, one a shade."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from reports.charts.plot import Plot
from reports.charts.shades import OFF_SCALE, ShadeScale
from reports.charts.svg import WIDTH, Point, circle, element, path, rectangle, text
from reports.charts.ticks import nice_ticks
from reports.units import shortened

_NAMES: Final = 214  # pixels left of the cells
_VALUES: Final = 58  # right of them
MOST_COLUMNS: Final = 200  # what keeps a page with 161 layers below 3 MB

Values = Sequence[Sequence[float | None]]


@dataclass(frozen=True)
class Mark:
    """A cell to point at. row, column: counted from 0 in the map's rows and columns; text: why."""

    row: int
    column: int
    text: str


@dataclass(frozen=True)
class HeatMap:
    """What a heat map shows. rows: names; columns: steps, rising; values: one row a name, None where there is none.

    key: a word of its own on the page. label: what a screen reader says.
    """

    key: str
    label: str
    rows: Sequence[str]
    columns: Sequence[float]
    values: Values
    scale: ShadeScale
    axis: str = "training step"
    marks: Sequence[Mark] = ()


def binned(values: Values, most: int = MOST_COLUMNS) -> tuple[list[list[float | None]], int]:
    """Neighbouring columns together, so that at most `most` are left, and how many are one now.

    A cell is the mean of its finite values; one NaN makes it NaN, else one infinity infinite.
    """
    columns = max(map(len, values), default=0)
    group = math.ceil(columns / most) or 1
    return [[_mean(row[k : k + group]) for k in range(0, columns, group)] for row in values], group


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if any(map(math.isnan, known)):
        return math.nan
    if not known or any(map(math.isinf, known)):
        return math.inf if known else None
    return math.fsum(value / len(known) for value in known)


def cells(
    values: Values, edges: Sequence[float], top: float, height: float, scale: ShadeScale, key: str
) -> list[Markup]:
    """The cells alone. edges: x of the columns' sides, one more than columns; height: of a row, in pixels."""
    boxes: dict[str, list[str]] = {}
    for number, row in enumerate(values):
        shades = [scale.shade(value) for value in row]
        start = 0
        for end in range(1, len(shades) + 1):
            if end < len(shades) and shades[end] == shades[start]:
                continue
            shade = shades[start]
            if shade is not None:
                left = round(edges[start], 1)
                width, high = _tenths(round(edges[end], 1) - left), _tenths(height)
                box = f"M{_tenths(left)} {_tenths(top + number * height)}h{width}v{high}h-{width}z"
                boxes.setdefault(shade, []).append(box)
            start = end
    drawn = [_pattern(f"{key}-{shade}", shade) for shade in OFF_SCALE if shade in boxes]
    for shade, parts in boxes.items():
        fill = {"fill": f"url(#{key}-{shade})"} if shade in OFF_SCALE else {}
        drawn.append(path("".join(parts), f"cell {shade}", **fill))
    return drawn


def _tenths(pixels: float) -> str:
    return f"{round(pixels, 1):g}"


def _pattern(id: str, shade: str) -> Markup:
    """Strokes as well as a colour: a cross for NaN, a plus for infinity, dots for 0."""
    strokes = {"nan": "M0 0L6 6M6 0L0 6", "inf": "M3 0V6M0 3H6", "zero": "M3 2.2V3.8"}[shade]
    ground = element("rect", width=6, height=6, class_=f"ground {shade}")
    return element(
        "pattern", ground + path(strokes, f"strokes {shade}"), id=id, width=6, height=6, patternUnits="userSpaceOnUse"
    )


def heat_map(data: HeatMap) -> Markup:
    """The whole drawing: names, cells, the last value of each named row, steps below, and the legend."""
    values, group = binned(data.values)
    rows, columns = len(values), len(values[0])
    height = max(5.0, min(18.0, 420.0 / rows))
    plot = Plot(WIDTH, height * rows, (_NAMES, _VALUES, 22.0), (0, columns), (rows, 0))
    plot.add(text((plot.right + 8, plot.top - 8), "last", anchor="start"))
    plot.add(text((plot.left - 8, plot.top - 8), "layer", anchor="end"))
    plot.add(*cells(values, [plot.x(k) for k in range(columns + 1)], plot.top, height, data.scale, data.key))
    _add_rows(plot, data, height)
    plot.add(rectangle((plot.left, plot.top), plot.width, plot.height, "around"))
    _add_steps(plot, data, group)
    for mark in data.marks:
        plot.add(_ring(plot.place(mark.column // group + 0.5, mark.row + 0.5), height, mark.text))
    present = {shade for row in values for shade in map(data.scale.shade, row) if shade is not None}
    plot.add(*data.scale.legend(present, data.key, plot.left, plot.bottom + 54))
    return plot.picture(data.label, below=92)


def _add_rows(plot: Plot, data: HeatMap, height: float) -> None:
    """Names and last values of as many rows as there is room for; every row says its figures to the pointer."""
    every = math.ceil(13 / height)
    for number, (name, row) in enumerate(zip(data.rows, data.values, strict=True)):
        if number % every == 0:
            last = next((value for value in reversed(row) if value is not None), None)
            middle = plot.y(number + 0.5) + 4
            plot.add(text((plot.left - 8, middle), shortened(name, 32), "tick small", "end"))
            plot.add(text((WIDTH - 4, middle), "" if last is None else data.scale.show(last), anchor="end"))
        plot.add(row_note((plot.left, plot.y(number)), plot.width, height, f"{name}: {_row_figures(data, row)}"))


def row_note(corner: Point, width: float, height: float, note: str) -> Markup:
    """A transparent bar over a row that shows `note` to the pointer."""
    return rectangle(corner, width, height, "rownote", note)


def _row_figures(data: HeatMap, row: Sequence[float | None]) -> str:
    """First, last, least and most of a row, with their steps."""
    saved = [(value, step) for value, step in zip(row, data.columns, strict=True) if value is not None]
    if not saved:
        return "not saved"
    show = data.scale.show
    finite = [(value, step) for value, step in saved if math.isfinite(value)]
    words = [f"first {show(saved[0][0])}", f"last {show(saved[-1][0])}"]
    if finite:
        (least, at_least), (most, at_most) = min(finite), max(finite)
        words.append(f"least {show(least)} at step {at_least:g}")
        words.append(f"most {show(most)} at step {at_most:g}")
    if len(finite) < len(saved):
        broken = next(step for value, step in saved if not math.isfinite(value))
        words.append(f"NaN or infinite first at step {broken:g}")
    return ", ".join(words)


def _add_steps(plot: Plot, data: HeatMap, group: int) -> None:
    """Steps under the cells: of the columns nearest to round numbers."""
    steps = data.columns
    wanted = nice_ticks(steps[0], steps[-1], 10)
    nearest = sorted({min(range(len(steps)), key=lambda k: abs(steps[k] - tick)) for tick in wanted})
    plot.x_axis([k // group + 0.5 for k in nearest], [f"{steps[k]:g}" for k in nearest], data.axis)


def _ring(centre: Point, height: float, note: str) -> Markup:
    radius = max(3.5, min(6.0, height / 2))
    return circle(centre, radius, "halo") + circle(centre, radius, "ring", note)
