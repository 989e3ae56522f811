"""Every engine of the registry gives the reference's answers."""

import hashlib
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model import artifact
from model.artifact import Artifact
from model.errors import ArtifactError, ConfigError
from model.network import Classifier, build
from model.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.weights import serialise
from serve.engines import registry
from serve.engines.base import Engine, EngineOptions

NAMES = sorted(registry.ENGINES)
SIZE = 32
OPTIONS = EngineOptions(device="cpu", threads=1)


# Unlike 1, so that an engine that forgets it is found out.
TEMPERATURE = 1.7


def save(folder: Path, network: Classifier, head: str = "linear", temperature: float = TEMPERATURE) -> Artifact:
    return artifact.save(
        folder,
        architecture="resnet18",
        head=head,
        classes=("c", "a", "b"),
        preprocess=Preprocess.for_size(SIZE),
        weights=serialise(network),
        provenance={},
        metrics={},
        calibration={"temperature": temperature},
    )


@pytest.fixture(scope="module")
def network() -> Classifier:
    torch.manual_seed(0)
    network = build("resnet18", "linear", 3, IMAGENET_MEAN, IMAGENET_STD)
    # Logits of an untrained network hardly differ between images; these do.
    assert isinstance(network.head, torch.nn.Linear)
    torch.nn.init.normal_(network.head.weight)
    return network.eval()


@pytest.fixture(scope="module")
def saved(network: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save(tmp_path_factory.mktemp("artifact"), network)


@pytest.fixture(scope="module", params=NAMES)
def engine(request: pytest.FixtureRequest, saved: Artifact) -> Engine:
    return registry.find(request.param)(saved, OPTIONS)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    random = np.random.default_rng(1)
    noise = random.integers(0, 256, (5, SIZE, SIZE, 3))
    # Each with another brightness and colour, and the extremes among them.
    shades = np.linspace(0, 1, 5)[:, None, None, None] * np.array([1.0, 0.7, 0.4])
    batch = (noise * shades).astype(np.uint8)
    batch[0], batch[4] = 0, 255
    return np.asarray(batch, dtype=np.uint8)


def test_the_registry_is_covered() -> None:
    assert NAMES == ["torch"]


def test_probabilities(engine: Engine, images: NDArray[np.uint8]) -> None:
    found = engine.predict(images)
    assert found.shape == (5, 3)
    assert found.min() >= 0
    assert found.sum(1) == pytest.approx(np.ones(5), abs=1e-6)
    assert len(np.unique(found.round(6), axis=0)) == 5


def test_reference(engine: Engine, network: Classifier, images: NDArray[np.uint8]) -> None:
    with torch.inference_mode():
        wanted = (network(torch.from_numpy(images)).double() / TEMPERATURE).softmax(1).numpy()
    found = engine.predict(images)
    assert found == pytest.approx(wanted, abs=1e-5)
    assert (found.argmax(1) == wanted.argmax(1)).all()


def test_a_batch_equals_its_images_one_by_one(engine: Engine, images: NDArray[np.uint8]) -> None:
    alone = np.concatenate([engine.predict(images[i : i + 1]) for i in range(len(images))])
    assert engine.predict(images) == pytest.approx(alone, abs=1e-5)
    assert engine.predict(images[::-1]) == pytest.approx(alone[::-1], abs=1e-5)


def test_images_stay_as_they_are(engine: Engine, images: NDArray[np.uint8]) -> None:
    before = images.copy()
    locked = images.view()
    locked.flags.writeable = False
    assert engine.predict(locked) == pytest.approx(engine.predict(images), abs=1e-9)
    assert (images == before).all()


def test_it_says_what_it_is(engine: Engine) -> None:
    assert engine.description
    assert engine.max_batch >= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_probabilities_worked_out_by_hand(name: str, head: str, images: NDArray[np.uint8], tmp_path: Path) -> None:
    # The last layer ignores the image: its logits are ln 1, ln 2, ln 3, whose softmax is 1/6, 2/6, 3/6; at a
    # temperature of 1/2 they are twice that, ln 1, ln 4, ln 9, whose softmax is 1/14, 4/14, 9/14.
    network = build("resnet18", head, 3, IMAGENET_MEAN, IMAGENET_STD)
    last = network.head if head == "linear" else network.head[-1]  # type: ignore[index]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([math.log(1), math.log(2), math.log(3)]))
    for temperature, wanted in ((1.0, [1 / 6, 2 / 6, 3 / 6]), (0.5, [1 / 14, 4 / 14, 9 / 14])):
        saved = save(tmp_path, network, head, temperature)
        found = registry.find(name)(saved, OPTIONS).predict(images)
        assert found == pytest.approx(np.tile(wanted, (5, 1)), abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_do_not_fit(name: str, network: Classifier, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="don't fit"):
        registry.find(name)(save(tmp_path, network, head="mlp"), OPTIONS)


class Evil:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self._path,))


@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_with_a_fitting_checksum_is_not_run(name: str, network: Classifier, tmp_path: Path) -> None:
    evil = pickle.dumps(Evil(tmp_path / "touched"))
    whole = save(tmp_path, network)
    whole.weights.write_bytes(evil)
    manifest = tmp_path / "kennel.json"
    manifest.write_text(manifest.read_text().replace(whole.weights_sha256, hashlib.sha256(evil).hexdigest()))
    with pytest.raises(ArtifactError, match="no readable safetensors file"):
        registry.find(name)(Artifact.load(tmp_path), OPTIONS)
    assert not (tmp_path / "touched").exists()
    # The trap does spring where a pickle is loaded.
    pickle.loads(evil)
    assert (tmp_path / "touched").exists()


def test_unknown_engines() -> None:
    for name in ("steam", "no.such.module:Engine", "math:Engine", ""):
        with pytest.raises(ConfigError, match="the engines are torch"):
            registry.find(name)
