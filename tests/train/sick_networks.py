"""Small networks made sick on purpose, written by a plain smdebug script: `python sick_networks.py FOLDER`.

It knows nothing of Kennel. Each network trains for a second or two on one thread and writes FOLDER/<its name>.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import smdebug.pytorch as smd
import torch
from torch import nn

INPUTS, CLASSES = 20, 4
COLLECTIONS = {
    "activations": "(relu|tanh)\\d*_(input|output)|^conv_input",
    "labels": "^labels$",
    "predictions": "^predictions$",
}


@dataclass
class Recipe:
    """How one network is trained; the defaults are a healthy one."""

    network: Callable[[], nn.Module]
    lr: float = 0.1
    epochs: int = 5
    batch: int = 16
    samples: int = 320
    noise: float = 1.0
    shift: float = 0.0
    shuffled: bool = False
    shares: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)
    change: Callable[[nn.Module], None] = field(default=lambda network: None)
    images: bool = False
    collections: tuple[str, ...] = ("weights", "biases", "gradients")
    reduced: bool = False


class Net(nn.Sequential):
    """Its name begins the names of its parameters."""


def mlp(activation: type[nn.Module] = nn.ReLU, depth: int = 2, width: int = 32) -> nn.Module:
    network, before = Net(), INPUTS
    name = activation.__name__.lower()
    for layer in range(depth):
        network.add_module(f"fc{layer}", nn.Linear(before, width))
        network.add_module(f"{name}{layer}", activation())
        before = width
    network.add_module("head", nn.Linear(width, CLASSES))
    return network


def convolutional() -> nn.Module:
    network = Net()
    network.add_module("conv", nn.Conv2d(3, 8, 3, padding=1))
    network.add_module("bn", nn.BatchNorm2d(8))
    network.add_module("relu0", nn.ReLU())
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flat", nn.Flatten())
    network.add_module("head", nn.Linear(8, CLASSES))
    return network


def frozen(network: nn.Module) -> None:
    for parameter in network.get_submodule("fc0").parameters():
        parameter.requires_grad_(False)


@torch.no_grad()
def dead(network: nn.Module) -> None:
    network.get_parameter("fc1.bias")[:24] = -50.0  # of 32


@torch.no_grad()
def scaled(network: nn.Module) -> None:
    network.get_parameter("fc1.weight").mul_(40.0)


@torch.no_grad()
def saturated(network: nn.Module) -> None:
    network.get_parameter("fc1.bias")[:24] = 60.0  # of 32


SEEN = ("labels", "predictions")
RECIPES = {
    "healthy": Recipe(mlp, samples=640, epochs=4, collections=("weights", "biases", "gradients", "activations", *SEEN)),
    "healthy_conv": Recipe(convolutional, images=True, collections=("weights", "biases", "gradients", "activations")),
    "healthy_frozen": Recipe(mlp, change=frozen),
    "healthy_reduced": Recipe(mlp, reduced=True),
    "vanishing": Recipe(lambda: mlp(nn.Sigmoid, depth=20), epochs=3, collections=("weights", "gradients")),
    "vanishing_reduced": Recipe(lambda: mlp(nn.Sigmoid, depth=20), epochs=1, collections=("gradients",), reduced=True),
    "exploding": Recipe(mlp, lr=1e6, epochs=3),
    "dead_relu": Recipe(mlp, change=dead, collections=("weights", "biases", "gradients", "activations")),
    "memorised": Recipe(lambda: mlp(width=128), samples=48, noise=3.0, epochs=30, collections=SEEN),
    "badly_scaled": Recipe(mlp, change=scaled, epochs=3, lr=0.001),
    "shuffled": Recipe(mlp, shuffled=True, lr=0.01, samples=960, collections=("weights",)),
    "hardly_learning": Recipe(mlp, lr=1e-5),
    "standing_still": Recipe(mlp, lr=1e-12),
    "saturated": Recipe(
        lambda: mlp(nn.Tanh), change=saturated, epochs=4, collections=("weights", "gradients", "activations")
    ),
    "unnormalised": Recipe(convolutional, images=True, shift=0.5, collections=("activations",)),
    "imbalanced": Recipe(mlp, shares=(0.5, 0.24, 0.24, 0.02), samples=640, epochs=2, collections=SEEN),
}


def samples(recipe: Recipe, count: int, generator: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Clouds around a centre a class."""
    labels = generator.choice(CLASSES, size=count, p=recipe.shares)
    centres = np.random.default_rng(0).normal(size=(CLASSES, INPUTS))
    if recipe.images:
        centres = centres[:, :3] - centres[:, :3].mean(axis=0)
        inputs = centres[labels][:, :, None, None] + recipe.noise * generator.normal(size=(count, 3, 6, 6))
    else:
        inputs = centres[labels] + recipe.noise * generator.normal(size=(count, INPUTS))
    if recipe.shuffled:
        labels = generator.permutation(labels)
    return torch.tensor(inputs + recipe.shift, dtype=torch.float32), torch.tensor(labels)


def train(recipe: Recipe, folder: Path) -> None:
    torch.manual_seed(1)
    generator = np.random.default_rng(1)
    inputs, labels = samples(recipe, recipe.samples, generator)
    held_inputs, held_labels = samples(recipe, 160, generator)
    network, criterion = recipe.network(), nn.CrossEntropyLoss()
    recipe.change(network)
    config = smd.ReductionConfig(reductions=["min", "max", "mean", "std"], abs_reductions=["mean"], norms=["l2"])
    hook = smd.Hook(
        str(folder),
        save_config=smd.SaveConfig(save_interval=1),
        include_collections=["losses", *recipe.collections],
        reduction_config=config if recipe.reduced else None,
    )
    for name in COLLECTIONS.keys() & set(recipe.collections):
        hook.get_collection(name).include(COLLECTIONS[name])
    hook.register_module(network)
    hook.register_loss(criterion)
    optimizer = torch.optim.SGD(network.parameters(), lr=recipe.lr)

    def step(chosen: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        if "labels" in recipe.collections:
            hook.save_tensor("labels", truth, "labels")
        logits = network(chosen)
        if "predictions" in recipe.collections:
            hook.save_tensor("predictions", logits.detach(), "predictions")
        loss: torch.Tensor = criterion(logits, truth)
        return loss

    for _ in range(recipe.epochs):
        network.train()
        hook.set_mode(smd.modes.TRAIN)
        for chosen in torch.randperm(len(inputs)).split(recipe.batch):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            step(inputs[chosen], labels[chosen]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        hook.set_mode(smd.modes.EVAL)
        with torch.no_grad():
            for chosen in torch.arange(len(held_inputs)).split(80):  # type: ignore[no-untyped-call]
                step(held_inputs[chosen], held_labels[chosen])
    hook.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    wanted = sys.argv[2:] or list(RECIPES)
    for each in wanted:
        train(RECIPES[each], Path(sys.argv[1], each))
