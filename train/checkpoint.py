"""The checkpoint of a training: one file, complete after every epoch, from which the same job resumes.

One file, because a folder that is copied while it is written may hold files of two epochs. It holds a trainer's state
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
from train.data.dataset import describe_sizes
from train.loader import vanished_error
from train.trainer import BestEpoch, Trainer

FORMAT: Final = 1
UNFINISHED: Final = ".part"  # what the file is called while it is written
# Hyperparameters that change no weight: a training may resume with other values of them.
_IRRELEVANT: Final = (
    "cache", "callbacks", "debug", "debug_interval", "device", "export", "profile", "profile_interval", "profile_steps",
    "rule_action", "rules", "tensorboard", "workers",
)  # fmt: skip
_FAULTS: Final = (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError)

Fingerprint = Mapping[str, Any]  # hyperparameters, data, device, weights: JSON


class Checkpoint:
    """Keeps one training's checkpoint. Faults in reading or writing are printed and never end the training."""

    def __init__(self, file: Path, fingerprint: Fingerprint) -> None:
        """fingerprint: of the training that this checkpoint is for."""
        self._file = file
        self._fingerprint = fingerprint

    def resume(self, trainer: Trainer) -> list[dict[str, float | int]]:
        """Restore a new trainer from the checkpoint, and return the metrics of the epochs so far.

        Without a checkpoint of this training the trainer stays new, and there are none. Prints what happens.
        """
        with suppress(OSError):
            self._part_file.unlink(missing_ok=True)
        if not self._file.exists():
            _say(f"{self._file} will be written after every epoch")
            return []
        try:
            about = _read_header(self._file)
            if (difference := self._difference(about)) is not None:
                _say(f"{self._file} is of a training {difference}: this one starts from the beginning")
                return []
            restore(trainer, safetensors.torch.load_file(self._file), about["state"])
        except _FAULTS as error:
            why = " ".join(str(error).split()) or type(error).__name__
            _say(f"{self._file} can't be read ({why}): training starts from the beginning")
            return []
        _say(f"training goes on after epoch {trainer.state.epoch} of {trainer.state.epochs}")
        return list(trainer.state.earlier)

    def save(self, trainer: Trainer) -> None:
        """Write the trainer's state after a whole epoch."""
        tensors, state = capture(trainer)
        self._write(tensors, {"state": state})

    def complete(self) -> None:
        """Replace the checkpoint by a note that the training was completed, for a job on the same folder."""
        self._write({}, {"completed": True})

    @property
    def _part_file(self) -> Path:
        return self._file.with_name(self._file.name + UNFINISHED)

    def _write(self, tensors: dict[str, torch.Tensor], about: Mapping[str, Any]) -> None:
        content = json.dumps({"format": FORMAT, "fingerprint": self._fingerprint, **about})
        try:
            safetensors.torch.save_file(tensors, self._part_file, {"checkpoint": content})
            move_durably(self._part_file, self._file)
        except (OSError, SafetensorError) as error:
            _say(f"WARNING: {self._file} can't be written ({' '.join(str(error).split())}); training goes on without")

    def _difference(self, about: Mapping[str, Any]) -> str | None:
        """How the checkpoint's training differs from this one; None when it is the same and not completed."""
        if about["format"] != FORMAT:
            return "of another version of Kennel"
        before, now = about["fingerprint"], json.loads(json.dumps(self._fingerprint))
        if before["data"] != now["data"]:
            old_size, new_size = (
                describe_sizes(len(data["classes"]), data["images"]) for data in (before["data"], now["data"])
            )
            if old_size == new_size:
                return "on other images or classes, as many as these"
            return f"on other data ({old_size}; now {new_size})"
        old, new = before["hyperparameters"], now["hyperparameters"]
        if changes := [f"{name} {old.get(name)}, now {new[name]}" for name in new if old.get(name) != new[name]]:
            return f"with other hyperparameters ({', '.join(changes)})"
        if before != now:
            return "from other pretrained weights, or on another kind of device"
        return "that was completed" if about.get("completed") else None


def fingerprint(run: TrainingRun, network: Classifier) -> Fingerprint:
    """What has to be the same for a training to resume. Raises DataError when an image is gone."""
    hyperparameters = asdict(run.hyperparameters).items()
    return {
        "hyperparameters": {
            name: value for name, value in hyperparameters if name not in _IRRELEVANT and not name.startswith("tune_")
        },
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
                raise vanished_error(sample, error) from error


def _read_header(file: Path) -> dict[str, Any]:
    with safe_open(file, "pt") as content:
        about = json.loads(content.metadata()["checkpoint"])
    if not isinstance(about, dict):
        raise TypeError("it holds no JSON object")
    return about


def _say(text: str) -> None:
    print(f"checkpoint: {text}", flush=True)


Tensors = Mapping[str, Tensor]
State = tuple[dict[str, Tensor], dict[str, Any]]


def capture(trainer: Trainer) -> State:
    """The trainer's tensors, on the CPU and maybe in the trainer's own memory, and the rest as JSON.

    The best epoch's weights are left out where they are the last epoch's.
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
    tensors = {f"{part}.{name}": _on_cpu(value) for part, values in parts.items() for name, value in values.items()}
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
    """Restore a new trainer to the state that `capture` returned of a trainer with the same hyperparameters.

    Raises KeyError, TypeError or ValueError where the state doesn't fit; the trainer is then unchanged.
    """
    network, average, random = _part(tensors, "network"), trainer.average, {"random": tensors["random"]}
    _check_shapes(random, {"random": torch.get_rng_state()})
    averaged = {} if average is None else _part(tensors, "average")
    _check_shapes(network, trainer.network.state_dict())
    if average is not None:
        _check_shapes(averaged, average.state_dict())
    saved = _optimizer(trainer, tensors, [float(rate) for rate in about["learning_rates"]])
    schedule = {**trainer.schedule.state_dict(), **about["schedule"]}
    if len(schedule) > len(trainer.schedule.state_dict()):
        raise ValueError("its schedule is another version's")
    best = _best(trainer, tensors, about)
    epoch, step, updates = (int(about[name]) for name in ("epoch", "step", "averaged"))
    history = [dict(row) for row in about["history"]]
    # Nothing below can fail.
    torch.set_rng_state(random["random"])
    trainer.network.load_state_dict(network)
    if average is not None:
        average.resume(averaged, updates)
    trainer.optimizer.load_state_dict(saved)
    _match_layout(trainer.optimizer)
    trainer.schedule.load_state_dict(schedule)
    trainer.resume_from(best, history, epoch, step)


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _part(tensors: Tensors, name: str) -> dict[str, Tensor]:
    start = f"{name}."
    return {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}


def _check_shapes(saved: Tensors, expected: Tensors) -> None:
    saved_shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in saved.items()}
    if saved_shapes != {name: (tensor.shape, tensor.dtype) for name, tensor in expected.items()}:
        raise ValueError("its tensors are another network's")


def _best(trainer: Trainer, tensors: Tensors, about: Mapping[str, Any]) -> BestEpoch:
    epoch, metrics = int(about["best"]["epoch"]), dict(about["best"]["metrics"])
    source = "best"
    if epoch == about["epoch"]:
        source = "network" if trainer.average is None else "average.module"
    # Copies: the tensors may lie in the file's memory.
    weights = {name: tensor.clone() for name, tensor in _part(tensors, source).items()}
    _check_shapes(weights, trainer.network.state_dict())
    best = BestEpoch(epoch, metrics, weights)
    best.rank()
    return best


def _optimizer(trainer: Trainer, tensors: Tensors, learning_rates: list[float]) -> dict[str, Any]:
    """A state dict of the trainer's optimizer."""
    saved = trainer.optimizer.state_dict()
    parameters = [parameter for group in trainer.optimizer.param_groups for parameter in group["params"]]
    for name, tensor in _part(tensors, "optimizer").items():
        number, _, key = name.partition(".")
        if tensor.shape not in (parameters[int(number)].shape, torch.Size()):
            raise ValueError("its optimizer is another network's")
        saved["state"].setdefault(int(number), {})[key] = tensor
    for group, rate in zip(saved["param_groups"], learning_rates, strict=True):
        group["lr"] = rate
    return saved


def _match_layout(optimizer: torch.optim.Optimizer) -> None:
    """Give the state the parameters' memory layout: sums in another order would differ in their last digits."""
    for parameter, values in optimizer.state.items():
        assert isinstance(parameter, nn.Parameter)
        for name, value in values.items():
            if value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)
