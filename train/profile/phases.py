"""Where the time of a training step goes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from train.profile.recording import PHASES, FloatArray, Steps

WAITING: Final = 15.0  # percent of a step spent waiting for data, from which on loading is too slow


def phases(steps: Steps) -> list[str]:
    """The parts that were timed; none where steps are known as a whole alone."""
    return [phase for phase in PHASES if phase in steps.names()]


def phase_shares(steps: Steps) -> dict[str, float]:
    """Share, from 0 to 1, of each part in the time of the judged steps; empty where that is unknown."""
    if not len(steps):
        return {}
    judged = steps.judged()
    total = float(np.nansum(steps["seconds"][judged]))
    if not total > 0:
        return {}
    return {phase: float(np.nansum(steps[phase][judged])) / total for phase in phases(steps)}


def slowest_phases(steps: Steps, indices: NDArray[np.int64]) -> list[str | None]:
    """For each of these steps, the part that took longest beyond its own median over the judged steps."""
    named = phases(steps)
    if not named or not len(indices):
        return [None] * len(indices)
    judged = steps.judged()
    beyond = []
    for phase in named:
        times = steps[phase]
        beyond.append(np.nan_to_num(times[indices] - np.nanmedian(times[judged]), nan=-np.inf))
    return [named[which] for which in np.argmax(beyond, axis=0).tolist()]


def judged_seconds(steps: Steps) -> FloatArray:
    """Seconds of the judged steps."""
    return steps["seconds"][steps.judged()] if len(steps) else np.zeros(0)
