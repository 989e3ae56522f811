"""A finished trial in a line of the log. Standard library only.

SageMaker reads metrics from the log by `name=value;`: no line here may look like that.
"""

from collections.abc import Mapping, Sequence

from train.search.objective import Objective
from train.search.record import Record, Row
from train.search.space import Value


def finished_line(record: Record, objectives: Sequence[Objective], trials: int, best: Record | None) -> str:
    """`trial 7 of 20: lr 0.0123, batch_size 32: validation_accuracy 0.9123, 4 epochs in 0.4 s (best 0.9342, trial 3)`.

    trials: how many are wanted. best: of those so far, this one included.
    """
    line = f"trial {record.number} of {trials}: {values_in_words(record.values)}: {_outcome(record, objectives)}"
    if best is not None and best.objective:
        line += f" (best {best.objective[0]:.4f}, trial {best.number})"
    return " ".join(line.replace("=", " ").split())


def values_in_words(values: Mapping[str, Value]) -> str:
    """`lr 0.0123, batch_size 32`."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _outcome(record: Record, objectives: Sequence[Objective]) -> str:
    if record.state == "failed":
        after = f" after {record.seconds:.1f} s" if record.seconds else ""
        return f"failed{_as(record)}{after}: {record.reason}"
    if record.state == "pruned":
        how = f"ended early{_reached(record, objectives[0])}"
    else:
        values = zip(objectives, record.objective or (), strict=True)
        how = ", ".join(f"{each.metric} {value:.4f}" for each, value in values)
    return f"{how},{_as(record)}" if record.repeats else f"{how}, {_epochs(record)}in {record.seconds:.1f} s"


def _as(record: Record) -> str:
    return f" as trial {record.repeats} with the same values" if record.repeats else ""


def _reached(record: Record, objective: Objective) -> str:
    rows: list[Row] = list(record.epochs.values())
    value = rows[-1].get(objective.metric) if rows else None
    return "" if value is None else f" at {objective.metric} {value:.4f}"


def _epochs(record: Record) -> str:
    count = len(record.epochs)
    return f"{count} epoch{'s' if count > 1 else ''} " if count else ""
