"""Every engine of the registry, in every form and precision that it has here, gives the reference's answers."""

import hashlib
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contract.errors import ArtifactError, ConfigError
from model._openvino import openvino
from model.artifact import Artifact
from model.forms import FORMS
from model.network import Classifier, build
from model.preprocess import IMAGENET_MEAN, IMAGENET_STD
from serve.engines import registry
from serve.engines.base import Engine, EngineOptions
from tests.contracts.engine_artifacts import TEMPERATURE, add_forms, pictures, save, separating_network

NAMES = sorted(registry.ENGINES)


@dataclass(frozen=True)
class Case:
    """tolerance: how far a probability may be from the reference's."""

    engine: str
    form: str
    precision: str
    tolerance: float

    def load(self, artifact: Artifact, threads: int = 2) -> Engine:
        options = EngineOptions("cpu", threads, self.precision, self.form)
        return registry.find(self.engine)(artifact, options)


# float32: the same sums in another order. bf16 has 8 bits: 2^-9 a rounding, twenty layers deep. int8: 2^-9 of a
# layer's largest value, likewise.
EXACT, BF16, INT8 = 1e-5, 0.02, 0.08
CASES = [
    Case("torch", "auto", "auto", EXACT),
    Case("torch", "torch", "f32", EXACT),
    Case("openvino", "openvino", "f32", EXACT),
    Case("openvino", "openvino", "bf16", BF16),
    Case("openvino", "openvino-int8", "f32", INT8),
    Case("openvino", "openvino-int8", "bf16", INT8),
    Case("openvino", "auto", "auto", INT8),
    Case("auto", "auto", "auto", INT8),
    Case("auto", "torch", "auto", EXACT),
]


@pytest.fixture(scope="module")
def network() -> Classifier:
    return separating_network()


@pytest.fixture(scope="module")
def saved(network: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("artifact")
    save(folder, network)
    return add_forms(folder, network)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case.engine}-{case.form}-{case.precision}")
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    if found.precision == "bf16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bf16")
    return found


@pytest.fixture(scope="module")
def engine(case: Case, saved: Artifact) -> Engine:
    return case.load(saved)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return pictures()


def test_the_registry_is_covered() -> None:
    assert NAMES == ["auto", "openvino", "torch"] == sorted({case.engine for case in CASES})
    assert {case.form for case in CASES} == {"auto", *FORMS}


def test_probabilities(engine: Engine, images: NDArray[np.uint8]) -> None:
    found = engine.predict(images)
    assert found.shape == (5, 3)
    assert found.dtype == np.float64
    assert found.min() >= 0
    assert found.sum(1) == pytest.approx(np.ones(5), abs=1e-6)
    assert len(np.unique(found.round(6), axis=0)) >= 3


def test_reference(case: Case, engine: Engine, network: Classifier, images: NDArray[np.uint8]) -> None:
    with torch.inference_mode():
        wanted = (network(torch.from_numpy(images)).double() / TEMPERATURE).softmax(1).numpy()
    # Far enough apart that no rounding may change a label.
    assert (np.sort(wanted, 1)[:, 2] - np.sort(wanted, 1)[:, 1] > 4 * INT8).all()
    assert wanted.argmax(1).tolist() == [0, 1, 2, 0, 1]
    found = engine.predict(images)
    print(f"{case}: off by {np.abs(found - wanted).max():.2g}")
    assert found == pytest.approx(wanted, abs=case.tolerance)
    assert found.argmax(1).tolist() == [0, 1, 2, 0, 1]


def test_a_batch_equals_its_images_one_by_one(case: Case, engine: Engine, images: NDArray[np.uint8]) -> None:
    alone = np.concatenate([engine.predict(images[i : i + 1]) for i in range(len(images))])
    assert engine.predict(images) == pytest.approx(alone, abs=case.tolerance)
    assert engine.predict(images[::-1]) == pytest.approx(alone[::-1], abs=case.tolerance)


def test_several_at_once_give_the_answers_of_one(case: Case, engine: Engine, images: NDArray[np.uint8]) -> None:
    assert engine.max_concurrency == (1 if case.engine == "torch" or case.form == "torch" else 2)
    wanted = engine.predict(images)
    together = Barrier(engine.max_concurrency)

    def ask(start: int) -> None:
        together.wait(60)
        for count in range(30):
            one = (start + count) % 5
            assert engine.predict(images[one : one + 1]) == pytest.approx(wanted[one : one + 1], abs=case.tolerance)

    with ThreadPoolExecutor(engine.max_concurrency) as pool:
        for asked in [pool.submit(ask, start) for start in range(engine.max_concurrency)]:
            asked.result()


def test_images_stay_as_they_are(engine: Engine, images: NDArray[np.uint8]) -> None:
    before = images.copy()
    locked = images.view()
    locked.flags.writeable = False
    assert engine.predict(locked) == pytest.approx(engine.predict(images), abs=1e-9)
    assert (images == before).all()


def test_an_answer_stays_as_it_is(engine: Engine, images: NDArray[np.uint8]) -> None:
    first = engine.predict(images[:1])
    before = first.copy()
    engine.predict(images[2:3])
    assert (first == before).all()


def test_it_says_what_it_is(engine: Engine) -> None:
    assert "2 threads" in engine.description
    assert engine.max_batch >= 1


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_probabilities_worked_out_by_hand(head: str, images: NDArray[np.uint8], tmp_path: Path) -> None:
    # The last layer ignores the image: its logits are ln 1, ln 2, ln 3, whose softmax is 1/6, 2/6, 3/6; at a
    # temperature of 1/2 they are twice that, ln 1, ln 4, ln 9, whose softmax is 1/14, 4/14, 9/14.
    network = build("resnet18", head, 3, IMAGENET_MEAN, IMAGENET_STD).eval()
    last = network.head if head == "linear" else network.head[-1]  # type: ignore[index]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([math.log(1), math.log(2), math.log(3)]))
    for temperature, wanted in ((1.0, [1 / 6, 2 / 6, 3 / 6]), (0.5, [1 / 14, 4 / 14, 9 / 14])):
        save(tmp_path, network, head, temperature)
        saved = add_forms(tmp_path, network, int8=False)
        for name in NAMES:
            found = registry.find(name)(saved, EngineOptions("cpu", 1, "f32")).predict(images)
            assert found == pytest.approx(np.tile(wanted, (5, 1)), abs=1e-6), name


def test_weights_that_do_not_fit(network: Classifier, tmp_path: Path) -> None:
    saved = save(tmp_path, network, head="mlp")
    for name in ("auto", "torch"):
        with pytest.raises(ArtifactError, match="don't fit"):
            registry.find(name)(saved, EngineOptions("cpu", 1))


class Evil:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self._path,))


@pytest.mark.parametrize("file", ["model.safetensors", "openvino.xml", "openvino.bin"])
def test_a_pickle_with_a_fitting_checksum_is_not_run(
    file: str, saved: Artifact, network: Classifier, tmp_path: Path
) -> None:
    evil = pickle.dumps(Evil(tmp_path / "touched"))
    save(tmp_path, network)
    whole = add_forms(tmp_path, network, int8=False)
    old = whole.weights_sha256 if file == "model.safetensors" else whole.forms["openvino"].files[file].sha256
    (tmp_path / file).write_bytes(evil)
    manifest = tmp_path / "kennel.json"
    manifest.write_text(manifest.read_text().replace(old, hashlib.sha256(evil).hexdigest()))
    name = "torch" if file == "model.safetensors" else "openvino"
    with pytest.raises(ArtifactError) as caught:
        registry.find(name)(Artifact.load(tmp_path), EngineOptions("cpu", 1))
    assert Path(file).stem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "touched").exists()
    # The trap does spring where a pickle is loaded.
    pickle.loads(evil)
    assert (tmp_path / "touched").exists()


def test_unknown_engines() -> None:
    for name in ("steam", "no.such.module:Engine", "math:Engine", ""):
        with pytest.raises(ConfigError, match="the engines are auto, openvino, torch"):
            registry.find(name)
