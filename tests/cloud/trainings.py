"""Trainings in the simulated account: a small data set, and what a job leaves."""

import json
from pathlib import Path

from backends.base import JobProgress, ProgressCallback
from backends.cancel import CancelToken
from backends.runs import Run, create_run
from backends.sagemaker.account import Account
from backends.sagemaker.jobs.training import train
from contract.hyperparameters import Hyperparameters
from tests.cloud.simulator.work import Prepared

SMALL = Hyperparameters(pretrained="none", epochs=2, image_size=64)
EPOCHS = (
    "epoch=1; train_loss=0.7; train_accuracy=0.5; validation_loss=0.6; validation_accuracy=0.650000;",
    "epoch=2; train_loss=0.5; train_accuracy=0.8; validation_loss=0.4; validation_accuracy=0.900000;",
    "test_loss=0.4; test_accuracy=0.875000;",
)


def photos(folder: Path) -> Path:
    """A data set as far as an upload is concerned: four files."""
    for number, name in enumerate(("train/pug/1.jpg", "train/beagle/2.jpg", "valid/pug/3.jpg", "test/pug/4.jpg")):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"photo %d" % number)
    return folder


def leave(prepared: Prepared, folder: Path) -> None:
    """Have every job leave an artifact and a report."""
    (folder / "model").mkdir(parents=True)
    (folder / "output" / "data").mkdir(parents=True)
    manifest = {"provenance": {"completed": True}, "metrics": {"test_accuracy": 0.875}}
    (folder / "model" / "kennel.json").write_text(json.dumps(manifest))
    (folder / "model" / "model.safetensors").write_bytes(b"weights")
    (folder / "output" / "data" / "metrics.jsonl").write_text('{"epoch": 1}\n')
    prepared.left, prepared.lines = folder, EPOCHS


def new_run(runs: Path, name: str = "first") -> Run:
    """A run folder as `train --on sagemaker` makes it."""
    return create_run(runs, "training", name, backend="sagemaker", data="photos", hyperparameters={"epochs": 2})


class Seen(list[JobProgress]):
    """What was watched."""

    @property
    def watch(self) -> ProgressCallback:
        return self.append

    @property
    def phases(self) -> list[str]:
        """Each phase once, in order."""
        return list(dict.fromkeys(each.phase for each in self))


def trained(
    account: Account, folder: Path, hyperparameters: Hyperparameters = SMALL, cancel: CancelToken | None = None
) -> Run:
    """A run that was trained on the photos."""
    run = new_run(folder / "runs")
    train(account, run, photos(folder / "photos"), hyperparameters, lambda _: None, cancel or CancelToken())
    return run
