"""The checkpoint file: what it is told of, what it refuses, and that it ends no training."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model.preprocess import Preprocess
from tests.train.support import make_classes
from tests.train.tensors import small_network, trainer
from train.checkpoint import Checkpoint, fingerprint
from train.context import TrainingRun
from train.data.load import load_data
from train.data.splits import resolve_splits
from train.trainer import Trainer

PRINT: dict[str, Any] = {
    "hyperparameters": {"lr": 0.001, "epochs": 3},
    "device": "cpu",
    "weights": "0a",
    "data": {"classes": ["pug", "beagle"], "images": {"train": 6, "valid": 4}, "files": "0b"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "training.safetensors"


def kept(file: Path, epochs: int = 2, **changes: Any) -> Trainer:
    """A trainer of three epochs that has left a checkpoint after so many, and was trained to its end."""
    checkpoint = Checkpoint(file, PRINT)

    def save(training: Trainer) -> None:
        if training.state.epoch <= epochs:
            checkpoint.save(training)

    training = trainer([], epochs=3, save=save, **changes)
    training.fit()
    return training


def resumed(file: Path, found: dict[str, Any] = PRINT, **changes: Any) -> Trainer:
    training = trainer([], epochs=3, **changes)
    Checkpoint(file, found).resume(training)
    return training


def state(network: nn.Module) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw"},
        {"optimizer": "adam", "ema_decay": 0.9},
        {"optimizer": "sgd", "lr_schedule": "constant"},
        {"freeze": "gradual", "ema_decay": 0.5},
    ],
)
def test_it_goes_on_to_the_same_end(file: Path, changes: dict[str, Any]) -> None:
    whole = kept(file, **changes)
    training = resumed(file, **changes)
    assert (training.state.epoch, training.state.step) == (2, 6)
    assert [row["epoch"] for row in training.state.earlier] == [1, 2]
    found = training.fit()
    assert whole.best is not None
    assert {name: tensor.tolist() for name, tensor in found.weights.items()} == {
        name: tensor.tolist() for name, tensor in whole.best.weights.items()
    }
    assert (found.epoch, state(training.network)) == (whole.best.epoch, state(whole.network))
    assert [row["validation_loss"] for row in training.history] == [row["validation_loss"] for row in whole.history]


def test_the_optimizers_memory_is_laid_out_as_the_weights(file: Path) -> None:
    whole = kept(file)
    training = resumed(file)
    for parameter, other in zip(training.network.parameters(), whole.network.parameters(), strict=True):
        assert training.optimizer.state[parameter]["exp_avg"].stride() == other.stride() == parameter.stride()


def test_early_stopping_remembers(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A learning rate that changes nothing: no epoch is better than the first.
    changes: dict[str, Any] = {"lr": 1e-30, "weight_decay": 0, "patience": 2, "epochs": 6}
    first = trainer([], save=Checkpoint(file, PRINT).save, **changes)
    first.fit()
    assert first.state.epoch == 3
    assert "early stopping: no epoch was better than epoch 1" in capsys.readouterr().out
    second = trainer([], **changes)
    Checkpoint(file, PRINT).resume(second)
    assert second.fit().epoch == 1
    assert second.state.epoch == 3
    assert capsys.readouterr().out == (
        "checkpoint: training goes on after epoch 3 of 6\nearly stopping: no epoch was better than epoch 1\n"
    )


def with_(name: str, value: object) -> dict[str, Any]:
    return {**PRINT, name: value}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            with_("hyperparameters", {"lr": 0.01, "epochs": 3, "flip": 0.5}),
            "is of a training with other hyperparameters (lr 0.001, now 0.01, flip None, now 0.5)",
        ),
        (
            with_("data", {"classes": ["pug"], "images": {"train": 7}, "files": "0c"}),
            "is of a training on other data (2 classes; images: 6 train, 4 valid; now 1 classes; images: 7 train)",
        ),
        (
            with_("data", {**PRINT["data"], "files": "0c"}),
            "is of a training on other images or classes, as many as these",
        ),
        (
            with_("weights", "0d"),
            "is of a training from other pretrained weights, or on another kind of device",
        ),
    ],
)
def test_another_training_starts_from_the_beginning(
    file: Path, capsys: pytest.CaptureFixture[str], found: dict[str, Any], told: str
) -> None:
    kept(file)
    capsys.readouterr()
    training = resumed(file, found)
    assert capsys.readouterr().out == f"checkpoint: {file} {told}: this one starts from the beginning\n"
    assert (training.state.epoch, training.best, training.history) == (0, None, [])


def test_a_completed_trainings_weights_are_gone_and_it_says_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(file)
    Checkpoint(file, PRINT).complete()
    assert file.stat().st_size < 1000
    capsys.readouterr()
    assert resumed(file).state.epoch == 0
    assert "is of a training that was completed: this one starts from the beginning" in capsys.readouterr().out


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def changed(change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object]) -> Callable[[Path], None]:
    """The file with other tensors, or another text beside them; whole in itself."""

    def write(file: Path) -> None:
        tensors = safetensors.torch.load(file.read_bytes())
        with safetensors.safe_open(file, "pt") as opened:
            about = json.loads(opened.metadata()["checkpoint"])
        change(tensors, about)
        safetensors.torch.save_file(tensors, file, {"checkpoint": json.dumps(about)})

    return write


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut off": cut_off,
    "a folder": a_folder,
    "another format": lambda file: file.write_text("pickled"),
    "no text": lambda file: safetensors.torch.save_file({}, file),
    "no JSON": lambda file: safetensors.torch.save_file({}, file, {"checkpoint": "{"}),
    "no object": lambda file: safetensors.torch.save_file({}, file, {"checkpoint": "[1]"}),
    "no tensor": changed(lambda tensors, _: tensors.pop("network.head.weight")),
    "another shape": changed(lambda tensors, _: tensors.update({"optimizer.0.exp_avg": torch.zeros(7)})),
    "no such parameter": changed(lambda tensors, _: tensors.update({"optimizer.99.exp_avg": torch.zeros(1)})),
    "another generator": changed(lambda tensors, _: tensors.update({"random": torch.zeros(3)})),
    "no epoch": changed(lambda _, about: about["state"].pop("epoch")),
    "no numbers": changed(lambda _, about: about["state"].update(learning_rates=["fast", "slow"])),
    "no best epoch": changed(lambda _, about: about["state"].update(best=None)),
    "no metrics": changed(lambda _, about: about["state"].update(history=[1])),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_what_cannot_be_read_starts_from_the_beginning(
    file: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    kept(file)
    DAMAGES[how](file)
    before = state(small_network())
    capsys.readouterr()
    training = resumed(file)
    said = capsys.readouterr().out
    assert said.startswith(f"checkpoint: {file} can't be read (")
    assert said.endswith("): training starts from the beginning\n")
    assert said.count("\n") == 1
    assert (training.state.epoch, training.best, state(training.network)) == (0, None, before)
    assert training.fit().epoch >= 1


def test_what_cannot_be_written_is_told_and_training_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gone"
    training = kept(folder / "training.safetensors")
    assert training.state.epoch == 3
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("checkpoint: WARNING")]
    assert len(said) == 2
    assert "can't be written" in said[0]
    assert said[0].endswith("; training goes on without")


def test_what_a_killed_process_was_writing_is_cleared_away(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = file.with_name("training.safetensors.part")
    part.write_bytes(b"half")
    assert resumed(file).state.epoch == 0
    assert not part.exists()
    assert capsys.readouterr().out == f"checkpoint: {file} will be written after every epoch\n"
    kept(file)
    assert [each.name for each in file.parent.iterdir()] == [file.name]


@pytest.fixture
def run(tmp_path: Path) -> TrainingRun:
    make_classes(tmp_path / "input" / "data" / "train", 4)
    make_classes(tmp_path / "input" / "data" / "valid", 2, seed=50)
    paths = MLPaths(tmp_path)
    data = load_data(resolve_splits({n: paths.input_data / n for n in ("train", "valid")}), Progress(None))
    chosen, cpu = Hyperparameters(image_size=32, pretrained="none"), torch.device("cpu")
    return TrainingRun(paths, chosen, cpu, Preprocess.for_size(32), data, "none", MetricLog(None), Progress(None))


def test_what_makes_a_training_another(run: TrainingRun) -> None:
    network = small_network()
    same = fingerprint(run, network)
    aside = {"workers": 3, "cache": "memory", "debug": "off", "rule_action": "stop", "export": "none", "device": "cpu"}
    chosen = run.hyperparameters
    assert fingerprint(replace(run, hyperparameters=replace(chosen, **aside)), network) == same  # type: ignore[arg-type]
    assert fingerprint(replace(run, hyperparameters=replace(chosen, seed=1)), network) != same
    other = copy.deepcopy(network)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    assert fingerprint(run, other) != same
    first = run.paths.input_data / "valid" / run.data.classes[0] / "00.jpg"
    first.write_bytes(first.read_bytes() + b"\0")
    assert fingerprint(run, network)["data"]["files"] != same["data"]["files"]
