"""SVG, element by element, with every attribute and text escaped; linear axes, and the charts of one axis or two.

Which shade a value gets on a heat map: shades are CSS classes, to which page.css gives their colours.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

from reports.page import visible
from reports.units import figure

Point = tuple[float, float]


def element(name: str, content: str | Markup = "", **attributes: object) -> Markup:
    """`<name attributes>content</name>`; attributes' underscores become hyphens, `class_` becomes class."""
    parts = [name]
    for key, value in attributes.items():
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(visible(value))
        parts.append(f'{key.rstrip("_").replace("_", "-")}="{escape(text)}"')
    return Markup("<{}>{}</{}>").format(Markup(" ".join(parts)), visible(content), Markup(name))  # noqa: S704


def picture(width: float, height: float, label: str, content: Sequence[Markup]) -> Markup:
    """A whole drawing that scales with its surroundings; `label` is what a screen reader says."""
    return element(
        "svg",
        Markup("").join(content),
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        role="img",
        aria_label=label,
    )


def line(start: Point, end: Point, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def polyline(points: Sequence[Point], class_: str) -> Markup:
    """A line through the points."""
    return element("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=class_)


def text(place: Point, words: str, class_: str = "tick", anchor: str = "middle") -> Markup:
    """Words at a place; anchor: start, middle or end."""
    return element("text", words, x=place[0], y=place[1], class_=class_, text_anchor=anchor)


_MOST_POINTS: Final = 400


@dataclass(frozen=True)
class Frame:
    """A plot's place on the drawing (pixels) and what its sides stand for."""

    left: float
    top: float
    width: float
    height: float
    low: Point = (0.0, 0.0)
    high: Point = (1.0, 1.0)

    def place(self, x: float, y: float) -> Point:
        """Where a value lies on the drawing."""
        across = (x - self.low[0]) / ((self.high[0] - self.low[0]) or 1)
        up = (y - self.low[1]) / ((self.high[1] - self.low[1]) or 1)
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def grid(self, ticks: Sequence[float], names: Sequence[str]) -> list[Markup]:
        """Horizontal lines at the values, named on the left."""
        found = []
        for value, name in zip(ticks, names, strict=True):
            y = self.place(self.low[0], value)[1]
            found.append(line((self.left, y), (self.left + self.width, y), "grid"))
            found.append(text((self.left - 8, y + 4), name, anchor="end"))
        return found

    def below(self, ticks: Sequence[float], names: Sequence[str], title: str) -> list[Markup]:
        """Names under the plot, and what they stand for."""
        bottom = self.top + self.height
        found = [
            text((self.place(value, self.low[1])[0], bottom + 18), name)
            for value, name in zip(ticks, names, strict=True)
        ]
        return [*found, text((self.left + self.width / 2, bottom + 38), title, "axis")]


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`, `about` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def reliability_diagram(before: Mapping[str, Any], after: Mapping[str, Any]) -> Markup:
    """Accuracy over confidence, bin by bin; the diagonal is what perfect probabilities would give."""
    frame = Frame(52, 12, 410, 300)
    shares = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    names = [f"{100 * share:.0f} %" for share in shares]
    found = [*frame.grid(shares, names), *frame.below(shares, names, "confidence")]
    for each in after["reliability"]:
        if each["n"]:
            left, top = frame.place(each["low"], each["accuracy"])
            right, bottom = frame.place(each["high"], 0)
            note = _bin_note(each)
            found.append(
                element(
                    "rect", element("title", note),
                    x=left + 1, y=top, width=right - left - 2, height=max(bottom - top, 1.5), class_="bar",
                )
            )  # fmt: skip
    found.append(line(frame.place(0, 0), frame.place(1, 1), "ideal"))
    for each in before["reliability"]:
        if each["n"]:
            x, y = frame.place(each["confidence"], each["accuracy"])
            found.append(element("path", d=f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z", class_="marker"))
    label = (
        f"Reliability diagram: accuracy over confidence in {len(after['reliability'])} bins; expected calibration "
        f"error {100 * after['ece']:.1f} % with the temperature, {100 * before['ece']:.1f} % without"
    )
    return picture(484, 356, label, found)


def _bin_note(each: Mapping[str, Any]) -> str:
    return (
        f"{each['n']} images with a confidence of {100 * each['confidence']:.0f} % on average: "
        f"{100 * each['accuracy']:.0f} % are right"
    )


def learning_curve(
    epochs: Sequence[Mapping[str, Any]], quantity: str, best_epoch: int | None, percent: bool
) -> Markup | None:
    """Training (dashed) and validation (solid) of `accuracy` or `loss` over the epochs; None without any value."""
    series = {name: _series(epochs, f"{name}_{quantity}") for name in ("train", "validation")}
    values = [y for points in series.values() for _, y in points]
    if not values:
        return None
    last = max(x for points in series.values() for x, _ in points)
    first = min(x for points in series.values() for x, _ in points)
    low = 0.0 if percent or min(values) > 0 else min(values)
    high = 1.0 if percent else max(values) * 1.05
    frame = Frame(52, 12, 410, 250, (first, low), (last, high if high > low else low + 1))
    ticks = nice_ticks(low, frame.high[1])
    found = frame.grid(ticks, [f"{100 * y:.0f} %" if percent else f"{y:.4g}" for y in ticks])
    steps = sorted({round(x) for x in nice_ticks(first, last, 6)} | {first})
    if len(steps) > 1 and steps[1] - steps[0] < (last - first) / 10:
        del steps[1]
    found += frame.below(steps, [f"{x:g}" for x in steps], "epoch")
    if best_epoch is not None and first <= best_epoch <= last:
        x = frame.place(best_epoch, 0)[0]
        found.append(line((x, frame.top), (x, frame.top + frame.height), "best"))
    for name, points in series.items():
        drawn = [frame.place(x, y) for x, y in points]
        found.append(polyline(drawn, name))
        if len(drawn) == 1:
            found.append(element("circle", cx=drawn[0][0], cy=drawn[0][1], r=3.5, class_=f"{name} dot"))
    return picture(484, 306, _curve_label(series, quantity, percent), found)


def _series(epochs: Sequence[Mapping[str, Any]], name: str) -> list[Point]:
    points = [(float(each["epoch"]), float(each[name])) for each in epochs if name in each]
    step = math.ceil(len(points) / _MOST_POINTS) or 1
    # The last one is where training ended: it stays.
    return points[:-1:step] + points[-1:]


def _curve_label(series: Mapping[str, Sequence[Point]], quantity: str, percent: bool) -> str:
    ends = []
    for name, points in series.items():
        if points:
            value = f"{100 * points[-1][1]:.1f} %" if percent else f"{points[-1][1]:.3g}"
            ends.append(f"{name} {quantity} ends at {value}")
    return f"Learning curve, {quantity} over epochs: {', '.join(ends)}"


def class_curve(label: str, shares: Sequence[float], threshold: float) -> Markup:
    """One class's validation accuracy over the epochs, small; the dashed line is `threshold`."""
    frame = Frame(3, 3, 154, 34, (0, 0), (max(len(shares) - 1, 1), 1))
    points = _series([{"epoch": number, "share": share} for number, share in enumerate(shares)], "share")
    drawn = [frame.place(x, y) for x, y in points]
    middle = frame.place(0, threshold)[1]
    found = [line((frame.left, middle), (frame.left + frame.width, middle), "ideal"), polyline(drawn, "validation")]
    found.append(element("circle", cx=drawn[-1][0], cy=drawn[-1][1], r=2.5, class_="validation dot"))
    words = f"{label}: validation accuracy from {100 * shares[0]:.0f} % to {100 * shares[-1]:.0f} %"
    return picture(160, 40, words, found)


def interval(low: float, value: float, high: float) -> Markup:
    """A share and its interval on a line from 0 to 100 %."""
    frame = Frame(6, 4, 208, 12)
    (left, y), (middle, _), (right, _) = (frame.place(x, 0.5) for x in (low, value, high))
    found = [
        line((frame.left, y), (frame.left + frame.width, y), "grid"),
        line((left, y), (right, y), "range"),
        element("circle", cx=middle, cy=y, r=4.5, class_="validation dot"),
    ]
    return picture(220, 20, f"{100 * value:.1f} %, 95 % interval {100 * low:.1f} to {100 * high:.1f} %", found)


def difference(low: float, value: float, high: float) -> Markup:
    """A difference and its interval on a line around 0 that is as wide as they need."""
    reach = max(abs(low), abs(high), 0.01) * 1.15
    frame = Frame(10, 6, 400, 26, (-reach, 0), (reach, 1))
    ticks = [tick for tick in nice_ticks(-reach, reach, 6) if abs(tick) <= reach]
    (left, y), (middle, _), (right, _) = (frame.place(x, 0.5) for x in (low, value, high))
    zero = frame.place(0, 0)[0]
    found = [
        line((frame.left, y), (frame.left + frame.width, y), "grid"),
        line((zero, frame.top), (zero, frame.top + frame.height), "ideal"),
        line((left, y), (right, y), "range"),
        element("circle", cx=middle, cy=y, r=5.5, class_="validation dot"),
        *(text((frame.place(tick, 0)[0], 50), f"{100 * tick:+.3g}" if abs(tick) > 1e-9 else "0") for tick in ticks),
    ]
    words = f"Difference {100 * value:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    return picture(420, 58, words, found)


SHADES: Final = 11
_MOST_STEPS: Final = SHADES - 1
# How far a value may lie from the rest before the scale ends short of it.
_TAIL: Final = 0.01
# Below 0.0001 and above 0.01 an update is ten times off the rule of thumb of 0.001 (UPDATE_SOURCE).
UPDATE_STEPS: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
UPDATE_SOURCE: Final = "CS231n, Neural Networks Part 3, \u201cRatio of weights:updates\u201d"
_UPDATE_CLASSES: Final = ("c4", "c3", "c2", "c1", "n0", "n1", "w1", "w2", "w3", "w4")


@dataclass(frozen=True)
class Scale:
    """Rising limits between the shades, and the classes: one more than limits. A limit belongs to the shade above."""

    limits: tuple[float, ...]
    classes: tuple[str, ...]
    show: Callable[[float], str] = figure
    logarithmic: bool = False  # so that 0 has no place on it

    def shade(self, value: float | None) -> str | None:
        """The class of a value: `nan`, `inf`, `zero` (on a logarithmic scale) or a shade; None where there is none."""
        if value is None:
            return None
        if math.isnan(value):
            return "nan"
        if math.isinf(value):
            return "inf"
        if self.logarithmic and value <= 0:
            return "zero"
        return self.classes[bisect_right(self.limits, value)]


def logarithmic_scale(values: Iterable[float | None]) -> Scale:
    """Round limits (1, 2, 5 times a power of ten, or only powers) that cover all but the extreme hundredths."""
    found = sorted(value for value in values if value is not None and 0 < value < math.inf)
    if not found:
        return Scale((), (_shade(0.5),), logarithmic=True)
    low, high = found[int(_TAIL * len(found))], found[-1 - int(_TAIL * len(found))]
    limits = _round_limits(low, high)
    if len(limits) < 3:
        limits = [tick for tick in nice_ticks(low, high, SHADES - 3) if low < tick < high][:_MOST_STEPS]
    return Scale(tuple(limits), _spread(len(limits)), logarithmic=True)


def _round_limits(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    limits: list[float] = []
    for factors, decades in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 5), ((1,), 10)):
        limits = [f * 10.0**power for power in range(first - first % decades, last + 1, decades) for f in factors]
        limits = [limit for limit in limits if low < limit <= high]
        if len(limits) <= _MOST_STEPS:
            return limits
    return limits[:: math.ceil(len(limits) / _MOST_STEPS)]


def share_scale(most: float = 1.0) -> Scale:
    """Tenths of `most`; shown in percent. most: 1 for shares, 100 for percentages."""
    return Scale(
        tuple(most * tenth / 10 for tenth in range(1, 10)), _spread(9), lambda value: f"{100 * value / most:.0f} %"
    )


def update_scale() -> Scale:
    """Decades around 0.001, cold below a ten-thousandth, warm above a hundredth."""
    return Scale(UPDATE_STEPS, _UPDATE_CLASSES, logarithmic=True)


def _spread(limits: int) -> tuple[str, ...]:
    """Classes for so many limits, spread over all shades."""
    return tuple(_shade(number / limits) for number in range(limits + 1)) if limits else (_shade(0.5),)


def _shade(share: float) -> str:
    return f"s{round(share * (SHADES - 1))}"


def flat(values: Sequence[Sequence[float | None]]) -> list[float | None]:
    """All values of the rows."""
    return [value for row in values for value in row]
