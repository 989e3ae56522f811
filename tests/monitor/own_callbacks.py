"""Callbacks of one's own, as a user writes them."""

from monitor.callbacks import Callback, TrainState


class PrintEpochs(Callback):
    def on_epoch_end(self, state: TrainState) -> None:
        print(f"own callback: epoch {state.epoch} of {state.epochs}", flush=True)


class FailsAtOnce(Callback):
    def on_train_start(self, state: TrainState) -> None:
        raise RuntimeError("it fails at once")


class CannotBeMade(Callback):
    def __init__(self) -> None:
        raise RuntimeError("it can't be made")
