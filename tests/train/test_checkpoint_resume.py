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

from tests.train.support import QUICK, TIMEOUT_S, Finished, configure, finish, make_classes, start, train

STEPS: Final = 5  # of an epoch: 36 images
LONG: Final = {"epochs": "8"}
# What the checkpoint has to hold differs between these.
KINDS: Final[dict[str, dict[str, str]]] = {
    "everything": {
        "ema_decay": "0.9", "grad_clip": "1", "mixup": "0.4", "cutmix": "1", "class_balance": "sampling",
        "auto_augment": "rand", "lr": "0.01",
    },
    "gradual": {"freeze": "gradual", "optimizer": "sgd", "lr_schedule": "constant", "workers": "2", "cache": "memory"},
    "features": {"freeze": "backbone", "head": "mlp", "feature_views": "3", "lr": "0.01"},
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
    return batches(root) > 2 * STEPS and batches(root) % STEPS > 0


def training(root: Path, reached: Callable[[Path], bool], **hyperparameters: str) -> "subprocess.Popen[str]":
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
    assert told == f"training goes on after epoch {done} of 8"
    assert done >= 2
    printed = [line for line in resumed.out.splitlines() if line.startswith("epoch=")]
    assert [int(line.split(";")[0].removeprefix("epoch=")) for line in printed] == list(range(done + 1, 9))
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
