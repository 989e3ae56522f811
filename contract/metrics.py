"""The metric lines: `name=value; name=value;` on stdout, the same as one JSON object a line in metrics.jsonl.

SageMaker finds a metric by a regular expression over the log: `metric_regex` gives it for each of METRICS.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

# What a training job may print, in the order of appearance. No name is the tail of another one, or the
# expression for `loss` would find `train_loss` too; `test_loss` and `average test loss` have the same value.
METRICS: Final = (
    "train_loss", "train_accuracy", "validation_loss", "validation_accuracy",
    "learning_rate", "epoch_seconds",
    "test_loss", "test_accuracy", "test_top5_accuracy", "test_macro_f1", "average test loss",
    "latency_ms",
)  # fmt: skip
_FIRST_OF_TEST: Final = "test_loss"  # those from here on need test data
LATENCY: Final = "latency_ms"
NUMBER: Final = r"[-+0-9.e]+"


def metric_regex(name: str) -> str:
    """The expression for a metric definition of SageMaker's; its first group is the value."""
    return rf"{name}=({NUMBER});"


def not_printed(name: str, with_test: bool, with_latency: bool) -> str | None:
    """A sentence for the log when a job prints no metric of this name; None when it prints one.

    with_test: whether the job has test data. with_latency: whether it measures latency_ms.
    """
    of_test = METRICS[METRICS.index(_FIRST_OF_TEST) : METRICS.index(LATENCY)]
    names = [each for each in METRICS if (with_test or each not in of_test) and (with_latency or each != LATENCY)]
    if name in names:
        return None
    why = "which is no name in this log"
    if name in METRICS:
        measured = f"which only tune_objective={LATENCY} has measured"
        why = measured if name == LATENCY else "which takes test data, and there are none"
    return (
        f"the tuner's objective is {name}, {why}: it finds a value only if its metric definition gives that name to "
        f"one of {', '.join(names)}"
    )


def format_line(values: Mapping[str, float | int]) -> str:
    """`epoch=1; train_loss=0.693147;`: integers as they are, other numbers with six decimals."""
    return " ".join(
        f"{name}={value};" if isinstance(value, int) else f"{name}={value:.6f};" for name, value in values.items()
    )


class MetricLog:
    """Prints metric lines and appends them to metrics.jsonl; without a file it does neither."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("")

    def restore(self, rows: Iterable[Mapping[str, float | int]]) -> None:
        """Rows that another process has printed: in the file alone."""
        for row in rows:
            self._append(row)

    def write(self, values: Mapping[str, float | int]) -> None:
        """One line in both places. JSON has no NaN or infinity: such a value is null there."""
        if self._file is None:
            return
        print(format_line(values), flush=True)
        self._append(values)

    def _append(self, values: Mapping[str, float | int]) -> None:
        if self._file is None:
            return
        row = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self._file.open("a") as file:
            file.write(json.dumps(row) + "\n")
