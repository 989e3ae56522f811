"""Heat maps: layers by steps, or cores by time, as a handful of SVG paths, one a shade."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from reports.charts.axes import Scale, element, line, nice_ticks, picture, text

WIDTH: Final = 960
_NAMES: Final = 214  # pixels left of the cells
_VALUES: Final = 58  # right of them
MOST_COLUMNS: Final = 200  # what keeps a page with 161 layers below 3 MB
_SPECIAL: Final = {"nan": "NaN", "inf": "\u221e", "zero": "0"}

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
    scale: Scale
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
    found = [value for value in values if value is not None]
    if any(map(math.isnan, found)):
        return math.nan
    if not found or any(map(math.isinf, found)):
        return math.inf if found else None
    return math.fsum(value / len(found) for value in found)


def cells(values: Values, edges: Sequence[float], top: float, height: float, scale: Scale, key: str) -> list[Markup]:
    """The cells alone. edges: x of the columns' sides, one more than columns; height: of a row, in pixels."""
    paths: dict[str, list[str]] = {}
    for number, row in enumerate(values):
        shades = [scale.shade(value) for value in row]
        start = 0
        for end in range(1, len(shades) + 1):
            if end < len(shades) and shades[end] == shades[start]:
                continue
            shade = shades[start]
            if shade is not None:
                left = round(edges[start], 1)
                width = round(edges[end], 1) - left
                wide, high = _short(width), _short(height)
                box = f"M{_short(left)} {_short(top + number * height)}h{wide}v{high}h-{wide}z"
                paths.setdefault(shade, []).append(box)
            start = end
    found = [_pattern(f"{key}-{shade}", shade) for shade in _SPECIAL if shade in paths]
    for shade, parts in paths.items():
        fill = {"fill": f"url(#{key}-{shade})"} if shade in _SPECIAL else {}
        found.append(element("path", d="".join(parts), class_=f"cell {shade}", **fill))
    return found


def _short(value: float) -> str:
    return f"{round(value, 1):g}"


def _pattern(key: str, shade: str) -> Markup:
    """Strokes as well as a colour: a cross for NaN, a plus for infinity, dots for 0."""
    strokes = {"nan": "M0 0L6 6M6 0L0 6", "inf": "M3 0V6M0 3H6", "zero": "M3 2.2V3.8"}[shade]
    ground = element("rect", width=6, height=6, class_=f"ground {shade}")
    return element(
        "pattern", ground + element("path", d=strokes, class_=f"strokes {shade}"),
        id=key, width=6, height=6, patternUnits="userSpaceOnUse",
    )  # fmt: skip


def heat_map(given: HeatMap) -> Markup:
    """The whole drawing: names, cells, the last value of each named row, steps below, and the legend."""
    values, group = binned(given.values)
    columns = len(values[0])
    height = max(5.0, min(18.0, 420.0 / len(values)))
    left, right, top = _NAMES, WIDTH - _VALUES, 22.0
    edges = [left + (right - left) * k / columns for k in range(columns + 1)]
    bottom = top + height * len(values)
    found = [text((right + 8, top - 8), "last", anchor="start"), text((left - 8, top - 8), "layer", anchor="end")]
    found += [*cells(values, edges, top, height, given.scale, given.key), *_names(given, top, height)]
    found.append(element("rect", x=left, y=top, width=right - left, height=bottom - top, class_="around"))
    found += _steps(given, edges, group, bottom)
    found += [_mark(mark, edges, group, top, height) for mark in given.marks]
    present = {shade for row in values for shade in map(given.scale.shade, row) if shade is not None}
    found += legend(given.scale, present, given.key, left, bottom + 54)
    return picture(WIDTH, bottom + 92, given.label, [element("g", Markup("").join(found), class_="heat")])


def _names(given: HeatMap, top: float, height: float) -> list[Markup]:
    """Names and last values of as many rows as there is room for, and for every row a transparent bar that tells."""
    each = math.ceil(13 / height)
    found = []
    for number, (name, row) in enumerate(zip(given.rows, given.values, strict=True)):
        y = top + number * height
        if number % each == 0:
            last = next((value for value in reversed(row) if value is not None), None)
            middle = y + height / 2 + 4
            found.append(text((_NAMES - 8, middle), shortened(name, 32), "tick small", anchor="end"))
            found.append(text((WIDTH - 4, middle), "" if last is None else given.scale.show(last), anchor="end"))
        note = element("title", f"{name}: {_told(given, row)}")
        found.append(element("rect", note, x=_NAMES, y=y, width=WIDTH - _NAMES - _VALUES, height=height, class_="told"))
    return found


def _told(given: HeatMap, row: Sequence[float | None]) -> str:
    """First, last, least and most of a row, with their steps."""
    found = [(value, step) for value, step in zip(row, given.columns, strict=True) if value is not None]
    if not found:
        return "not saved"
    show = given.scale.show
    finite = [each for each in found if math.isfinite(each[0])]
    words = [f"first {show(found[0][0])}", f"last {show(found[-1][0])}"]
    if finite:
        (least, at_least), (most, at_most) = min(finite), max(finite)
        words.append(f"least {show(least)} at step {at_least:g}")
        words.append(f"most {show(most)} at step {at_most:g}")
    if len(finite) < len(found):
        bad = next(step for value, step in found if not math.isfinite(value))
        words.append(f"NaN or infinite first at step {bad:g}")
    return ", ".join(words)


def shortened(name: str, most: int) -> str:
    """A name of at most `most` characters: what is too long loses its middle."""
    if len(name) <= most:
        return name
    tail = (most - 1) * 2 // 3
    return f"{name[: most - 1 - tail]}\u2026{name[-tail:]}"


def _steps(given: HeatMap, edges: Sequence[float], group: int, bottom: float) -> list[Markup]:
    """Steps under the cells: of the columns nearest to round numbers."""
    steps = list(given.columns)
    wanted = nice_ticks(steps[0], steps[-1], 10)
    nearest = sorted({min(range(len(steps)), key=lambda k: abs(steps[k] - tick)) for tick in wanted})
    found, last = [], -math.inf
    for k in nearest:
        x = (edges[k // group] + edges[k // group + 1]) / 2
        words = f"{steps[k]:g}"
        if x - last < 7 * len(words) + 10:
            continue
        last = x
        found += [line((x, bottom), (x, bottom + 4), "tickmark"), text((x, bottom + 17), words)]
    return [*found, text(((edges[0] + edges[-1]) / 2, bottom + 35), given.axis, "axis")]


def _mark(mark: Mark, edges: Sequence[float], group: int, top: float, height: float) -> Markup:
    column = mark.column // group
    x, y = (edges[column] + edges[column + 1]) / 2, top + (mark.row + 0.5) * height
    radius = max(3.5, min(6.0, height / 2))
    halo = element("circle", cx=x, cy=y, r=radius, class_="halo")
    ring = element("circle", element("title", mark.text), cx=x, cy=y, r=radius, class_="ring")
    return halo + ring


def legend(scale: Scale, present: set[str], key: str, left: float, top: float) -> list[Markup]:
    """A box a shade, the limits between them, and boxes for what has no place on the scale but occurs."""
    wide = 44.0
    found = [
        element("rect", x=left + k * wide, y=top, width=wide, height=12, class_=f"cell {shade}")
        for k, shade in enumerate(scale.classes)
    ]
    found += [text((left + (k + 1) * wide, top + 27), scale.show(limit)) for k, limit in enumerate(scale.limits)]
    x = left + len(scale.classes) * wide + (22 if scale.limits else 170)
    for shade, words in _SPECIAL.items():
        if shade in present:
            fill = f"url(#{key}-{shade})"
            found.append(element("rect", x=x, y=top, width=30, height=12, class_=f"cell {shade}", fill=fill))
            found.append(text((x + 15, top + 27), words))
            x += 48
    if not scale.limits:
        found.append(text((left + wide + 8, top + 10), "the same everywhere", anchor="start"))
    return found
