"""Artifacts for the engines' contract: a network whose classes lie apart, saved with all its forms."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model import artifact
from model.artifact import Artifact
from model.forms import FILES, GRAPHS, OPENVINO, OPENVINO_INT8, TORCH, Form, FormFile, Score
from model.network import Classifier, build
from model.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.weights import serialise
from train.export import convert, quantize

SIZE = 32
# Unlike 1, so that an engine that forgets it is found out.
TEMPERATURE = 1.7
RIGHT, WRONG = Score(200, 180, 0.3), Score(200, 178, 0.3)  # 1 point below


def pictures() -> NDArray[np.uint8]:
    """Five images (5, SIZE, SIZE, 3), each with another brightness and colour, and the extremes among them."""
    noise = np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3))
    shades = np.linspace(0, 1, 5)[:, None, None, None] * np.array([1.0, 0.7, 0.4])
    batch = (noise * shades).astype(np.uint8)
    batch[0], batch[4] = 0, 255
    return np.asarray(batch, dtype=np.uint8)


def separating_network() -> Classifier:
    """A ResNet-18 with random weights, whose head tells the pictures apart: classes 0, 1, 2, 0, 1."""
    torch.manual_seed(0)
    network = build("resnet18", "linear", 3, IMAGENET_MEAN, IMAGENET_STD)
    images = torch.from_numpy(pictures())
    with torch.no_grad():
        for _ in range(30):
            network(images)  # BatchNorm's statistics become these pictures'
        network.eval()
        features = network.backbone(network.normalise(images))
        wanted = 4 * torch.eye(3)[torch.tensor([0, 1, 2, 0, 1])]
        assert isinstance(network.head, torch.nn.Linear)
        network.head.weight.copy_((torch.linalg.pinv(features) @ wanted).T)
        network.head.bias.zero_()
    return network


def save(folder: Path, network: Classifier, head: str = "linear", temperature: float = TEMPERATURE) -> Artifact:
    """Without forms."""
    return artifact.save(
        folder,
        architecture="resnet18",
        head=head,
        classes=("c", "a", "b"),
        # A picture of SIZE pixels reaches the network as it is.
        preprocess=Preprocess(image_size=SIZE, resize_size=SIZE),
        weights=serialise(network),
        provenance={},
        metrics={},
        calibration={"temperature": temperature},
    )


def add_forms(
    folder: Path,
    network: Classifier,
    int8: bool = True,
    default: str = OPENVINO_INT8,
    scores: Mapping[str, Score | None] | None = None,
) -> Artifact:
    """Convert the network as training does. scores: the float form's by precision; all right if not given."""
    staged = folder / f"{artifact.STAGING_PREFIX}test"
    staged.mkdir()
    graph = staged / GRAPHS[OPENVINO]
    convert.save(convert.convert(network, SIZE), graph)
    all_right = {"f32": RIGHT, "bf16": RIGHT}
    forms = {TORCH: Form(validation={"f32": RIGHT}), OPENVINO: _form(staged, OPENVINO, scores or all_right)}
    if int8:
        images = pictures()
        quantized = quantize.quantize(convert.read(graph), lambda index: images[index], range(5), threads=1)
        convert.save(quantized, staged / GRAPHS[OPENVINO_INT8])
        forms[OPENVINO_INT8] = _form(staged, OPENVINO_INT8, all_right)
    return artifact.add_forms(folder, forms, default if int8 else OPENVINO, staged)


def _form(staged: Path, name: str, scores: Mapping[str, Score | None]) -> Form:
    files = {file: FormFile(artifact.sha256(staged / file), (staged / file).stat().st_size) for file in FILES[name]}
    return Form(files, scores)
