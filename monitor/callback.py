"""Tells the companion process where training stands, and passes its wish to end training on to the loop."""

from typing import Any

from monitor.callbacks import Callback, StopRequest, TrainState
from monitor.client import CompanionProcess


class Companion(Callback):
    """Costs a system call a step."""

    def __init__(self, process: CompanionProcess) -> None:
        self._process = process

    def on_train_start(self, state: TrainState) -> None:
        self._process.started(state.epochs, state.steps_per_epoch)

    def on_batch_end(self, state: TrainState) -> None:
        self._process.step(state.step)
        self._look(state)

    def on_epoch_end(self, state: TrainState) -> None:
        self._look(state)

    def on_validation_batch_end(self, *_tensors: Any) -> None:
        # Heard now, heeded at the epoch's end: a long validation is not taken for a stuck process.
        self._process.listen()

    def on_train_end(self, state: TrainState) -> None:  # noqa: ARG002 - the interface's
        self._process.trained()

    def _look(self, state: TrainState) -> None:
        wish = self._process.listen()
        if wish is not None and state.stop is None:
            state.stop = StopRequest(wish.reason, wish.success)
