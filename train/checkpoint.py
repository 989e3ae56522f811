"""The checkpoint of a training: one file, whole after every epoch, from which the same job goes on.

One file, because a folder that is copied while it is written may hold files of two epochs.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from contract.files import move_durably
from model.network import Classifier
from model.weights import serialise
from train.loader import vanished
from train.loop import Trainer
from train.run import Run
from train.state import capture, restore

FORMAT: Final = 1
UNFINISHED: Final = ".part"  # what the file is called while it is written
# Hyperparameters that change no weight: the same training goes on, whatever they are now.
_ASIDE: Final = (
    "cache", "debug", "debug_interval", "device", "export", "profile", "profile_interval", "profile_steps",
    "rule_action", "rules", "tensorboard", "workers",
)  # fmt: skip
_FAULTS: Final = (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError)

Fingerprint = Mapping[str, Any]  # hyperparameters, data, device, weights: JSON


class Checkpoint:
    """Never ends a training: what can't be read or written is told."""

    def __init__(self, file: Path, fingerprint: Fingerprint) -> None:
        """fingerprint: of the training that is to be kept here."""
        self._file = file
        self._fingerprint = fingerprint

    @classmethod
    def of(cls, run: Run, network: Classifier) -> "Checkpoint":
        """The run's, in its job's folder for checkpoints. network: as training begins with it.

        Raises DataError when an image is gone.
        """
        return cls(run.paths.training_checkpoint, fingerprint(run, network))

    def resume(self, trainer: Trainer) -> list[dict[str, float | int]]:
        """Put the trainer, which is as new, where the checkpoint is; the metrics of the epochs until there.

        It stays as it is, and there are none, where there is no checkpoint of this training. The log says what happens.
        """
        with suppress(OSError):
            self._unfinished.unlink(missing_ok=True)
        if not self._file.exists():
            _say(f"{self._file} will be written after every epoch")
            return []
        try:
            about = _about(self._file)
            if (other := self._other(about)) is not None:
                _say(f"{self._file} is of a training {other}: this one starts from the beginning")
                return []
            restore(trainer, safetensors.torch.load_file(self._file), about["state"])
        except _FAULTS as error:
            why = " ".join(str(error).split()) or type(error).__name__
            _say(f"{self._file} can't be read ({why}): training starts from the beginning")
            return []
        _say(f"training goes on after epoch {trainer.state.epoch} of {trainer.state.epochs}")
        return list(trainer.state.earlier)

    def save(self, trainer: Trainer) -> None:
        """Keep the trainer as it is, after a whole epoch."""
        tensors, state = capture(trainer)
        self._write(tensors, {"state": state})

    def complete(self) -> None:
        """The training was completed: what remains is a note of that, for a job that is given the same folder."""
        self._write({}, {"completed": True})

    @property
    def _unfinished(self) -> Path:
        return self._file.with_name(self._file.name + UNFINISHED)

    def _write(self, tensors: dict[str, torch.Tensor], about: Mapping[str, Any]) -> None:
        content = json.dumps({"format": FORMAT, "fingerprint": self._fingerprint, **about})
        try:
            safetensors.torch.save_file(tensors, self._unfinished, {"checkpoint": content})
            move_durably(self._unfinished, self._file)
        except (OSError, SafetensorError) as error:
            _say(f"WARNING: {self._file} can't be written ({' '.join(str(error).split())}); training goes on without")

    def _other(self, about: Mapping[str, Any]) -> str | None:
        """How the training of a checkpoint differs from this one; None where it is the same and goes on."""
        if about["format"] != FORMAT:
            return "of another version of Kennel"
        before, now = about["fingerprint"], json.loads(json.dumps(self._fingerprint))
        if before["data"] != now["data"]:
            sizes = _told(before["data"]), _told(now["data"])
            same = sizes[0] == sizes[1]
            return "on other images or classes, as many as these" if same else f"on other data ({'; now '.join(sizes)})"
        chosen, wanted = before["hyperparameters"], now["hyperparameters"]
        if changed := [name for name in wanted if chosen.get(name) != wanted[name]]:
            told = ", ".join(f"{name} {chosen.get(name)}, now {wanted[name]}" for name in changed)
            return f"with other hyperparameters ({told})"
        if before != now:
            return "from other pretrained weights, or on another kind of device"
        return "that was completed" if about.get("completed") else None


def fingerprint(run: Run, network: Classifier) -> Fingerprint:
    """What has to be the same for a training to go on. Raises DataError when an image is gone."""
    chosen = asdict(run.hyperparameters).items()
    return {
        "hyperparameters": {n: value for n, value in chosen if n not in _ASIDE and not n.startswith("tune_")},
        "device": run.device.type,
        "weights": hashlib.sha256(serialise(network)).hexdigest(),
        "data": {
            "classes": list(run.data.classes),
            "images": {role: len(run.data.splits[role].samples) for role in ("train", "valid")},
            "files": hashlib.sha256("\n".join(_files(run)).encode("utf-8", "backslashreplace")).hexdigest(),
        },
    }


def _files(run: Run) -> Iterator[str]:
    """Name, class and size of every image that training and validation see."""
    for role in ("train", "valid"):
        for sample in run.data.splits[role].samples:
            try:
                yield f"{role} {sample.label} {sample.source.size} {sample.name}"
            except OSError as error:
                raise vanished(sample, error) from error


def _about(file: Path) -> dict[str, Any]:
    with safe_open(file, "pt") as content:
        about = json.loads(content.metadata()["checkpoint"])
    if not isinstance(about, dict):
        raise TypeError("it holds no JSON object")
    return about


def _told(data: Mapping[str, Any]) -> str:
    images = ", ".join(f"{count} {role}" for role, count in data["images"].items())
    return f"{len(data['classes'])} classes; images: {images}"


def _say(text: str) -> None:
    print(f"checkpoint: {text}", flush=True)
