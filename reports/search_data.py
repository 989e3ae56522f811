"""What the tuning page's charts read of a tuning document: trials, objectives, and what the document leaves out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

from reports.charts.parameter_axes import ParameterAxis, parameter_axis
from reports.units import figure, percent, real, seconds

_SHARES: Final = ("accuracy", "f1")
_FALLBACK: Final = "validation_accuracy"  # what curves show of an objective that no epoch has


@dataclass(frozen=True)
class SearchObjective:
    """A metric, and whether more of it is better."""

    metric: str
    maximize: bool

    @property
    def name(self) -> str:
        """In words: `validation accuracy`."""
        return self.metric.removesuffix("_ms").replace("_", " ")

    @property
    def share(self) -> bool:
        """Whether it is a share of 1, shown in percent."""
        return self.metric.endswith(_SHARES)

    @property
    def axis(self) -> str:
        """What stands beside an axis: name, unit, and which end is the good one."""
        unit = " (ms)" if self.metric.endswith("_ms") else " (s)" if self.metric.endswith("seconds") else ""
        return f"{self.name}{unit}, {'higher' if self.maximize else 'lower'} is better"

    def show(self, value: float | None) -> str:
        """A value with its unit."""
        if value is None:
            return figure(None)
        if self.share:
            return percent(value, 2)
        if self.metric.endswith("_ms"):
            return seconds(value / 1000)
        return seconds(value) if self.metric.endswith("seconds") else figure(value, 4)

    def gain(self, new: float, old: float) -> float:
        """By how much `new` is better than `old`."""
        return new - old if self.maximize else old - new

    def best(self, values: Sequence[float]) -> float:
        """The best of at least one value."""
        return max(values) if self.maximize else min(values)

    def apart(self, new: float, old: float) -> str:
        """Their distance in words: `1.2 points`, `0.034`."""
        distance = abs(new - old)
        return f"{figure(100 * distance)} points" if self.share else self.show(distance)


@dataclass(frozen=True)
class SearchTrial:
    """A trial. values: of the space. objective: empty unless completed. epochs: rows of metrics.

    shown: the first objective's value to draw; of a pruned trial the best that its epochs had.
    """

    number: int
    state: str
    values: Mapping[str, Any]
    objective: tuple[float | None, ...]
    shown: float | None
    epochs: Sequence[Mapping[str, Any]]
    seconds: float | None
    reason: str
    repeats: int | None
    run: str | None

    @property
    def completed(self) -> bool:
        """Whether it has a value that counts."""
        return self.state == "completed" and self.shown is not None


@dataclass(frozen=True)
class SearchData:
    """The document's trials and what they are to improve. best: the trial, None before there is any.

    importances: hyperparameters' shares of 1, the most important first; empty where unknown.
    """

    objectives: tuple[SearchObjective, ...]
    axes: tuple[ParameterAxis, ...]
    trials: tuple[SearchTrial, ...]
    best: SearchTrial | None
    front: frozenset[int]
    importances: Mapping[str, float]
    parallel: int

    @property
    def objective(self) -> SearchObjective:
        """The first one, which charts show."""
        return self.objectives[0]

    @property
    def completed(self) -> list[SearchTrial]:
        """Those with a value, in order."""
        return [trial for trial in self.trials if trial.completed]

    @property
    def valued(self) -> list[SearchTrial]:
        """Those with something to draw: completed and pruned ones."""
        return [trial for trial in self.trials if trial.shown is not None]

    def ranked(self) -> list[SearchTrial]:
        """The completed trials, best first."""
        sign = -1 if self.objective.maximize else 1
        return sorted(self.completed, key=lambda trial: (sign * (trial.shown or 0.0), trial.number))

    def median(self) -> float | None:
        """Of the completed trials' values."""
        values = [trial.shown for trial in self.completed if trial.shown is not None]
        return median(values) if values else None

    def curve_metric(self) -> SearchObjective:
        """The objective if the epochs have it, else validation accuracy."""
        metric = self.objective.metric
        known = any(finite(row.get(metric)) is not None for trial in self.trials for row in trial.epochs)
        return self.objective if known else SearchObjective(_FALLBACK, True)


def finite(value: Any) -> float | None:
    """A figure that can be drawn; None for any other."""
    number = real(value)
    return number if number is not None and math.isfinite(number) else None


def search_data(document: Mapping[str, Any]) -> SearchData:
    """The typed view of a tuning document (docs/tuning.md)."""
    objectives = tuple(
        SearchObjective(str(entry["metric"]), entry["direction"] == "maximize") for entry in document["objectives"]
    )
    trials = _with_repeats([_trial(trial, objectives[0]) for trial in document["trials"]])
    best = next((trial for trial in trials if trial.number == document["best"]), None)
    return SearchData(
        objectives=objectives,
        axes=tuple(parameter_axis(entry) for entry in document["space"]),
        trials=trials,
        best=best if best is not None and best.completed else None,
        front=frozenset(document.get("front") or ()),
        importances=_importances(document.get("importance") or {}),
        parallel=int(document.get("parallel") or 1),
    )


def _importances(importance: Mapping[str, Any]) -> dict[str, float]:
    shares = {str(name): real(share) or 0.0 for name, share in (importance.get("values") or {}).items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _with_repeats(trials: Sequence[SearchTrial]) -> tuple[SearchTrial, ...]:
    """A pruned trial that repeats another one has no epochs of its own: it stands where the other one does."""
    reached = {trial.number: trial.shown for trial in trials}
    return tuple(
        replace(trial, shown=reached.get(trial.repeats)) if trial.state == "pruned" and trial.repeats else trial
        for trial in trials
    )


def _trial(trial: Mapping[str, Any], objective: SearchObjective) -> SearchTrial:
    epochs = trial.get("epochs") or []
    values = tuple(finite(value) for value in trial.get("objective") or ())
    shown = values[0] if values else None
    if trial["state"] == "pruned" and shown is None:
        reached = [value for row in epochs if (value := finite(row.get(objective.metric))) is not None]
        shown = objective.best(reached) if reached else None
    return SearchTrial(
        number=trial["number"],
        state=str(trial["state"]),
        values=trial.get("values") or {},
        objective=values,
        shown=shown if trial["state"] in ("completed", "pruned") else None,
        epochs=epochs,
        seconds=finite(trial.get("seconds")),
        reason=str(trial.get("reason") or ""),
        repeats=trial.get("repeats"),
        run=trial.get("run"),
    )
