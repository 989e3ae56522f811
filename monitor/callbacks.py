"""Observers of training. One that fails is switched off, loudly; training goes on."""

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from torch import Tensor, nn
from torch.optim import Optimizer

from model.metrics import Evaluation
from monitor.client import MonitorProcess, StopRequest

# What a training step, and an epoch around it, is made of. `hook` is the observers' own time.
PHASES: Final = ("data", "copy", "forward", "backward", "optimizer", "hook", "validation", "checkpoint", "other")


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
    # Metrics of the epochs that another process trained, where this one goes on from a checkpoint: then `epoch` and
    # `step` are above 0 when training starts.
    earlier: Sequence[dict[str, float | int]] = ()
    stop: StopRequest | None = None  # an observer sets it; the loop looks after every step and epoch
    # Seconds that observers spent inside other phases of the current step, by phase: they add, the profiler takes off.
    observed: dict[str, float] = field(default_factory=dict)


class Callback:
    """Override what you want to see. All methods are called in the training process."""

    def on_train_start(self, state: TrainState) -> None:
        """Before the first epoch."""

    def on_phase(self, phase: str) -> None:
        """One of PHASES begins, and the one before it has ended. Called several times a step: be quick."""

    def on_batch_start(self, state: TrainState, inputs: Tensor, labels: Tensor) -> None:
        """Before the forward pass. inputs: images or features, on the device, mixed if they are; labels: int (N,)."""

    def on_loss(self, state: TrainState, logits: Tensor, loss: Tensor) -> None:
        """After the forward pass. logits: (N, C); loss: a scalar, as it is minimised."""

    def on_batch_end(self, state: TrainState) -> None:
        """After each optimizer step."""

    def on_validation_start(self, state: TrainState) -> None:
        """Before an epoch's validation."""

    def on_validation_batch_start(self, network: nn.Module, inputs: Tensor, labels: Tensor) -> None:
        """Before the forward pass of a validation batch. network: the one that is validated."""

    def on_validation_batch_end(self, logits: Tensor, labels: Tensor) -> None:
        """After it. logits: (N, C), on the device; labels: int (N,), maybe on the CPU."""

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
    """Calls every observer in turn and shields training from their errors. An event nobody overrides is free."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._active = list(callbacks)
        self._by_event: dict[str, list[Callback]] = {}
        self._sort()

    def _sort(self) -> None:
        names = [name for name in vars(Callback) if name.startswith("on_")]
        self._by_event = {
            name: [
                each
                for each in self._active
                if name in vars(each) or getattr(type(each), name) is not getattr(Callback, name)
            ]
            for name in names
        }

    def train_start(self, state: TrainState) -> None:
        self._each("on_train_start", state)

    def phase(self, phase: str) -> None:
        self._each("on_phase", phase)

    def batch_start(self, state: TrainState, inputs: Tensor, labels: Tensor) -> None:
        self._each("on_batch_start", state, inputs, labels)

    def loss(self, state: TrainState, logits: Tensor, loss: Tensor) -> None:
        self._each("on_loss", state, logits, loss)

    def batch_end(self, state: TrainState) -> None:
        self._each("on_batch_end", state)

    def validation_start(self, state: TrainState) -> None:
        self._each("on_validation_start", state)

    def validation_batch_start(self, network: nn.Module, inputs: Tensor, labels: Tensor) -> None:
        self._each("on_validation_batch_start", network, inputs, labels)

    def validation_batch_end(self, logits: Tensor, labels: Tensor) -> None:
        self._each("on_validation_batch_end", logits, labels)

    def epoch_end(self, state: TrainState) -> None:
        self._each("on_epoch_end", state)

    def train_end(self, state: TrainState) -> None:
        self._each("on_train_end", state)

    def evaluation(self, role: str, evaluation: Evaluation) -> None:
        self._each("on_evaluation", role, evaluation)

    def job_end(self, completed: bool) -> None:
        self._each("on_job_end", completed)

    def _each(self, event: str, *arguments: Any) -> None:
        for callback in self._by_event[event]:
            try:
                call: Callable[..., None] = getattr(callback, event)
                call(*arguments)
            except Exception:  # noqa: BLE001 - observers may not kill training
                self._switch_off(callback)

    def _switch_off(self, callback: Callback) -> None:
        self._active.remove(callback)
        self._sort()
        name = type(callback).__name__
        print(f"WARNING: {name} failed and is switched off; training goes on", file=sys.stderr)
        traceback.print_exc()


class MonitorCallback(Callback):
    """Reports to the monitor process where training stands, and passes its request to end training on to the loop.

    It costs a system call a step.
    """

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
