"""Observers of training. One that fails is switched off, loudly; training goes on."""

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import nn
from torch.optim import Optimizer

from train.evaluation.result import Evaluation


@dataclass
class TrainState:
    """Where training stands; the loop keeps it up to date for the observers."""

    network: nn.Module
    optimizer: Optimizer
    epochs: int
    steps_per_epoch: int
    epoch: int = 0  # from 1
    step: int = 0  # batches trained on since the start
    metrics: dict[str, float | int] = field(default_factory=dict)  # of the last whole epoch


class Callback:
    """Override what you want to see. All methods are called in the training process."""

    def on_train_start(self, state: TrainState) -> None:
        """Before the first epoch."""

    def on_batch_end(self, state: TrainState) -> None:
        """After each optimizer step."""

    def on_epoch_end(self, state: TrainState) -> None:
        """After validation; `state.metrics` is complete."""

    def on_train_end(self, state: TrainState) -> None:
        """After the last epoch, also when training is stopped early."""

    def on_evaluation(self, role: str, evaluation: Evaluation) -> None:
        """The best epoch's network was evaluated on a whole split: `valid`, then `test` where there is one.

        `evaluation` is in the order of the split's samples.
        """

    def on_job_end(self, completed: bool) -> None:
        """At the very end; not `completed` after an error or a signal."""


class Callbacks:
    """Calls every observer in turn and shields training from their errors."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._active = list(callbacks)

    def train_start(self, state: TrainState) -> None:
        self._each(lambda callback: callback.on_train_start(state))

    def batch_end(self, state: TrainState) -> None:
        self._each(lambda callback: callback.on_batch_end(state))

    def epoch_end(self, state: TrainState) -> None:
        self._each(lambda callback: callback.on_epoch_end(state))

    def train_end(self, state: TrainState) -> None:
        self._each(lambda callback: callback.on_train_end(state))

    def evaluation(self, role: str, evaluation: Evaluation) -> None:
        self._each(lambda callback: callback.on_evaluation(role, evaluation))

    def job_end(self, completed: bool) -> None:
        self._each(lambda callback: callback.on_job_end(completed))

    def _each(self, call: Callable[[Callback], None]) -> None:
        for callback in list(self._active):
            try:
                call(callback)
            except Exception:  # noqa: BLE001 - observers may not kill training
                self._active.remove(callback)
                name = type(callback).__name__
                print(f"WARNING: {name} failed and is switched off; training goes on", file=sys.stderr)
                traceback.print_exc()
