"""A training that is killed or stopped, and the same job again: the weights are those of one that ran undisturbed."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from model.artifact import Artifact
from tests.train.support import QUICK, TIMEOUT_S, Finished, configure, finish, make_classes, start, train

IMAGES: Final = 36  # of training
LONG: Final[dict[str, Any]] = {"epochs": "8", "batch_size": "8"}
# What the checkpoint has to hold differs between these.
KINDS: Final[dict[str, dict[str, Any]]] = {
    "everything": {
        "ema_decay": "0.9", "grad_clip": "1", "mixup": "0.4", "cutmix": "1", "class_balance": "sampling",
        "auto_augment": "rand", "lr": "0.01",
    },
    "gradual": {"freeze": "gradual", "optimizer": "sgd", "lr_schedule": "constant", "workers": "2", "cache": "memory"},
    # Its steps take no time: more of them.
    "features": {"freeze": "backbone", "head": "mlp", "feature_views": "3", "batch_size": "1", "epochs": "100"},
}  # fmt: skip


def job(root: Path) -> Path:
    """Photos, and a folder for checkpoints."""
    make_classes(root / "input" / "data" / "train", 12)
    make_classes(root / "input" / "data" / "validation", 4, seed=100)
    (root / "checkpoints").mkdir()
    return root


def batches(root: Path) -> int:
    """Training steps that are done."""
    try:
        told = json.loads((root / "output" / "progress.json").read_text())
    except FileNotFoundError:
        return 0
    return int(told["done"]) if told["phase"] == "training" else 0


def within_an_epoch(root: Path) -> bool:
    """Whether a training is in the middle of its third epoch, or of a later one."""
    size = int(json.loads((root / "input" / "config" / "hyperparameters.json").read_text())["batch_size"])
    epoch, step = divmod(batches(root), -(-IMAGES // size))
    return epoch >= 2 and step > 0


def training(root: Path, reached: Callable[[Path], bool], **hyperparameters: Any) -> "subprocess.Popen[str]":
    """A job that has come as far as `reached`."""
    configure(root, {**QUICK, **hyperparameters})
    process = start(["train"], root)
    give_up = time.monotonic() + TIMEOUT_S
    while not reached(root) and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()
    return process


def as_a_new_host(root: Path) -> None:
    """SageMaker gives a job that it starts again its input and its checkpoints alone."""
    for name in ("model", "output"):
        shutil.rmtree(root / name, ignore_errors=True)


def again(root: Path) -> Finished:
    return finish(start(["train"], root), root)


def said(result: Finished) -> list[str]:
    return [line.removeprefix("checkpoint: ") for line in result.out.splitlines() if line.startswith("checkpoint: ")]


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "epoch_seconds"} for row in rows]


def history(result: Finished) -> list[dict[str, Any]]:
    return untimed(json.loads((result.model / "history.json").read_text())["epochs"])


def weights(result: Finished) -> bytes:
    return (result.model / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.long
def test_after_a_kill_in_mid_epoch_it_ends_as_if_there_had_been_none(kind: str, tmp_path: Path) -> None:
    chosen = {**LONG, **KINDS[kind]}
    root = job(tmp_path / "job")
    process = training(root, within_an_epoch, **chosen)
    process.kill()
    killed = finish(process, root)
    assert killed.code == -signal.SIGKILL
    before = killed.metrics
    as_a_new_host(root)
    resumed = again(root)
    assert resumed.code == 0, resumed.err
    (told,) = said(resumed)
    assert told.startswith("training goes on after epoch ")
    done = int(told.split()[5])
    epochs = int(chosen["epochs"])
    assert told == f"training goes on after epoch {done} of {epochs}"
    assert 2 <= done < epochs
    printed = [line for line in resumed.out.splitlines() if line.startswith("epoch=")]
    assert [int(line.split(";")[0].removeprefix("epoch=")) for line in printed] == list(range(done + 1, epochs + 1))
    assert resumed.metrics[:done] == before[:done]
    whole = job(tmp_path / "whole")
    # Without the folder there is nothing to keep, and nothing else is another.
    (whole / "checkpoints").rmdir()
    undisturbed = train(whole, **chosen)
    assert said(undisturbed) == []
    assert not (whole / "checkpoints").exists()
    assert weights(resumed) == weights(undisturbed)
    assert untimed(resumed.metrics) == untimed(undisturbed.metrics)
    assert history(resumed) == history(undisturbed)
    assert resumed.manifest["provenance"]["best_epoch"] == undisturbed.manifest["provenance"]["best_epoch"]


def test_sigterm_leaves_the_best_epoch_and_the_same_job_goes_on(tmp_path: Path) -> None:
    root = job(tmp_path)
    process = training(root, within_an_epoch, **LONG)
    process.send_signal(signal.SIGTERM)
    result = finish(process, root)
    assert result.code == 143, result.err
    assert result.cause == (
        f"Stopped: SIGTERM came before training had ended; the best epoch so far is in {root / 'model'}; the same job "
        "with its checkpoints goes on from there"
    )
    assert Artifact.load(root / "model").provenance["completed"] is False
    as_a_new_host(root)
    assert again(root).code == 0
    assert Artifact.load(root / "model").provenance["completed"] is True


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Two epochs, watched by all observers, killed when the second one is over: while TensorBoard's pictures, the
    evaluation or the forms are made.
    """
    root = job(tmp_path_factory.mktemp("observed"))
    observers = {"debug": "on", "debug_interval": "1", "profile": "on", "tensorboard": "on", "export": "int8"}

    def exporting(root: Path) -> bool:
        file = root / "output" / "progress.json"
        return file.exists() and json.loads(file.read_text())["phase"] == "quantizing"

    process = training(root, exporting, **{**observers, "epochs": "2"})
    process.kill()
    return finish(process, root)


@pytest.mark.long
def test_killed_after_its_last_epoch_it_only_finishes(trained: Finished) -> None:
    before = weights(trained)
    as_a_new_host(trained.root)
    result = again(trained.root)
    assert result.code == 0, result.err
    assert "WARNING" not in result.err + result.out
    assert said(result) == ["training goes on after epoch 2 of 2"]
    assert "epoch=" not in result.out
    assert [row.get("epoch") for row in result.metrics] == [1, 2]
    assert weights(result) == before
    assert result.manifest["default_form"].startswith("openvino")
    for name in ("debugger-report.html", "profiler-report.html", "evaluation.html"):
        assert (result.root / "output" / "data" / name).is_file()
    # What is left of it doesn't let another job end at once.
    assert [file.name for file in (result.root / "checkpoints").iterdir()] == ["training.safetensors"]
    assert (result.root / "checkpoints" / "training.safetensors").stat().st_size < 10_000
    once_more = train(result.root, epochs="2")
    assert once_more.code == 0
    (told,) = said(once_more)
    assert told.endswith("training.safetensors is of a training that was completed: this one starts from the beginning")
    assert weights(once_more) == before
