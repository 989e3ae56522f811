"""The checkpoint of a training: one file, whole after every epoch, from which the same job goes on.

One file, because a folder that is copied while it is written may hold files of two epochs. In it is what a trainer is
between two epochs, as named tensors and JSON.
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
from torch import Tensor, nn

from contract.files import move_durably
from model.network import Classifier
from model.weights import serialise
from train.context import TrainingRun
from train.loader import vanished
from train.trainer import Best, Trainer

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
    def of(cls, run: TrainingRun, network: Classifier) -> "Checkpoint":
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


def fingerprint(run: TrainingRun, network: Classifier) -> Fingerprint:
    """What has to be the same for a training to go on. Raises DataError when an image is gone."""
    chosen = asdict(run.hyperparameters).items()
    return {
        "hyperparameters": {n: value for n, value in chosen if n not in _ASIDE and not n.startswith("tune_")},
        "device": run.device.type,
        "weights": hashlib.sha256(serialise(network)).hexdigest(),
        "data": {
            "classes": list(run.data.classes),
            "images": {split: len(run.data.splits[split].samples) for split in ("train", "valid")},
            "files": hashlib.sha256("\n".join(_files(run)).encode("utf-8", "backslashreplace")).hexdigest(),
        },
    }


def _files(run: TrainingRun) -> Iterator[str]:
    """Name, class and size of every image that training and validation see."""
    for split in ("train", "valid"):
        for sample in run.data.splits[split].samples:
            try:
                yield f"{split} {sample.label} {sample.source.size} {sample.name}"
            except OSError as error:
                raise vanished(sample, error) from error


def _about(file: Path) -> dict[str, Any]:
    with safe_open(file, "pt") as content:
        about = json.loads(content.metadata()["checkpoint"])
    if not isinstance(about, dict):
        raise TypeError("it holds no JSON object")
    return about


def _told(data: Mapping[str, Any]) -> str:
    images = ", ".join(f"{count} {split}" for split, count in data["images"].items())
    return f"{len(data['classes'])} classes; images: {images}"


def _say(text: str) -> None:
    print(f"checkpoint: {text}", flush=True)


Tensors = Mapping[str, Tensor]
State = tuple[dict[str, Tensor], dict[str, Any]]


def capture(trainer: Trainer) -> State:
    """Tensors on the CPU, which may be the trainer's own memory, and what JSON holds.

    The best epoch's weights are left out where they are the last one's.
    """
    best, average = trainer.best, trainer.average
    assert best is not None
    parts: dict[str, Mapping[str, Any]] = {"network": trainer.network.state_dict()}
    if average is not None:
        parts["average"] = average.state_dict()
    if best.epoch != trainer.state.epoch:
        parts["best"] = best.weights
    for number, values in trainer.optimizer.state_dict()["state"].items():
        parts[f"optimizer.{number}"] = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    tensors = {f"{part}.{name}": _plain(value) for part, values in parts.items() for name, value in values.items()}
    schedule = trainer.schedule.state_dict()
    del schedule["lr_lambdas"]
    about = {
        "epoch": trainer.state.epoch,
        "step": trainer.state.step,
        "best": {"epoch": best.epoch, "metrics": best.metrics},
        "history": trainer.history,
        "learning_rates": [group["lr"] for group in trainer.optimizer.param_groups],
        "schedule": schedule,
        "averaged": 0 if average is None else average.steps,
    }
    # Nothing between two epochs draws from torch's generator; what comes after the last one may.
    return {**tensors, "random": torch.get_rng_state()}, about


def restore(trainer: Trainer, tensors: Tensors, about: Mapping[str, Any]) -> None:
    """Take up what `capture` gave of a trainer like this one, which is as new.

    Raises KeyError, TypeError or ValueError where it doesn't fit, and leaves the trainer as it is then.
    """
    network, average, random = _part(tensors, "network"), trainer.average, {"random": tensors["random"]}
    _must_fit(random, {"random": torch.get_rng_state()})
    averaged = {} if average is None else _part(tensors, "average")
    _must_fit(network, trainer.network.state_dict())
    if average is not None:
        _must_fit(averaged, average.state_dict())
    saved = _optimizer(trainer, tensors, [float(rate) for rate in about["learning_rates"]])
    schedule = {**trainer.schedule.state_dict(), **about["schedule"]}
    if len(schedule) > len(trainer.schedule.state_dict()):
        raise ValueError("its schedule is another version's")
    best = _best(trainer, tensors, about)
    epoch, step, updates = (int(about[name]) for name in ("epoch", "step", "averaged"))
    history = [dict(row) for row in about["history"]]
    # From here on nothing can fail.
    torch.set_rng_state(random["random"])
    trainer.network.load_state_dict(network)
    if average is not None:
        average.load_state_dict(averaged, updates)
    trainer.optimizer.load_state_dict(saved)
    _lay_out(trainer.optimizer)
    trainer.schedule.load_state_dict(schedule)
    trainer.resume_from(best, history, epoch, step)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _part(tensors: Tensors, name: str) -> dict[str, Tensor]:
    start = f"{name}."
    return {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}


def _must_fit(found: Tensors, wanted: Tensors) -> None:
    shapes = [{name: (tensor.shape, tensor.dtype) for name, tensor in each.items()} for each in (found, wanted)]
    if shapes[0] != shapes[1]:
        raise ValueError("its tensors are another network's")


def _best(trainer: Trainer, tensors: Tensors, about: Mapping[str, Any]) -> Best:
    epoch, metrics = int(about["best"]["epoch"]), dict(about["best"]["metrics"])
    source = "best"
    if epoch == about["epoch"]:
        source = "network" if trainer.average is None else "average.module"
    # Copies: what was read may lie in the file's memory.
    weights = {name: tensor.clone() for name, tensor in _part(tensors, source).items()}
    _must_fit(weights, trainer.network.state_dict())
    best = Best(epoch, metrics, weights)
    best.rank()
    return best


def _optimizer(trainer: Trainer, tensors: Tensors, learning_rates: list[float]) -> dict[str, Any]:
    """A state dict of the trainer's optimizer."""
    saved = trainer.optimizer.state_dict()
    parameters = [each for group in trainer.optimizer.param_groups for each in group["params"]]
    for name, tensor in _part(tensors, "optimizer").items():
        number, _, key = name.partition(".")
        if tensor.shape not in (parameters[int(number)].shape, torch.Size()):
            raise ValueError("its optimizer is another network's")
        saved["state"].setdefault(int(number), {})[key] = tensor
    for group, rate in zip(saved["param_groups"], learning_rates, strict=True):
        group["lr"] = rate
    return saved


def _lay_out(optimizer: torch.optim.Optimizer) -> None:
    """In memory as the parameters are: sums that are taken in another order would be others in their last digits."""
    for parameter, values in optimizer.state.items():
        assert isinstance(parameter, nn.Parameter)
        for name, value in values.items():
            if value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)
