"""Where the time of a training step goes, from marks at the beginning of each phase."""

import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.profiler.recording import PHASES, FloatArray, Steps

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


STEP_PHASES: Final = ("data", "copy", "forward", "backward", "optimizer", "hook")
# They come once an epoch and are rows of their own.
EPOCH_PHASES: Final = ("validation", "checkpoint")


class Timer(Protocol):
    """Marks points in time and measures, maybe only later, how far apart they are."""

    def mark(self) -> Any: ...

    def ready(self, mark: Any, /) -> bool:
        """Whether `seconds` can read this mark without waiting."""
        ...

    def seconds(self, first: Any, second: Any) -> float: ...

    def settle(self, mark: Any, /) -> None:
        """Wait until the mark is ready."""
        ...

    def reuse(self, marks: list[Any], /) -> None:
        """Nobody asks for these any more."""
        ...


class HostTimer:
    """The process's own clock: what a CPU does is done when the call returns."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.mark = clock

    def ready(self, _mark: float) -> bool:
        return True

    def seconds(self, first: float, second: float) -> float:
        return second - first

    def settle(self, _mark: float) -> None:
        pass

    def reuse(self, _marks: list[float]) -> None:
        pass


@dataclass
class _Row:
    """A row whose times are not all known yet: phases[i] lasted from marks[i] to marks[i + 1]."""

    about: dict[str, Any]
    phases: list[str]
    marks: list[Any]
    observed: dict[str, float]


class Anatomy:
    """Turns marks into rows for steps.jsonl, which `write` gets in order, each as soon as its times are known.

    A step begins with its data and ends when the next one begins. Time that belongs to no whole step (the end of the
    data, a step that failed) is in no row.
    """

    def __init__(
        self, write: Callable[[dict[str, Any]], None], timer: Timer, wall: Callable[[], float] = time.time
    ) -> None:
        self._write = write
        self._timer = timer
        self._wall = wall
        self._phases: list[str] = []
        self._marks: list[Any] = []
        self._began = 0.0
        self._step: dict[str, Any] | None = None  # the step that is over but for its hooks
        self._waiting: deque[_Row] = deque()

    def phase(self, phase: str, epoch: int, observed: MutableMapping[str, float]) -> None:
        """`phase` begins. observed: seconds that observers spent within phases since the last row; emptied."""
        mark = self._timer.mark()
        if self._phases:
            last = self._phases[-1]
            if self._step is not None and phase != "hook":
                self._close({**self._step, "t": round(self._began, 4)}, mark, observed)
            elif last in EPOCH_PHASES:
                self._close({"mode": "EVAL", "epoch": epoch, "t": round(self._began, 4)}, mark, observed)
            elif phase in ("data", *EPOCH_PHASES, "other"):
                self.restart()
        if not self._phases:
            self._began = self._wall()
        self._phases.append(phase)
        self._marks.append(mark)

    def step_done(self, step: int, epoch: int, recorded: bool) -> None:
        """The running phases were those of this step. recorded: while its operators were."""
        self._step = {"step": step, "epoch": epoch, **({"recorded": True} if recorded else {})}

    def restart(self) -> None:
        """Forget what has been marked since the last row."""
        # The first mark may be the last one of a row that still waits.
        self._timer.reuse(self._marks[1:])
        self._phases, self._marks, self._step = [], [], None

    def finish(self) -> None:
        """Write the rows that are still waiting for their times."""
        if self._waiting:
            self._timer.settle(self._waiting[-1].marks[-1])
            self._drain()

    def _close(self, about: dict[str, Any], mark: Any, observed: MutableMapping[str, float]) -> None:
        self._waiting.append(_Row(about, self._phases, [*self._marks, mark], dict(observed)))
        observed.clear()
        self._phases, self._marks, self._step = [], [], None
        self._drain()

    def _drain(self) -> None:
        while self._waiting and self._timer.ready(self._waiting[0].marks[-1]):
            row = self._waiting.popleft()
            spans = [self._timer.seconds(first, second) for first, second in pairwise(row.marks)]
            self._write(_filled(row.about, row.phases, spans, row.observed))
            # The last mark is the next row's first.
            self._timer.reuse(row.marks[:-1])


def _filled(
    about: dict[str, Any], phases: list[str], spans: list[float], observed: Mapping[str, float]
) -> dict[str, Any]:
    if "mode" in about:
        own = max(0.0, sum(spans) - sum(observed.values()))
        return {**about, "seconds": round(own, 6), "phase": phases[0]}
    seconds = dict.fromkeys(STEP_PHASES, 0.0)
    for phase, span in zip(phases, spans, strict=True):
        seconds[phase] += span
    # An observer's hook within a layer runs in the layer's time.
    for phase, inside in observed.items():
        if phase in STEP_PHASES:
            taken = min(inside, seconds[phase])
            seconds[phase] -= taken
            seconds["hook"] += taken
    return {**about, **{phase: round(value, 6) for phase, value in seconds.items()}}
