"""What a search is to improve. Standard library only."""

import difflib
from dataclasses import dataclass
from typing import Final

from contract.errors import ConfigError
from contract.hyperparameters import describe_faults
from contract.metrics import LATENCY as LATENCY  # noqa: PLC0414 - re-exported
from contract.metrics import METRICS, metric_regex

MOST_OBJECTIVES: Final = 3
# What can be improved: learning_rate is set, not found.
CANDIDATES: Final = tuple(name for name in METRICS if name != "learning_rate")
# A regular expression for each metric that `train` prints; its first group is the value.
METRIC_REGEXES: Final = {name: metric_regex(name) for name in METRICS}
_SAME_VALUE: Final = {"average test loss": "test_loss"}


@dataclass(frozen=True)
class Objective:
    """A metric, and whether more of it is better."""

    metric: str
    maximize: bool

    @property
    def direction(self) -> str:
        """`maximize` or `minimize`."""
        return "maximize" if self.maximize else "minimize"

    @property
    def per_epoch(self) -> bool:
        """Whether every epoch has a value of it; if not, it is known at a trial's end, and nothing can be pruned."""
        return self.metric.startswith(("train_", "validation_", "epoch_"))

    def __str__(self) -> str:
        """As `parse_objectives` reads it."""
        return f"{self.metric}:{self.direction}"


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """The objectives in `METRIC` or `METRIC:minimize`, one or several with commas between.

    Without a direction, losses and times are minimised, all else is maximised.
    Raises ConfigError that names all faults at once.
    """
    faults: list[str] = []
    objectives: list[Objective] = []
    for part in text.split(","):
        metric, colon, direction = (piece.strip() for piece in part.partition(":"))
        if metric not in CANDIDATES:
            faults.append(_unknown(metric))
        if colon and direction.lower() not in ("maximize", "minimize"):
            faults.append(f"{metric}: the direction must be maximize or minimize, got {direction or 'nothing'}")
        objectives.append(Objective(metric, direction.lower() == "maximize" if colon else not _less_is_better(metric)))
    values = [_SAME_VALUE.get(each.metric, each.metric) for each in objectives]
    faults += [f"{name}: named twice as an objective" for name in dict.fromkeys(values) if values.count(name) > 1]
    if len(objectives) > MOST_OBJECTIVES:
        faults.append(f"{len(objectives)} objectives are too many; name {MOST_OBJECTIVES} at most")
    if faults:
        raise ConfigError(describe_faults("objective", faults))
    return tuple(objectives)


def _less_is_better(metric: str) -> bool:
    return metric.endswith(("loss", "_seconds", "_ms"))


def _unknown(metric: str) -> str:
    if metric == "learning_rate":
        return "learning_rate: can't be an objective, as it is set and not found"
    if not metric:
        return f"an objective must be named; the metrics are {', '.join(CANDIDATES)}"
    close = difflib.get_close_matches(metric.replace(":", "_").replace("-", "_"), CANDIDATES, n=1, cutoff=0.6)
    return f"{metric}: no such metric; " + (
        f"did you mean {close[0]}?" if close else f"the metrics are {', '.join(CANDIDATES)}"
    )
