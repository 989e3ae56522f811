"""Forward, backward and optimizer step of a ResNet-18 on a batch of 32."""

from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from benchmarks.timing import compare, print_facts
from contract.hyperparameters import Hyperparameters
from model.machine import available_cpus
from model.network import Classifier, build
from model.preprocess import IMAGENET_MEAN, IMAGENET_STD
from model.threads import use_threads
from train.optim import build_optimizer


def main() -> None:
    """Compare memory layouts, and training everything with training the head alone."""
    print_facts("torch", "torchvision")
    use_threads(available_cpus())
    for size in (64, 224):
        alternatives = {
            "all layers, channels_last (as trained)": _step(_network(), size),
            "all layers, contiguous": _step(_contiguous(), size),
            "freeze=backbone": _step(_frozen(), size),
        }
        compare(f"{size} px", alternatives, rounds=5, calls=2)


def _network() -> Classifier:
    torch.manual_seed(0)
    return build("resnet18", "linear", 133, IMAGENET_MEAN, IMAGENET_STD)


def _frozen() -> Classifier:
    network = _network()
    network.freeze_backbone()
    return network


def _contiguous() -> Classifier:
    network = _network()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return network


def _step(network: Classifier, size: int) -> Callable[[], object]:
    network.train()
    optimizer = build_optimizer(network, Hyperparameters())
    images = torch.randint(0, 256, (32, size, size, 3), dtype=torch.uint8)
    labels = torch.randint(0, 133, (32,))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step
