"""Small networks trained by hand or by the real loop under the debugger's hook, and what it saved, read by smdebug."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from contract.debugger import HookLocation, Schedule
from contract.hyperparameters import Hyperparameters
from model.network import Classifier, Normalise, build_head
from monitor.callbacks import Callback, Callbacks, TrainState
from monitor.debugger._smdebug import ModeKeys, create_trial
from monitor.debugger.callback import DebugHook
from train.loss import TrainingLoss
from train.trainer import Listeners, Trainer

# Two samples of two features, and their classes.
INPUTS = torch.tensor([[1.0, -2.0], [3.0, 4.0]])
LABELS = torch.tensor([0, 1])


class Tensors:
    """A folder of tensors, through smdebug's own trial."""

    def __init__(self, folder: Path) -> None:
        # Without this file smdebug waits for it.
        assert (folder / "collections" / "000000000" / "worker_0_collections.json").is_file()
        self.trial = create_trial(str(folder))
        # It would sleep a second when training has ended.
        self.trial._training_end_delay_refresh = 0

    def steps(self, mode: str = "GLOBAL") -> list[int]:
        return [int(step) for step in self.trial.steps(ModeKeys[mode])]

    def names(self, collection: str | None = None, step: int | None = None, mode: str = "TRAIN") -> list[str]:
        """Of all steps, or of one."""
        where = {} if step is None else {"step": step, "mode": ModeKeys[mode]}
        return [str(name) for name in self.trial.tensor_names(collection=collection, **where)]

    def saved(self, name: str, mode: str = "TRAIN") -> list[int]:
        """The steps of a tensor."""
        return [int(step) for step in self.trial.tensor(name).steps(ModeKeys[mode])]

    def value(self, name: str, step: int = 0, mode: str = "TRAIN") -> Any:
        return self.trial.tensor(name).value(step, mode=ModeKeys[mode])

    def reduction(self, name: str, kind: str, step: int = 0, mode: str = "TRAIN", absolute: bool = False) -> Any:
        return self.trial.tensor(name).reduction_value(step, kind, mode=ModeKeys[mode], abs=absolute)


def hook(folder: Path, interval: int = 1, steps: int = 10, mixed: bool = False) -> DebugHook:
    """For up to four epochs with two validation batches each. It saves to folder/tensors; folder/config may hold a
    debughookconfig.json.
    """
    place = HookLocation(folder / "tensors", folder / "config" / "debughookconfig.json")
    return DebugHook(place, Schedule(steps, 4, 2, interval), mixed)


def two_layers() -> nn.Sequential:
    """x -> x -> in-place ReLU -> twice the sum of both features: weights that can be reckoned with by hand."""
    network = nn.Sequential(
        OrderedDict(first=nn.Linear(2, 2, bias=False), relu=nn.ReLU(inplace=True), head=nn.Linear(2, 2))
    )
    with torch.no_grad():
        for name, value in {"first.weight": torch.eye(2), "head.weight": torch.ones(2, 2)}.items():
            network.get_parameter(name).copy_(value)
        network.get_parameter("head.bias").zero_()
    return network


def train_by_hand(
    observers: Sequence[Callback], network: nn.Module, steps: int = 1, clip: float = 0.0, inputs: Tensor = INPUTS
) -> TrainState:
    """The events of the loop around plain gradient descent with a learning rate of 0.1."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    state = TrainState(network, optimizer, 1, steps)
    callbacks = Callbacks(observers)
    callbacks.train_start(state)
    for _ in range(steps):
        callbacks.phase("hook")
        callbacks.batch_start(state, inputs, LABELS)
        callbacks.phase("forward")
        logits = network(inputs)
        loss = cross_entropy(logits, LABELS)
        callbacks.phase("hook")
        callbacks.loss(state, logits, loss)
        callbacks.phase("backward")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        callbacks.phase("optimizer")
        if clip:
            clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        state.step += 1
        callbacks.phase("hook")
        callbacks.batch_end(state)
    callbacks.train_end(state)
    return state


class BlackAndWhite:
    """`count` batches of a white image of class 1 and a black one of class 0."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def epoch(self, _number: int) -> Iterator[tuple[Tensor, Tensor]]:
        shape = (4, 4, 3)
        images = torch.stack([torch.full(shape, 255, dtype=torch.uint8), torch.zeros(shape, dtype=torch.uint8)])
        yield from [(images, torch.tensor([1, 0]))] * self._count


class FeatureBatches(BlackAndWhite):
    """The same with features instead of images."""

    def epoch(self, _number: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from [(INPUTS, LABELS)] * self._count


def small_network() -> Classifier:
    torch.manual_seed(0)
    parts = OrderedDict(
        conv=nn.Conv2d(3, 4, 1),
        relu=nn.ReLU(inplace=True),
        layer1=nn.Conv2d(4, 4, 1),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
    )
    network = Classifier(Normalise((0.5,) * 3, (0.5,) * 3), nn.Sequential(parts), build_head("linear", 4, 2))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def trainer(
    observers: list[Callback],
    network: nn.Module | None = None,
    batches: BlackAndWhite | None = None,
    save: Callable[[Trainer], None] = lambda _trainer: None,
    **changes: object,
) -> Trainer:
    """Two epochs, unless changed, of three batches, validated on two. save: called after each whole epoch."""
    chosen = Hyperparameters.parse({"epochs": 2, "pretrained": "none", "device": "cpu", **changes})
    loss = TrainingLoss(chosen, [2, 2], torch.device("cpu"))
    data = batches or BlackAndWhite(3)
    valid = type(data)(2)
    device = torch.device("cpu")
    used = network or small_network()
    return Trainer(used, data, valid, chosen, loss, device, Listeners(Callbacks(observers), lambda _: None, save))


def torch_hooks(network: nn.Module) -> int:
    """How many functions torch calls when the network runs forward or backward."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    modules = sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)
    return modules + sum(len(parameter._backward_hooks or ()) for parameter in network.parameters())
