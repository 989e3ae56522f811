"""Numbers about numbers: percentiles, thinning, outliers. NaN means that nothing was measured, and is left out."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.profiler.recording import FloatArray

PERCENTILES = (("p99", 99.0), ("p95", 95.0), ("p50", 50.0))


def percentile(values: FloatArray, share: float) -> float:
    """By linear interpolation between the two nearest values (numpy's `linear`); NaN for no values."""
    known = values[np.isfinite(values)]
    return float(np.percentile(known, share)) if len(known) else math.nan


def mean(values: FloatArray) -> float:
    """NaN for no values."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def describe(values: FloatArray) -> dict[str, float] | None:
    """max, p99, p95, p50, min and mean; None for no values."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    found = {"max": float(known.max())}
    found |= {name: float(np.percentile(known, share)) for name, share in PERCENTILES}
    return found | {"min": float(known.min()), "mean": float(known.mean())}


def thin(values: FloatArray, most: int) -> FloatArray:
    """At most `most` values: the means of equally many neighbours each (the last of what is left)."""
    if len(values) <= most:
        return values
    size = math.ceil(len(values) / most)
    padded = np.full(math.ceil(len(values) / size) * size, math.nan)
    padded[: len(values)] = values
    groups = padded.reshape(-1, size)
    known = np.isfinite(groups)
    count = known.sum(axis=1)
    total = np.where(known, groups, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Indices of at most `most` of `count` things, spread evenly, the first and the last among them."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def outliers(seconds: FloatArray, judged: NDArray[np.bool_], deviations: float) -> tuple[NDArray[np.int64], float]:
    """(indices of the judged values above the limit, limit).

    The limit is mean + deviations x standard deviation (population's) of all judged values, the outliers included: of
    n values none can be above it unless deviations < sqrt(n - 1).
    """
    known = judged & np.isfinite(seconds)
    if not known.any():
        return np.zeros(0, dtype=np.int64), math.nan
    limit = float(seconds[known].mean() + deviations * seconds[known].std())
    return np.flatnonzero(known & (seconds > limit)), limit


def spans(held: NDArray[np.bool_], gap: int = 0) -> list[tuple[int, int]]:
    """(first, last) of each run of True; runs with at most `gap` False between them are one."""
    found: list[tuple[int, int]] = []
    for index in np.flatnonzero(held).tolist():
        if found and index - found[-1][1] <= gap + 1:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return found


def plain(value: Any, digits: int = 8) -> Any:
    """For JSON: numbers with `digits` significant digits, NaN and infinity as None, arrays as lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(each, digits) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return [plain(each, digits) for each in value.tolist()]
    if isinstance(value, list | tuple):
        return [plain(each, digits) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(f"{value:.{digits}g}")
    return value
