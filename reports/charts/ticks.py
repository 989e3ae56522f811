"""Where an axis has its ticks: round numbers, whole numbers, times."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

_TIME_STEPS_S: Final = (
    0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800,
)  # fmt: skip


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`, `about` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def whole_ticks(first: float, last: float, about: int) -> list[int]:
    """Round whole numbers from the first to the last, the first among them."""
    ticks = sorted({round(tick) for tick in nice_ticks(first, last, about)} | {round(first)})
    if len(ticks) > 1 and ticks[1] - ticks[0] < (last - first) / (2 * about):
        del ticks[1]
    return ticks


def round_top(values: Sequence[float]) -> float:
    """A round top for an axis that begins at 0, whose half is round as well."""
    most = max(values, default=0.0)
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * factor for factor in (1, 2, 4, 5, 8, 10) if power * factor >= most * 0.9999)


def time_ticks(end: float, most: int = 12) -> list[float]:
    """Round times from 0 to `end` seconds, `most` at most."""
    step = _TIME_STEPS_S[min(bisect_left([step * most for step in _TIME_STEPS_S], end), len(_TIME_STEPS_S) - 1)]
    step *= max(1, math.ceil(end / step / most))
    return [step * number for number in range(math.floor(end / step + 1e-9) + 1)]


def time_unit(end: float) -> str:
    """How the times of an axis up to `end` seconds are written: s, min:s or h:min."""
    return "s" if end < 120 else "min:s" if end < 7200 else "h:min"


def clock(time: float, end: float) -> str:
    """A time in seconds as an axis up to `end` writes it."""
    if end < 120:
        return f"{time:g}"
    high, low = divmod(round(time), 60) if end < 7200 else divmod(round(time / 60), 60)
    return f"{high}:{low:02d}"
