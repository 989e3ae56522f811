"""Quantization: what it is calibrated on, that it is quiet, sparing and repeatable, and what it makes."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from model._openvino import openvino
from model.network import build
from model.preprocess import Preprocess, UInt8Array
from tests.train.support import make_classes
from train.data.dataset import Sample
from train.data.sources import FileSource
from train.export.convert import convert, read, save
from train.export.measure import openvino_form, torch_form
from train.export.quantize import choose_calibration, limited_threads, quantize

SHAPE = Preprocess.for_size(32)


def samples(*counts: int) -> list[Sample]:
    names = [(f"{label}/{i}", label) for label, count in enumerate(counts) for i in range(count)]
    return [Sample(FileSource(Path(name)), label, name) for name, label in names]


def labels(chosen: list[int], of: list[Sample]) -> list[int]:
    counts = [0] * (1 + max(sample.label for sample in of))
    for index in chosen:
        counts[of[index].label] += 1
    return counts


def test_calibration_images_are_spread_over_the_classes() -> None:
    uneven = samples(2, 50, 10)
    assert labels(choose_calibration(uneven, 12, 0), uneven) == [2, 5, 5]
    assert labels(choose_calibration(uneven, 30, 0), uneven) == [2, 18, 10]
    assert labels(choose_calibration(uneven, 2, 0), uneven) == [1, 1, 0]
    assert sorted(choose_calibration(uneven, 300, 0)) == list(range(62))


def test_calibration_images_follow_the_seed() -> None:
    many = samples(40, 40)
    first = choose_calibration(many, 20, 1)
    assert first == choose_calibration(many, 20, 1)
    assert len(set(first)) == 20
    assert set(first) != set(choose_calibration(many, 20, 2))
    # Not the first ones of a folder, which may all be of one dog.
    assert set(first) != {*range(10), *range(40, 50)}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OpenVINO's form of a network that tells three levels of brightness; the pictures are in train/ and other/."""
    folder = tmp_path_factory.mktemp("learnt")
    make_classes(folder / "train", 8)
    make_classes(folder / "other", 8, seed=100)
    torch.manual_seed(0)
    network = build("resnet18", "linear", 3, SHAPE.mean, SHAPE.std)
    images, truth = read_images(folder / "train")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(8):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), truth).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        for _ in range(30):  # let BatchNorm's running statistics arrive
            network(images)
    network.eval()
    others, _ = read_images(folder / "other")
    np.save(folder / "expected.npy", torch_form(network, torch.device("cpu"))(others))
    save(convert(network, 32), folder / "plain.xml")
    return folder


def read_images(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures in order as uint8 (N, H, W, 3) and their classes (N,)."""
    files = sorted(folder.glob("*/*.jpg"))
    names = sorted({file.parent.name for file in files})
    truth = torch.tensor([names.index(file.parent.name) for file in files])
    return torch.from_numpy(np.stack([SHAPE.load(file) for file in files])), truth


@pytest.mark.long
def test_int8_keeps_the_labels(learnt: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    images, _ = read_images(learnt / "train")
    asked: list[int] = []

    def load(index: int) -> UInt8Array:
        asked.append(index)
        return images[index].numpy()

    for name in ("first", "second"):
        with warnings.catch_warnings(record=True) as told:
            model = quantize(read(learnt / "plain.xml"), load, range(24), threads=1)
        save(model, tmp_path / f"{name}.xml")
        assert told == []
    # Progress bars and notes of NNCF's stay out of the log.
    assert capfd.readouterr() == ("", "")
    assert set(asked) == set(range(24))
    kinds = {node.get_type_name() for node in read(tmp_path / "first.xml").get_ops()}
    assert "FakeQuantize" in kinds
    assert (tmp_path / "first.bin").stat().st_size < 0.3 * (learnt / "plain.bin").stat().st_size
    assert (tmp_path / "first.xml").read_bytes() == (tmp_path / "second.xml").read_bytes()
    assert (tmp_path / "first.bin").read_bytes() == (tmp_path / "second.bin").read_bytes()
    others, truth = read_images(learnt / "other")
    expected = np.load(learnt / "expected.npy")
    assert (expected.argmax(1) == truth.numpy()).mean() > 0.9  # it did learn, so a margin is there
    found = openvino_form(tmp_path / "first.xml", "f32", 1)(others)
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 23 / 24
    assert 1e-4 < np.abs(found - expected).max() < 0.2 * np.abs(expected).max()  # another network, but a close one


def test_threads_are_limited_while_nncf_compiles(learnt: Path) -> None:
    core = openvino.Core()
    model = read(learnt / "plain.xml")
    plain = type(openvino.Core()).compile_model
    with limited_threads(1):
        # As NNCF calls it: with a configuration of its own, or none.
        for config in (None, {"INFERENCE_PRECISION_HINT": openvino.Type.f32}):
            compiled = core.compile_model(model, device_name="CPU", config=config)
            assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert type(openvino.Core()).compile_model is plain


def test_an_error_while_quantizing_leaves_openvino_as_it_was(learnt: Path) -> None:
    plain = type(openvino.Core()).compile_model

    def broken(_index: int) -> UInt8Array:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        quantize(read(learnt / "plain.xml"), broken, range(4), threads=1)
    assert type(openvino.Core()).compile_model is plain
