"""The networks by name: a torchvision ResNet that takes uint8 images, with a head for our classes."""

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from model._torchvision import torchvision

ARCHITECTURES: Final[dict[str, Callable[..., nn.Module]]] = {
    "resnet18": torchvision.models.resnet18,
    "resnet34": torchvision.models.resnet34,
    "resnet50": torchvision.models.resnet50,
}
HEADS: Final = ("linear", "mlp")
MLP_UNITS: Final = 512


class Normalise(nn.Module):
    """uint8 (N, H, W, 3) -> float (N, 3, H, W), as (pixel / 255 - mean) / std per channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # One multiplication and one addition a pixel. Not persistent: the manifest's preprocessing has them.
        scale = 1.0 / (255.0 * torch.tensor(std, dtype=torch.float64))
        offset = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", scale.float().view(1, 3, 1, 1), persistent=False)
        self.register_buffer("offset", offset.float().view(1, 3, 1, 1), persistent=False)
        self.scale: Tensor
        self.offset: Tensor

    def forward(self, images: Tensor) -> Tensor:
        # An NHWC batch seen as NCHW is channels_last already: no copy, and convolutions are faster on it.
        return torch.addcmul(self.offset, images.permute(0, 3, 1, 2).to(self.scale.dtype), self.scale)


class Classifier(nn.Module):
    """Normalisation, backbone and head in one graph: uint8 (N, H, W, 3) in, logits (N, classes) out."""

    def __init__(self, normalise: Normalise, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.normalise = normalise
        self.backbone = backbone
        self.head = head
        self._frozen: tuple[nn.Module, ...] = ()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(self.normalise(images)))
        return logits

    def stages(self) -> list[list[nn.Module]]:
        """The backbone's parts in the order of the computation: stem, layer1 to layer4."""
        parts = dict(self.backbone.named_children())
        stem = [module for name, module in parts.items() if not name.startswith("layer")]
        return [stem, *([parts[name]] for name in sorted(parts) if name.startswith("layer"))]

    def freeze_backbone(self) -> None:
        """Train the head alone; the backbone's weights and its BatchNorm statistics stay as they are."""
        self.train_top(0)

    def train_top(self, count: int) -> None:
        """Train the head and the last `count` stages; weights and BatchNorm statistics of the others stay."""
        stages = self.stages()
        frozen = stages[: max(0, len(stages) - count)]
        self._frozen = tuple(module for stage in frozen for module in stage)
        for number, stage in enumerate(stages):
            for module in stage:
                module.requires_grad_(number >= len(frozen))
        self.train(self.training)

    def train(self, mode: bool = True) -> "Classifier":
        super().train(mode)
        for module in self._frozen:
            # Otherwise train() would let BatchNorm drift from the pretrained statistics.
            module.eval()
        return self


def build(architecture: str, head: str, num_classes: int, mean: Sequence[float], std: Sequence[float]) -> Classifier:
    """A freshly initialised network: `build_backbone` and `assemble` in one."""
    backbone, features = build_backbone(architecture)
    return assemble(backbone, features, head, num_classes, mean, std)


def build_backbone(architecture: str) -> tuple[nn.Module, int]:
    """A freshly initialised network without its last layer, and the number of features it gives.

    architecture: a key of ARCHITECTURES. Raises ValueError for an unknown name.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}, got {architecture!r}")
    backbone = ARCHITECTURES[architecture](weights=None)
    last = backbone.fc
    assert isinstance(last, nn.Linear)
    backbone.fc = nn.Identity()
    return backbone, last.in_features


def assemble(
    backbone: nn.Module, features: int, head: str, num_classes: int, mean: Sequence[float], std: Sequence[float]
) -> Classifier:
    """Backbone and a new head as one network.

    head: `linear`, or `mlp` (a hidden layer of 512 ReLU units). mean, std: per channel, of pixels in [0, 1].
    """
    network = Classifier(Normalise(mean, std), backbone, build_head(head, features, num_classes))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def build_head(head: str, in_features: int, num_classes: int) -> nn.Module:
    """The layers from backbone features (N, in_features) to logits (N, num_classes)."""
    if head == "linear":
        return nn.Linear(in_features, num_classes)
    if head == "mlp":
        return nn.Sequential(nn.Linear(in_features, MLP_UNITS), nn.ReLU(), nn.Linear(MLP_UNITS, num_classes))
    raise ValueError(f"head must be one of {', '.join(HEADS)}, got {head!r}")
