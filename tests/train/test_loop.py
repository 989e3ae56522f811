"""The best epoch, observers, progress, and losses that are no numbers."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from model.errors import DataError
from model.network import Classifier, Normalise, build_head
from train.callbacks import Callback, Callbacks, TrainState
from train.config import Hyperparameters
from train.loader import Loader
from train.loop import Best, Trainer
from train.progress import Progress


def best(accuracy: float, loss: float) -> Best:
    return Best(1, {"validation_accuracy": accuracy, "validation_loss": loss}, {})


def test_rank_is_accuracy_then_loss() -> None:
    assert best(0.9, 2.0).rank() > best(0.8, 0.1).rank()
    assert best(0.9, 0.1).rank() > best(0.9, 0.2).rank()
    assert not best(0.9, 0.1).rank() > best(0.9, 0.1).rank()  # of equals the first epoch stays


class Batches:
    """Two batches of two images, white of class 1 and black of class 0."""

    def __len__(self) -> int:
        return 2

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        images = torch.stack([torch.full((2, 2, 3), 255, dtype=torch.uint8), torch.zeros(2, 2, 3, dtype=torch.uint8)])
        yield from [(images, torch.tensor([1, 0]))] * 2


def trainer(callbacks: list[Callback], rows: list[dict[str, float | int]], lr: float) -> Trainer:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = Classifier(Normalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), backbone, build_head("linear", 3, 2))
    chosen = Hyperparameters(epochs=3, optimizer="sgd", lr=lr)
    loader = cast("Loader", Batches())
    return Trainer(network, loader, loader, chosen, torch.device("cpu"), Callbacks(callbacks), rows.append)


class Recorder(Callback):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_train_start(self, state: TrainState) -> None:
        self.seen.append(f"start {state.epochs}x{state.steps_per_epoch}")

    def on_batch_end(self, state: TrainState) -> None:
        self.seen.append(f"batch {state.epoch}.{state.step}")

    def on_epoch_end(self, state: TrainState) -> None:
        self.seen.append(f"epoch {state.metrics['epoch']}")

    def on_train_end(self, state: TrainState) -> None:
        self.seen.append("end")


def test_observers_see_everything_in_order() -> None:
    recorder, rows = Recorder(), list[dict[str, float | int]]()
    result = trainer([recorder], rows, lr=0.1).fit()
    assert recorder.seen == [
        "start 3x2",
        *("batch 1.1", "batch 1.2", "epoch 1"),
        *("batch 2.3", "batch 2.4", "epoch 2"),
        *("batch 3.5", "batch 3.6", "epoch 3"),
        "end",
    ]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert result.metrics == min(rows, key=lambda row: (-row["validation_accuracy"], row["validation_loss"]))
    assert rows[2]["train_loss"] < rows[0]["train_loss"]


def test_the_best_weights_are_a_copy() -> None:
    def lower_later(state: TrainState) -> None:
        if state.epoch > 1:
            nn.init.zeros_(state.network.head.weight)  # type: ignore[arg-type, union-attr]

    observer = Callback()
    observer.on_batch_end = lower_later  # type: ignore[method-assign]
    running = trainer([observer], [], lr=0.5)
    result = running.fit()
    assert result.epoch == 1
    assert result.weights["head.weight"].abs().sum() > 0


class Failing(Callback):
    def on_batch_end(self, state: TrainState) -> None:
        raise RuntimeError("observer's own fault")


def test_a_failing_observer_is_switched_off_loudly(capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder()
    trainer([Failing(), recorder], [], lr=0.1).fit()
    assert recorder.seen[-1] == "end"
    log = capsys.readouterr().err
    assert log.count("WARNING: Failing failed and is switched off; training goes on") == 1
    assert log.count("RuntimeError: observer's own fault") == 1


class Spoiler(Callback):
    """Ruins the weights after step number `step`."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, state: TrainState) -> None:
        if state.step == self.step:
            nn.init.constant_(state.network.head.weight, math.nan)  # type: ignore[arg-type, union-attr]


@pytest.mark.parametrize(("step", "which"), [(3, "training"), (4, "validation")])
def test_a_loss_that_is_no_number_ends_training(step: int, which: str) -> None:
    rows: list[dict[str, float | int]] = []
    with pytest.raises(DataError, match=rf"^the {which} loss became nan in epoch 2; lower lr \(it is 0.1\)$"):
        trainer([Spoiler(step)], rows, lr=0.1).fit()
    assert [row["epoch"] for row in rows] == [1]


def test_progress_tells_phase_and_end(tmp_path: Path) -> None:
    file = tmp_path / "progress.json"
    progress = Progress(file)
    progress.update("checking images", 1, 1000, "images")
    first = json.loads(file.read_text())
    assert first == {"phase": "checking images", "done": 1, "total": 1000, "unit": "images"}
    for done in range(2, 1001):
        progress.update("checking images", done, 1000, "images")
    assert json.loads(file.read_text())["done"] == 1000
    progress.update("training", 1, 9, "batches")
    assert json.loads(file.read_text()) == {"phase": "training", "done": 1, "total": 9, "unit": "batches"}
    Progress(None).update("training", 1, 9, "batches")
    assert [each.name for each in tmp_path.iterdir()] == ["progress.json"]
