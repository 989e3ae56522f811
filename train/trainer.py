"""Training: epochs of optimizer steps, each followed by validation; keeps the best epoch's weights."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from contract.errors import DivergedError, StoppedError
from contract.hyperparameters import Hyperparameters
from model.network import Classifier
from monitor.callbacks import Callbacks, TrainState
from train.distributed import ALONE, Group
from train.evaluation.result import evaluate
from train.loader import Batches
from train.loss import TrainingLoss
from train.optim import WeightAverage, build_optimizer, build_schedule

Epoch = dict[str, Any]  # an epoch's metrics, and validation_class_accuracy: one for each class, None without images


@dataclass(frozen=True)
class BestEpoch:
    """The best epoch so far: highest validation accuracy, the lower validation loss among equals."""

    epoch: int
    metrics: dict[str, float | int]
    weights: dict[str, Tensor]

    def rank(self) -> tuple[float, float]:
        return (self.metrics["validation_accuracy"], -self.metrics["validation_loss"])


def print_line(text: str) -> None:
    """Print, and flush."""
    print(text, flush=True)


@dataclass(frozen=True)
class Listeners:
    """What a trainer calls.

    on_metrics: with each epoch's metrics; what it raises ends training. on_whole_epoch: with the trainer, after each
    validation and before `on_metrics`. say: with each line for people.
    """

    callbacks: Callbacks
    on_metrics: Callable[[dict[str, float | int]], None]
    on_whole_epoch: "Callable[[Trainer], None]" = lambda _trainer: None
    say: Callable[[str], None] = print_line


class Trainer:
    """Trains a network in place. After a stop, however early, `best` holds the best whole epoch, if any.

    network: a Classifier on images, or its head alone on features. group: the hosts that train together; rank 0
    calls `fit`, the others `follow`.
    """

    def __init__(
        self,
        network: nn.Module,
        train: Batches,
        valid: Batches,
        hyperparameters: Hyperparameters,
        loss: TrainingLoss,
        device: torch.device,
        listeners: Listeners,
        group: Group = ALONE,
    ) -> None:
        self.network = network.to(device)
        self.train_batches, self.valid_batches = train, valid
        self.hyperparameters = hyperparameters
        self.loss = loss
        self.device = device
        self.listeners, self.callbacks = listeners, listeners.callbacks
        self.group = group
        self.optimizer = build_optimizer(network, hyperparameters)
        self.schedule = build_schedule(
            self.optimizer,
            len(train) * hyperparameters.epochs,
            hyperparameters.warmup_ratio,
            hyperparameters.lr_schedule,
        )
        self.average = WeightAverage(network, hyperparameters.ema_decay) if hyperparameters.ema_decay else None
        self.state = TrainState(network, self.optimizer, hyperparameters.epochs, len(train))
        self.best: BestEpoch | None = None
        self.history: list[Epoch] = []

    def fit(self) -> BestEpoch:
        """Train for all epochs, until `patience` epochs brought no improvement, or until an observer ends it.

        Raises DivergedError when a loss is not finite, StoppedError when an observer ends training as failed.
        """
        self.callbacks.train_start(self.state)
        try:
            while not self.group.broadcast(self._is_finished()):
                self.state.epoch += 1
                self._epoch(self.state.epoch)
        finally:
            self.callbacks.phase("other")
            self.callbacks.train_end(self.state)
        assert self.best is not None
        return self.best

    def follow(self) -> None:
        """Train the epochs that rank 0 starts, without validation.

        Raises DivergedError and StoppedError as `fit` does.
        """
        while not self.group.broadcast(True):
            self.state.epoch += 1
            self._unfreeze(self.state.epoch)
            self._train_one(self.state.epoch)

    def resume_from(self, best: BestEpoch, history: list[Epoch], epoch: int, step: int) -> None:
        """Continue after the epochs that another process trained. epoch, step: its last ones."""
        self.best, self.history = best, history
        self.state.epoch, self.state.step = epoch, step
        self.state.earlier = [metrics_of(row) for row in history]

    def _is_finished(self) -> bool:
        """Whether training ends; prints why, unless this was the last epoch. There is at least one epoch."""
        epoch, hyperparameters = self.state.epoch, self.hyperparameters
        if self.best is None:
            return False
        if self.state.stop is not None:
            self.listeners.say(f"training ends in epoch {epoch}: {self.state.stop.reason}")
            return True
        if (
            epoch < hyperparameters.epochs
            and hyperparameters.patience
            and epoch - self.best.epoch >= hyperparameters.patience
        ):
            self.listeners.say(f"early stopping: no epoch was better than epoch {self.best.epoch}")
            return True
        return epoch >= hyperparameters.epochs

    def _epoch(self, epoch: int) -> None:
        start = time.monotonic()
        self._unfreeze(epoch)
        learning_rate = float(self.schedule.get_last_lr()[0])
        loss, accuracy = self._train_one(epoch)
        self.callbacks.phase("validation")
        self.callbacks.validation_start(self.state)
        valid = evaluate(self._evaluated(), self.valid_batches, self.device, self.callbacks)
        # The last step of an epoch may have broken the weights.
        self._check("validation", valid.loss, epoch)
        metrics: dict[str, float | int] = {
            "epoch": epoch,
            "train_loss": loss,
            "train_accuracy": accuracy,
            "validation_loss": valid.loss,
            "validation_accuracy": valid.accuracy,
            "learning_rate": learning_rate,
            "epoch_seconds": time.monotonic() - start,
        }
        self.state.metrics = metrics
        self.history.append({**metrics, "validation_class_accuracy": [figures.recall for figures in valid.classes]})
        self.callbacks.phase("checkpoint")
        self._keep_best(epoch, metrics)
        if self.state.stop is None:
            self.listeners.on_whole_epoch(self)
        self.callbacks.phase("hook")
        self.listeners.on_metrics(metrics)
        self.callbacks.epoch_end(self.state)
        self._continues()

    def _unfreeze(self, epoch: int) -> None:
        if self.hyperparameters.freeze == "gradual" and isinstance(self.network, Classifier):
            stages = len(self.network.stages())
            self.network.train_top(stages_to_train(epoch, self.hyperparameters.epochs, stages))

    def _evaluated(self) -> nn.Module:
        """The network that is validated and saved: the one with the averaged weights, where there is one."""
        return self.network if self.average is None else self.average.module

    def _train_one(self, epoch: int) -> tuple[float, float]:
        """One pass over the training data: mean loss and accuracy, as seen while the weights moved.

        It ends early when an observer ends training as completed.
        """
        self.network.train()
        observers = self.callbacks
        total = torch.zeros(2, dtype=torch.float64, device=self.device)
        seen = 0
        observers.phase("data")
        for batch in self.train_batches.epoch(epoch):
            observers.phase("copy")
            inputs, labels = (part.to(self.device, non_blocking=True) for part in batch)
            inputs, targets = self.loss.mix(inputs, labels, self.state.step)
            observers.phase("hook")
            observers.batch_start(self.state, inputs, labels)
            observers.phase("forward")
            logits = self.network(inputs)
            loss = self.loss(logits, targets)
            observers.phase("hook")
            observers.loss(self.state, logits, loss)
            self._step(loss, targets)
            with torch.no_grad():
                total += torch.stack([loss.double() * len(labels), (logits.argmax(1) == labels).sum().double()])
            seen += len(labels)
            self.state.step += 1
            observers.phase("hook")
            observers.batch_end(self.state)
            if self.group.size > 1:
                self.state.stop = self.group.broadcast(self.state.stop)
            if not self._continues():
                break
            observers.phase("data")
        *sums, count = self.group.all_reduce(torch.cat([total, total.new_tensor([seen])])).tolist()
        mean_loss, accuracy = (total / count for total in sums)
        if self.group.size > 1:
            for network in {id(network): network for network in (self.network, self._evaluated())}.values():
                self.group.sync_buffers(network)
        self._check("training", mean_loss, epoch)
        return mean_loss, accuracy

    def _continues(self) -> bool:
        """False when an observer ends training as completed. Raises StoppedError when it ends it as failed."""
        stop = self.state.stop
        if stop is not None and not stop.success:
            raise StoppedError(stop.reason)
        return stop is None

    def _step(self, loss: Tensor, targets: Tensor) -> None:
        self.callbacks.phase("backward")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.group.size > 1:
            self.group.average_gradients(self.network.parameters(), self.loss.divisor(targets))
        self.callbacks.phase("optimizer")
        if self.hyperparameters.grad_clip:
            clip_grad_norm_(self.network.parameters(), self.hyperparameters.grad_clip)
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.network)

    def _check(self, which: str, loss: float, epoch: int) -> None:
        if not math.isfinite(loss):
            learning_rate = self.hyperparameters.lr
            raise DivergedError(f"the {which} loss became {loss} in epoch {epoch}; lower lr (it is {learning_rate:g})")

    def _keep_best(self, epoch: int, metrics: dict[str, float | int]) -> None:
        if self.best is None or BestEpoch(epoch, metrics, {}).rank() > self.best.rank():
            self.best = BestEpoch(epoch, metrics, snapshot(self._evaluated()))


def metrics_of(epoch: Epoch) -> dict[str, float | int]:
    """The metrics of an epoch of the history, as they are logged."""
    return {name: value for name, value in epoch.items() if name != "validation_class_accuracy"}


def stages_to_train(epoch: int, epochs: int, stages: int) -> int:
    """How many of the backbone's stages, from the top, are trained in an epoch (from 1) of gradual unfreezing.

    The head alone first, all stages from the middle of the training on, evenly between (after Howard and Ruder 2018,
    who free one layer an epoch).
    """
    return min(stages, math.ceil(stages * (epoch - 1) / max(1, epochs // 2)))


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict on the CPU, which later steps don't touch."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}
