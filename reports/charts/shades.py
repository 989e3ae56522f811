"""Which shade a value has on a heat map: shades are CSS classes, to which page.css gives their colours."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from reports.charts.svg import rectangle, text
from reports.charts.ticks import nice_ticks
from reports.units import figure

SHADES: Final = 11
_MOST_LIMITS: Final = SHADES - 1
# How far a value may lie from the rest before the scale ends short of it.
_TAIL: Final = 0.01
# Below 0.0001 and above 0.01 an update is ten times off the rule of thumb of 0.001 (UPDATE_SOURCE).
UPDATE_LIMITS: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
UPDATE_SOURCE: Final = "CS231n, Neural Networks Part 3, \u201cRatio of weights:updates\u201d"
_UPDATE_CLASSES: Final = ("c4", "c3", "c2", "c1", "n0", "n1", "w1", "w2", "w3", "w4")
# Values that are off the scale: their class, and their name in the legend.
OFF_SCALE: Final = {"nan": "NaN", "inf": "\u221e", "zero": "0"}
_BOX: Final = 44.0  # pixels of the legend for a shade


@dataclass(frozen=True)
class ShadeScale:
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

    def legend(self, present: set[str], key: str, left: float, top: float) -> list[Markup]:
        """A box a shade, the limits between them, and boxes for the values off the scale that are `present`.

        key: the heat map's own word on the page, whose patterns fill those boxes.
        """
        drawn = [
            rectangle((left + number * _BOX, top), _BOX, 12, f"cell {shade}")
            for number, shade in enumerate(self.classes)
        ]
        drawn += [
            text((left + number * _BOX, top + 27), self.show(limit)) for number, limit in enumerate(self.limits, 1)
        ]
        if not self.limits:
            drawn.append(text((left + _BOX + 8, top + 10), "the same everywhere", anchor="start"))
        x = left + len(self.classes) * _BOX + (22 if self.limits else 170)
        for shade in OFF_SCALE:
            if shade in present:
                drawn.append(rectangle((x, top), 30, 12, f"cell {shade}", fill=f"url(#{key}-{shade})"))
                drawn.append(text((x + 15, top + 27), OFF_SCALE[shade]))
                x += 48
        return drawn


def logarithmic_scale(rows: Iterable[Sequence[float | None]]) -> ShadeScale:
    """Round limits (1, 2, 5 times a power of ten, or only powers) that cover all but the extreme hundredths."""
    values = sorted(value for row in rows for value in row if value is not None and 0 < value < math.inf)
    if not values:
        return ShadeScale((), _spread(0), logarithmic=True)
    low, high = values[int(_TAIL * len(values))], values[-1 - int(_TAIL * len(values))]
    limits = _round_limits(low, high)
    if len(limits) < 3:
        limits = [tick for tick in nice_ticks(low, high, SHADES - 3) if low < tick < high][:_MOST_LIMITS]
    return ShadeScale(tuple(limits), _spread(len(limits)), logarithmic=True)


def _round_limits(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    limits: list[float] = []
    for factors, decades in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 5), ((1,), 10)):
        limits = [f * 10.0**power for power in range(first - first % decades, last + 1, decades) for f in factors]
        limits = [limit for limit in limits if low < limit <= high]
        if len(limits) <= _MOST_LIMITS:
            return limits
    return limits[:: math.ceil(len(limits) / _MOST_LIMITS)]


def share_scale(most: float = 1.0) -> ShadeScale:
    """Tenths of `most`; shown in percent. most: 1 for shares, 100 for percentages."""
    return ShadeScale(
        tuple(most * tenth / 10 for tenth in range(1, 10)), _spread(9), lambda value: f"{100 * value / most:.0f} %"
    )


def update_scale() -> ShadeScale:
    """Decades around 0.001, cold below a ten-thousandth, warm above a hundredth."""
    return ShadeScale(UPDATE_LIMITS, _UPDATE_CLASSES, logarithmic=True)


def _spread(limits: int) -> tuple[str, ...]:
    """The classes for so many limits, spread over all shades; the middle one for none."""
    shares = [number / limits for number in range(limits + 1)] if limits else [0.5]
    return tuple(f"s{round(share * (SHADES - 1))}" for share in shares)
