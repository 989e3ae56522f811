"""Which shade a value gets on a heat map. Shades are CSS classes: page.css gives them their colours."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from train.report.charts import nice_ticks
from train.report.units import figure

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
