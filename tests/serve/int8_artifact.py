"""An artifact as a user's is: a ResNet-18 for 224 x 224 pixels and 133 classes, with its int8 form; untrained."""

from pathlib import Path

import numpy as np
import torch

from model import artifact
from model.artifact import Artifact
from model.forms import FILES, GRAPHS, OPENVINO, OPENVINO_INT8, TORCH, Form, FormFile, Score
from model.network import build
from model.preprocess import Preprocess
from model.weights import serialise
from train.export import convert, quantize


def make(folder: Path) -> Artifact:
    torch.manual_seed(0)
    shape = Preprocess()
    network = build("resnet18", "linear", 133, shape.mean, shape.std).eval()
    artifact.save(
        folder,
        architecture="resnet18",
        head="linear",
        classes=[f"breed_{number}" for number in range(133)],
        preprocess=shape,
        weights=serialise(network),
        provenance={},
        metrics={},
    )
    staged = folder / f"{artifact.STAGING_PREFIX}test"
    staged.mkdir()
    convert.save(convert.convert(network, shape.image_size), staged / GRAPHS[OPENVINO])
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    small = quantize.quantize(convert.read(staged / GRAPHS[OPENVINO]), lambda index: images[index], range(2), threads=1)
    convert.save(small, staged / GRAPHS[OPENVINO_INT8])
    forms = {TORCH: Form(validation={"f32": Score(200, 180, 0.3)})}
    for name in GRAPHS:
        files = {file: FormFile(artifact.sha256(staged / file), (staged / file).stat().st_size) for file in FILES[name]}
        forms[name] = Form(files, {"f32": Score(200, 180, 0.3)})
    return artifact.add_forms(folder, forms, OPENVINO_INT8, staged)
