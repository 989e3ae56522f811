import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model import artifact
from model.artifact import Artifact
from model.preprocess import Preprocess
from tests import forked
from tests.serve.process import ROOT, Served, environment
from tests.shared import made_once

TOY_ENGINE = "tests.serve.engines:ToyEngine"
CLASSES = ("001.Red_dog", "002.Green_dog", "003.Blue_dog")
Start = Callable[..., Served]


def photo(seed: int, width: int = 60, height: int = 48, colour: int = 0) -> Image.Image:
    """Smooth blobs with one strong channel."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 120, (6, 8, 3), dtype=np.uint8)
    small[:, :, colour] += 100
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@dataclass(frozen=True)
class Toy:
    """An artifact whose weights mean nothing: for servers with a toy engine."""

    ml_root: Path
    preprocess: Preprocess


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    root = tmp_path_factory.mktemp("toy")
    preprocess = Preprocess(image_size=32, resize_size=32)
    artifact.save(
        root / "model",
        architecture="resnet18",
        head="linear",
        classes=CLASSES,
        preprocess=preprocess,
        weights=b"toy",
        provenance={},
        metrics={},
    )
    return Toy(root, preprocess)


@pytest.fixture
def start(toy: Toy, tmp_path: Path) -> Iterator[Start]:
    """Start servers with a toy engine (steered by files in tmp_path), all ended after the test."""
    servers: list[Served] = []

    def start(ml_root: Path = toy.ml_root, **settings: str) -> Served:
        log = tmp_path / f"server{len(servers)}.log"
        servers.append(Served(ml_root, log, **{"KENNEL_ENGINE": TOY_ENGINE, "TOY_DIR": str(tmp_path), **settings}))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def toy_server(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server with a toy engine for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("toy-server")
    server = Served(toy.ml_root, folder / "log", KENNEL_ENGINE=TOY_ENGINE, TOY_DIR=str(folder))
    try:
        server.wait_ready()
        yield server
    finally:
        server.close()


@dataclass(frozen=True)
class Trained:
    """A real training run: its /opt/ml tree, its test images by name, and their evaluation."""

    ml_root: Path
    files: dict[str, Path]
    evaluation: dict[str, Any]

    @property
    def artifact(self) -> Artifact:
        return Artifact.load(self.ml_root / "model")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained by `python -m train` for one epoch on three classes of coloured pictures."""
    return made_once(tmp_path_factory, "trained", train_tiny)


def train_tiny(root: Path) -> Trained:
    for channel, count, offset in (("train", 8, 0), ("validation", 2, 100), ("test", 4, 200)):
        for number, name in enumerate(CLASSES):
            folder = root / "input" / "data" / channel / name
            folder.mkdir(parents=True)
            for i in range(count):
                image = photo(offset + 10 * number + i, 500 if i == 3 else 60, 375 if i == 3 else 48, number)
                image.save(folder / f"{i}.{'png' if i == 2 else 'jpg'}", quality=92)
    (root / "input" / "config").mkdir()
    settings = {
        "pretrained": "none",
        "epochs": "1",
        "image_size": "32",
        "batch_size": "8",
        "workers": "0",
        "export": "none",
    }
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(settings))
    run = forked.run([sys.executable, "-m", "train"], env=environment(KENNEL_ML_ROOT=str(root)), cwd=ROOT, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    evaluation = json.loads((root / "output" / "data" / "evaluation.json").read_text())
    test = root / "input" / "data" / "test"
    files = {str(path.relative_to(test)): path for path in sorted(test.glob("*/*"))}
    return Trained(root, files, evaluation)


@pytest.fixture(scope="session")
def torch_server(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The trained artifact, served as a user would."""
    server = Served(trained.ml_root, tmp_path_factory.mktemp("torch-server") / "log")
    try:
        server.wait_ready()
        yield server
    finally:
        server.close()
