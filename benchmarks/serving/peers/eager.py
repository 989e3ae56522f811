"""The tutorials' own way: torchvision's transforms and eager PyTorch in float32."""

import io
import os
from pathlib import Path

import torch
from PIL import Image

from model._torchvision import torchvision
from model.artifact import Artifact
from model.weights import load_network

transforms = torchvision.transforms
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class EagerModel:
    """JPEG bytes -> probabilities."""

    def __init__(self) -> None:
        artifact = Artifact.load(Path(os.environ["BENCHMARK_ARTIFACT"]))
        network = load_network(artifact)
        # Normalised pixels go in, as into any torchvision network: Kennel's first layer is left out.
        self._network = torch.nn.Sequential(network.backbone, network.head).eval()
        self._temperature = artifact.temperature
        self._transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def load(self, photo: bytes) -> torch.Tensor:
        """Decode and transform one photo: float32 (3, 224, 224)."""
        tensor: torch.Tensor = self._transform(Image.open(io.BytesIO(photo)).convert("RGB"))
        return tensor

    def answer(self, photo: bytes) -> list[float]:
        """One photo's probabilities."""
        with torch.no_grad():
            logits = self._network(self.load(photo).unsqueeze(0)) / self._temperature
            probabilities: list[float] = torch.softmax(logits, dim=1)[0].tolist()
        return probabilities
