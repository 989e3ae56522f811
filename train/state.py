"""What a trainer is between two epochs, as named tensors and JSON, and back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from train.loop import Best, Trainer

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
    history = [(dict(row), metrics_of(row)) for row in about["history"]]
    # From here on nothing can fail.
    torch.set_rng_state(random["random"])
    trainer.network.load_state_dict(network)
    if average is not None:
        average.load_state_dict(averaged, updates)
    trainer.optimizer.load_state_dict(saved)
    _lay_out(trainer.optimizer)
    trainer.schedule.load_state_dict(schedule)
    trainer.best, trainer.history = best, [row for row, _ in history]
    trainer.state.epoch, trainer.state.step = epoch, step
    trainer.state.earlier = [metrics for _, metrics in history]


def metrics_of(row: Mapping[str, Any]) -> dict[str, float | int]:
    """The metrics of an epoch of the history, as they are logged."""
    return {name: value for name, value in row.items() if name != "validation_class_accuracy"}


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
