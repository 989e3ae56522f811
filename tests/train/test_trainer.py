"""The best epoch, observers, progress, and losses that are no numbers."""

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from contract.errors import DataError
from contract.hyperparameters import Hyperparameters
from contract.progress import Progress
from model.network import Classifier, Normalise, build, build_head
from monitor.callbacks import Callback, Callbacks, TrainState
from train.loss import TrainingLoss
from train.trainer import BestEpoch, Listeners, Trainer, snapshot, stages_to_train


def best(accuracy: float, loss: float) -> BestEpoch:
    return BestEpoch(1, {"validation_accuracy": accuracy, "validation_loss": loss}, {})


def test_rank_is_accuracy_then_loss() -> None:
    assert best(0.9, 2.0).rank() > best(0.8, 0.1).rank()
    assert best(0.9, 0.1).rank() > best(0.9, 0.2).rank()
    assert not best(0.9, 0.1).rank() > best(0.9, 0.1).rank()  # of equals the first epoch stays


class Batches:
    """Two batches of two images, white of class 1 and black of class 0."""

    def __init__(self, size: int = 2) -> None:
        self.size = size

    def __len__(self) -> int:
        return 2

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        shape = (self.size, self.size, 3)
        images = torch.stack([torch.full(shape, 255, dtype=torch.uint8), torch.zeros(shape, dtype=torch.uint8)])
        yield from [(images, torch.tensor([1, 0]))] * 2


def trainer(callbacks: list[Callback], rows: list[dict[str, float | int]], lr: float, **changes: object) -> Trainer:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = Classifier(Normalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), backbone, build_head("linear", 3, 2))
    chosen = Hyperparameters.parse({"epochs": 3, "optimizer": "sgd", "lr": lr, "label_smoothing": 0, **changes})
    loader = Batches()
    loss = TrainingLoss(chosen, [2, 2], torch.device("cpu"))
    return Trainer(
        network, loader, loader, chosen, loss, torch.device("cpu"), Listeners(Callbacks(callbacks), rows.append)
    )


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


class Breaking(Callback):
    """Makes every epoch from `epoch` on worse than the ones before."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_batch_end(self, state: TrainState) -> None:
        if state.epoch >= self.epoch:
            nn.init.zeros_(state.network.head.weight)  # type: ignore[arg-type, union-attr]


def test_patience_ends_training_and_keeps_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, float | int]] = []
    result = trainer([Breaking(3)], rows, lr=0.5, epochs=9, patience=2).fit()
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert result.epoch == 2
    assert "early stopping: no epoch was better than epoch 2\n" in capsys.readouterr().out


def test_patience_at_the_last_epoch_is_no_early_stop(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, float | int]] = []
    trainer([Breaking(2)], rows, lr=0.5, epochs=3, patience=2).fit()
    assert len(rows) == 3
    assert "early stopping" not in capsys.readouterr().out


def test_the_averaged_weights_are_validated_and_kept() -> None:
    seen: list[Tensor] = []
    observer = Callback()
    observer.on_batch_end = lambda state: seen.append(state.network.head.weight.detach().clone())  # type: ignore[method-assign, operator, union-attr]
    result = trainer([observer], [], lr=0.5, ema_decay=0.5, epochs=1).fit()
    # Two steps: the first is taken whole, then the decay is min(0.5, 2 / 11).
    expected = seen[0] * (2 / 11) + seen[1] * (9 / 11)
    assert torch.allclose(result.weights["head.weight"], expected, atol=1e-6)
    assert not torch.allclose(seen[1], expected, atol=1e-6)


def test_gradients_are_clipped_to_their_norm() -> None:
    norms: list[float] = []
    observer = Callback()
    observer.on_batch_end = lambda state: norms.append(  # type: ignore[method-assign]
        float(torch.stack([p.grad.norm() for p in state.network.parameters() if p.grad is not None]).norm())
    )
    trainer([observer], [], lr=0.01, grad_clip=0.05, epochs=1).fit()
    free = trainer([observer], [], lr=0.01, epochs=1)
    free.fit()
    assert norms[:2] == pytest.approx([0.05, 0.05], rel=1e-4)
    assert min(norms[2:]) > 0.1


@pytest.mark.parametrize(
    ("epochs", "stages"),
    [
        # 5 stages over the first half: 5/4 a step, rounded up.
        (8, [0, 2, 3, 4, 5, 5, 5, 5]),
        (10, [0, 1, 2, 3, 4, 5, 5, 5, 5, 5]),
        (2, [0, 5]),
        (1, [0]),
    ],
)
def test_gradual_unfreezing_frees_all_by_the_middle(epochs: int, stages: list[int]) -> None:
    assert [stages_to_train(epoch, epochs, 5) for epoch in range(1, epochs + 1)] == stages


def test_a_stage_that_is_not_free_yet_keeps_weights_and_statistics() -> None:
    torch.manual_seed(0)
    network = build("resnet18", "linear", 2, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    states: list[dict[str, Tensor]] = [snapshot(network)]
    observer = Callback()
    observer.on_epoch_end = lambda state: states.append(snapshot(state.network))  # type: ignore[method-assign]
    chosen = Hyperparameters(epochs=4, freeze="gradual", lr=0.01)
    batches = Batches(32)
    cpu = torch.device("cpu")
    listeners = Listeners(Callbacks([observer]), print)
    Trainer(network, batches, batches, chosen, TrainingLoss(chosen, [2, 2], cpu), cpu, listeners).fit()
    changed = [
        {name.split(".")[1] for name in now if name.startswith("backbone.") and not torch.equal(now[name], then[name])}
        for then, now in itertools.pairwise(states)
    ]
    # 5 stages over 2 epochs: 0, then 3, then all.
    every = {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}
    assert changed == [set(), {"layer2", "layer3", "layer4"}, every, every]
    assert all(not torch.equal(now["head.weight"], then["head.weight"]) for then, now in itertools.pairwise(states))
