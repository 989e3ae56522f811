"""The charts: reliability diagram, learning curves, a class's curve, an interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from train.report.svg import Point, element, line, picture, polyline, text

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
