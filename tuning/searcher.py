"""The interface of a search for those that run its trials, in this process or on another host."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from contract.hyperparameters import Hyperparameters
from tuning.space import Value

Metrics = Mapping[str, float | int]


@dataclass(frozen=True)
class Trial:
    """number: from 1. values: those of the space. hyperparameters: all of them, to train with."""

    number: int
    values: Mapping[str, Value]
    hyperparameters: Hyperparameters


class Searcher(Protocol):
    """Every trial asked for is ended by exactly one of `complete`, `prune` and `fail`. Safe to call from any thread."""

    def ask(self) -> Trial | None:
        """The next trial; None when there is to be no further one."""

    def report(self, number: int, epoch: int, metrics: Metrics) -> bool:
        """An epoch's metrics. True: the trial does too poorly; end it and call `prune`."""

    def complete(self, number: int, metrics: Metrics, seconds: float, run: str | None = None) -> None:
        """The trial was trained to its end. metrics: of its best epoch, test and latency metrics with them if measured.

        run: the run folder's name, if it has one of its own.
        """

    def prune(self, number: int, seconds: float, run: str | None = None) -> None:
        """The trial was ended early, as `report` asked."""

    def fail(self, number: int, reason: str, seconds: float, run: str | None = None) -> None:
        """The trial can't be trained, as its loss became NaN or it needs too much memory, say. The search goes on."""
