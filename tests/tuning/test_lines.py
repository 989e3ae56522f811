"""A finished trial's line in the log, which holds no metric for SageMaker to find."""

import re

import pytest

from contract.hyperparameters import Hyperparameters
from contract.metrics import METRICS, format_line, metric_regex
from tuning.objective import parse_objectives
from tuning.results import finished_line
from tuning.space import Value
from tuning.trial_record import Record, State

VALUES: dict[str, Value] = {"lr": 0.01234567, "batch_size": 32, "optimizer": "sgd"}
CHOSEN = "lr 0.01235, batch_size 32, optimizer sgd"


def record(number: int, state: State, **given: object) -> Record:
    found = Record(number, dict(VALUES), {}, Hyperparameters(), 0.0, state=state, seconds=0.42)
    found.epochs = {1: {"validation_accuracy": 0.5}, 2: {"validation_accuracy": 0.91234}}
    for name, value in given.items():
        setattr(found, name, value)
    return found


BEST = record(3, "completed", objective=(0.93416, 7.0))
CASES = [
    (
        record(7, "completed", objective=(0.91234, 12.5)),
        f"trial 7 of 20: {CHOSEN}: validation_accuracy 0.9123, latency_ms 12.5000, 2 epochs in 0.4 s",
    ),
    (
        record(7, "pruned"),
        f"trial 7 of 20: {CHOSEN}: ended early at validation_accuracy 0.9123, 2 epochs in 0.4 s",
    ),
    (
        record(7, "failed", reason="the loss is NaN:\n train_loss=nan; validation_accuracy=0.5;"),
        f"trial 7 of 20: {CHOSEN}: failed after 0.4 s: the loss is NaN: train_loss nan; validation_accuracy 0.5;",
    ),
    (
        record(7, "failed", reason="values clash", seconds=0.0),
        f"trial 7 of 20: {CHOSEN}: failed: values clash",
    ),
    (
        record(7, "completed", objective=(0.91234, 12.5), repeats=2, epochs={}),
        f"trial 7 of 20: {CHOSEN}: validation_accuracy 0.9123, latency_ms 12.5000, as trial 2 with the same values",
    ),
    (
        record(7, "failed", reason="out of memory", repeats=2, seconds=0.0),
        f"trial 7 of 20: {CHOSEN}: failed as trial 2 with the same values: out of memory",
    ),
    (
        record(7, "pruned", repeats=2, epochs={}),
        f"trial 7 of 20: {CHOSEN}: ended early, as trial 2 with the same values",
    ),
]


@pytest.mark.parametrize(("ended", "line"), CASES)
def test_line(ended: Record, line: str) -> None:
    found = finished_line(ended, parse_objectives("validation_accuracy,latency_ms"), 20, BEST)
    assert found == f"{line} (best 0.9342, trial 3)"
    for name in METRICS:
        assert re.search(metric_regex(name), found) is None


def test_a_metric_would_be_found_in_a_line_that_had_one() -> None:
    found = re.search(metric_regex("validation_accuracy"), f"trial 7: {format_line({'validation_accuracy': 0.5})}")
    assert found is not None
    assert found[1] == "0.500000"


def test_without_a_best_none_is_told() -> None:
    line = finished_line(record(1, "failed", reason="no"), parse_objectives("validation_loss"), 2, None)
    assert line == f"trial 1 of 2: {CHOSEN}: failed after 0.4 s: no"
