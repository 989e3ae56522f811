"""Reports to the monitor process where training stands, and passes its request to end training on to the loop."""

from typing import Any

from monitor.callbacks import Callback, TrainState
from monitor.client import MonitorProcess


class MonitorCallback(Callback):
    """Costs a system call a step."""

    def __init__(self, process: MonitorProcess) -> None:
        self._process = process

    def on_train_start(self, state: TrainState) -> None:
        self._process.started(state.epochs, state.steps_per_epoch)

    def on_batch_end(self, state: TrainState) -> None:
        self._process.step(state.step)
        self._look(state)

    def on_epoch_end(self, state: TrainState) -> None:
        self._look(state)

    def on_validation_batch_end(self, *_tensors: Any) -> None:
        # Received now, obeyed at the epoch's end: a long validation is not taken for a stuck process.
        self._process.listen()

    def on_train_end(self, state: TrainState) -> None:  # noqa: ARG002 - the interface's
        self._process.trained()

    def _look(self, state: TrainState) -> None:
        state.stop = state.stop or self._process.listen()
