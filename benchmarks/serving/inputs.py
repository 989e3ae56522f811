"""What all servers get: one artifact, made here, and photos of three sizes."""

import io
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model import artifact
from model.forms import FILES, GRAPHS, OPENVINO, OPENVINO_INT8, TORCH, Form, FormFile, Score
from model.machine import available_cpus
from model.preprocess import Preprocess

# Of each size so many different ones. 12 megapixels are what phones take.
SIZES: Final[dict[str, int]] = {"500x375": 16, "1600x1200": 8, "4000x3000": 4}
CLASSES: Final = 133
TEMPERATURE: Final = 1.3
_LOGIT: Final = 12.0  # of a photo's own class, where the others have 0: so each label is certain to 0.98
_VERSION: Final = "1"  # of what this module makes; another one makes it anew


def photos(folder: Path) -> dict[str, list[Path]]:
    """The photos by size, made if they aren't there."""
    done: dict[str, list[Path]] = {}
    seed = 0
    for size, count in SIZES.items():
        width, height = (int(part) for part in size.split("x"))
        done[size] = []
        for number in range(count):
            file = folder / "photos" / size / f"{number:02d}.jpg"
            if not file.is_file():
                file.parent.mkdir(parents=True, exist_ok=True)
                staged = file.with_suffix(".part")
                staged.write_bytes(photo(width, height, seed))
                staged.rename(file)
            done[size].append(file)
            seed += 1
    return done


def photo(width: int, height: int, seed: int) -> bytes:
    """A JPEG of quality 90 with the spectrum of photos: noise at several scales, summed, in colours of its own."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    total += rng.uniform(60, 190, 3)
    for step in (1, 4, 16, 64, 256):
        small = rng.normal(0, rng.uniform(3, 9) * step**0.5, (height // step + 1, width // step + 1, 3))
        for channel in range(3):
            layer = Image.fromarray(small[..., channel].astype(np.float32))
            total[..., channel] += np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(total, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make_artifact(folder: Path, files: Mapping[str, Sequence[Path]]) -> Path:
    """FOLDER/artifact/model: a ResNet-18 with seeded weights and all forms for serving, made if it isn't there.

    Its head tells the photos apart: each has a label of its own, by which a server's answer can be checked.
    """
    target, stamp = folder / "artifact" / "model", folder / "artifact" / "version.txt"
    if stamp.is_file() and stamp.read_text() == _VERSION:
        return target
    shutil.rmtree(target, ignore_errors=True)
    _train(target, [file for size in files.values() for file in size])
    stamp.write_text(_VERSION)
    return target


def _train(target: Path, files: Sequence[Path]) -> None:
    import torch

    from model.network import build
    from model.weights import serialise

    torch.manual_seed(0)
    preprocess = Preprocess()
    images = np.stack([preprocess.load(file) for file in files])
    network = build("resnet18", "linear", CLASSES, preprocess.mean, preprocess.std).eval()
    with torch.no_grad():
        features = network.backbone(network.normalise(torch.from_numpy(images))).double()
        weight, bias = _tell_apart(features.numpy())
        head: Any = network.head
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))
        network.requires_grad_(False)
    artifact.save(
        target, architecture="resnet18", head="linear", preprocess=preprocess, weights=serialise(network),
        classes=[f"{number:03d}.Class_{number:03d}" for number in range(CLASSES)], provenance={}, metrics={},
        calibration={"temperature": TEMPERATURE},
    )  # fmt: skip
    _add_forms(target, network, images)


def _tell_apart(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A linear layer for features (N, F): photo i gets the logit _LOGIT for class i and about 0 for the others."""
    count, mean = len(features), features.mean(axis=0)
    centred = features - mean
    gram = centred @ centred.T
    # Ridge regression: what int8 rounds off would otherwise be amplified.
    ridge = 1e-3 * np.trace(gram) / count
    wanted = _LOGIT * np.eye(count, CLASSES)
    weight = wanted.T @ np.linalg.solve(gram + ridge * np.eye(count), centred)
    return weight, -weight @ mean


def _add_forms(target: Path, network: Any, images: NDArray[np.uint8]) -> None:
    from train.export import convert, quantize

    with tempfile.TemporaryDirectory(prefix=artifact.STAGING_PREFIX, dir=target) as name:
        staging = Path(name)
        convert.save(convert.convert(network, images.shape[1]), staging / GRAPHS[OPENVINO])
        plain = convert.read(staging / GRAPHS[OPENVINO])
        model = quantize.quantize(plain, lambda index: images[index], range(len(images)), available_cpus())
        convert.save(model, staging / GRAPHS[OPENVINO_INT8])
        # Nobody measured these; they only say that every form may be served.
        scores = {precision: Score(100, 90, 0.3) for precision in ("f32", "bf16")}
        forms = {form: Form(_facts(staging, form), scores) for form in (OPENVINO, OPENVINO_INT8)}
        artifact.add_forms(target, {TORCH: Form(validation={"f32": scores["f32"]}), **forms}, OPENVINO_INT8, staging)


def _facts(folder: Path, form: str) -> dict[str, FormFile]:
    return {name: FormFile(artifact.sha256(folder / name), (folder / name).stat().st_size) for name in FILES[form]}


def expected(target: Path, files: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, list[list[float]]]]:
    """The right probabilities by engine, `int8` or `eager`, and size: computed in this process, and kept in a file."""
    kept = target.parent / "expected.json"
    if kept.is_file() and kept.stat().st_mtime >= (target.parent / "version.txt").stat().st_mtime:
        answers: dict[str, dict[str, list[list[float]]]] = json.loads(kept.read_text())
        return answers
    import torch

    from benchmarks.serving.peers.int8_engine import Int8Engine
    from model.weights import load_network

    loaded = artifact.Artifact.load(target)
    engine, network = Int8Engine(available_cpus(), target), load_network(loaded)
    answers = {"int8": {}, "eager": {}}
    for size, each in files.items():
        images = [loaded.preprocess.load(file) for file in each]
        answers["int8"][size] = [engine.predict(image[np.newaxis])[0] for image in images]
        with torch.no_grad():
            logits = network(torch.from_numpy(np.stack(images))).double() / loaded.temperature
        answers["eager"][size] = logits.softmax(1).tolist()
    kept.write_text(json.dumps(answers))
    return answers
