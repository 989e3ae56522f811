"""What is known of each trial of a search, and which of them are the best. Standard library only."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from contract.hyperparameters import Hyperparameters
from tuning.objective import Objective
from tuning.searcher import Metrics
from tuning.space import Value

State = Literal["running", "completed", "pruned", "failed"]
Row = dict[str, float | int | None]
Point = tuple[Value, ...]


@dataclass
class Record:
    """A trial that runs or has ended.

    number: from 1. params: the values as Optuna knows them. started, ended: seconds of searching before it.
    epochs: epoch -> its metrics. repeats: the number of the trial whose result this one took over, as it has the same
    values. end_requested: a report has answered that the trial does too poorly.
    """

    number: int
    values: dict[str, Value]
    params: dict[str, Any]
    hyperparameters: Hyperparameters
    started: float
    state: State = "running"
    objective: tuple[float, ...] | None = None
    metrics: Row = field(default_factory=dict)
    epochs: dict[int, Row] = field(default_factory=dict)
    seconds: float = 0.0
    ended: float | None = None
    reason: str | None = None
    repeats: int | None = None
    run: str | None = None
    end_requested: bool = False

    @property
    def point(self) -> Point:
        """The values alone: equal for trials of equal values."""
        return point_of(self.values)

    def result(self) -> dict[str, Any]:
        """How it ended, as plain JSON; `take_result` reads it back."""
        names = ("state", "metrics", "seconds", "ended", "reason", "repeats", "run")
        return {name: getattr(self, name) for name in names}

    def take_result(self, result: dict[str, Any]) -> None:
        for name, value in result.items():
            setattr(self, name, value)


def point_of(values: Mapping[str, Value]) -> Point:
    """The values in the order of their names."""
    return tuple(values[name] for name in sorted(values))


def plain_row(metrics: Metrics) -> Row:
    """The metrics as JSON can hold them: what is no finite number is None."""
    return {name: _plain(value) for name, value in metrics.items()}


def _plain(value: float | int | None) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(value)


def value_of(objective: Objective, row: Row) -> float | int | None:
    """The objective's value; None when the row has no finite one."""
    return row.get(_name_in(row, objective))


def values_of(objectives: Sequence[Objective], metrics: Metrics) -> tuple[float, ...] | str:
    """All objectives' values; or, in a sentence, why there are none."""
    found, row = [], plain_row(metrics)
    for each in objectives:
        name = _name_in(row, each)
        if name not in row:
            has = f"it has {', '.join(row)}" if row else "it has no metrics"
            return f"the trial ended without {each.metric}; {has}"
        value = row[name]
        if value is None:
            return f"{each.metric} is {metrics[name]}; no finite number came of the training"
        found.append(float(value))
    return tuple(found)


def _name_in(row: Row, objective: Objective) -> str:
    """One metric has two names in the log, and may have either here."""
    name = objective.metric
    return "test_loss" if name not in row and name == "average test loss" else name


def best_of(records: Iterable[Record], objectives: Sequence[Objective]) -> Record | None:
    """The completed trial with the best value of the first objective, of equals the best in the next, the earliest."""
    found = min(_candidates(records, objectives), key=lambda each: (each[0], each[1].number), default=None)
    return None if found is None else found[1]


def front_of(records: Iterable[Record], objectives: Sequence[Objective]) -> list[Record]:
    """The completed trials that no other one surpasses, the best of the first objective foremost.

    With one objective that is the best trial alone, the earliest of equals; with several the Pareto front. A trial
    that only repeats another one is in no front.
    """
    candidates = sorted(_candidates(records, objectives), key=lambda each: (each[0], each[1].number))
    if len(objectives) == 1:
        return [each for _, each in candidates[:1]]
    return [mine for losses, mine in candidates if not any(_dominates(other, losses) for other, _ in candidates)]


def _candidates(records: Iterable[Record], objectives: Sequence[Objective]) -> list[tuple[tuple[float, ...], Record]]:
    """The trials that can be best, each with its objectives as losses."""
    return [
        (tuple(-v if o.maximize else v for o, v in zip(objectives, each.objective, strict=True)), each)
        for each in records
        if each.objective is not None and each.repeats is None
    ]


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
