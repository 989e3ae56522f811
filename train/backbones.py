"""Backbones as trainings begin with them, each built and loaded once."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contract.hyperparameters import Hyperparameters
from model.network import Classifier, assemble, build_backbone
from model.preprocess import Preprocess
from model.pretrained import load_backbone


@dataclass
class _Backbone:
    """random: the state of torch's generator after it was built, from which the head draws. frozen: a copy in use."""

    module: nn.Module
    features: int
    source: str
    random: Tensor
    frozen: nn.Module | None = None


class Backbones:
    """Gives the same network, to the bit, for the same hyperparameters, however many were asked for before.

    several: more than one training will ask. One alone gets the backbone itself instead of a copy.
    """

    def __init__(self, several: bool) -> None:
        self._several = several
        self._built: dict[tuple[str, str, int], _Backbone] = {}

    def load(self, chosen: Hyperparameters) -> str:
        """Build the backbone and load its weights, unless that is done; where they came from.

        Raises WeightsError when the weights can't be had, can't be read or don't fit.
        """
        return self._of(chosen).source

    def network(self, chosen: Hyperparameters, shape: Preprocess, classes: int) -> Classifier:
        """Backbone and new head. A frozen backbone is the same object every time: it stays as it is."""
        built = self._of(chosen)
        frozen = chosen.freeze == "backbone"
        if not self._several:
            backbone = built.module
        elif frozen:
            backbone = built.frozen = built.frozen or copy.deepcopy(built.module)
        else:
            backbone = copy.deepcopy(built.module)
        torch.set_rng_state(built.random)
        network = assemble(backbone, built.features, chosen.head, classes, shape.mean, shape.std)
        if frozen:
            network.freeze_backbone()
        return network

    def _of(self, chosen: Hyperparameters) -> _Backbone:
        key = (chosen.architecture, chosen.pretrained, chosen.seed)
        if key not in self._built:
            torch.manual_seed(chosen.seed)
            module, features = build_backbone(chosen.architecture)
            source = load_backbone(module, chosen.architecture, chosen.pretrained)
            self._built[key] = _Backbone(module, features, source, torch.get_rng_state())
        return self._built[key]
