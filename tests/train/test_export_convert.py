"""OpenVINO's form gives torch's answers, for every network there is."""

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from model._openvino import openvino
from model.network import ARCHITECTURES, HEADS, Classifier, build
from model.preprocess import Preprocess
from tests.train.support import CLASSES, make_classes, picture
from train.export.convert import convert, fresh_copy, read, save
from train.export.measure import openvino_form, torch_form

CPU = torch.device("cpu")


def network(architecture: str, head: str, shape: Preprocess) -> Classifier:
    """Untrained, with BatchNorm's statistics of real pictures, and logits that differ between them."""
    torch.manual_seed(3)
    made = build(architecture, head, len(CLASSES), shape.mean, shape.std)
    last = made.head if isinstance(made.head, torch.nn.Linear) else cast("torch.nn.Sequential", made.head)[-1]
    torch.nn.init.normal_(cast("torch.nn.Linear", last).weight)
    pictures = [shape(picture(seed, level)) for seed, level in enumerate((50, 90, 130, 170, 210, 250))]
    with torch.no_grad():
        for _ in range(30):
            made(torch.from_numpy(np.stack(pictures)))
    return made.eval()


def photos(folder: Path, shape: Preprocess) -> torch.Tensor:
    """Six pictures, decoded as serving decodes them: uint8 (6, H, W, 3)."""
    make_classes(folder, 2)
    return torch.from_numpy(np.stack([shape.load(file) for file in sorted(folder.glob("*/*.jpg"))]))


@pytest.mark.parametrize(
    ("architecture", "head"),
    [
        ("resnet18", "linear"),
        ("resnet18", "mlp"),
        pytest.param("resnet34", "linear", marks=pytest.mark.long),
        pytest.param("resnet50", "mlp", marks=pytest.mark.long),
    ],
)
def test_the_same_logits(tmp_path: Path, architecture: str, head: str) -> None:
    shape = Preprocess.for_size(48)
    images = photos(tmp_path / "photos", shape)
    torchs = network(architecture, head, shape)
    save(convert(torchs, shape.image_size), tmp_path / "net.xml")
    expected = torch_form(torchs, CPU)(images)
    predict = openvino_form(tmp_path / "net.xml", "f32", 1)
    # The same float32 sums in another order, and BatchNorm folded into the convolutions: 2^-24 a rounding, which fifty
    # layers raise to some 3e-5 of the largest logit. A wrong mean, channel order or layout moves it by tenths.
    tolerance = 1e-4 * float(np.abs(expected).max())
    for batch in (images[:1], images[:5], images):
        found = predict(batch)
        assert found.shape == (len(batch), 3)
        assert found.dtype == np.float32
        assert found == pytest.approx(expected[: len(batch)], abs=tolerance)
    assert np.abs(expected - expected[0]).max() > 1000 * tolerance  # the images do differ


def test_every_network_is_covered() -> None:
    assert set(ARCHITECTURES) == {"resnet18", "resnet34", "resnet50"}
    assert HEADS == ("linear", "mlp")


def test_input_and_output(tmp_path: Path) -> None:
    shape = Preprocess.for_size(40)
    save(convert(network("resnet18", "linear", shape), 40), tmp_path / "net.xml")
    model = read(tmp_path / "net.xml")
    (given,), (result,) = model.inputs, model.outputs
    assert (given.get_names(), given.element_type) == ({"images"}, openvino.Type.u8)
    assert given.partial_shape.to_string() == "[?,40,40,3]"
    assert (result.get_names(), result.element_type) == ({"logits"}, openvino.Type.f32)
    assert result.partial_shape.to_string() == "[?,3]"
    kinds = {node.get_element_type() for node in model.get_ops() if node.get_type_name() == "Constant"}
    assert openvino.Type.f16 not in kinds


def test_the_same_network_gives_the_same_files(tmp_path: Path) -> None:
    shape = Preprocess.for_size(32)
    for name in ("a", "b"):
        save(convert(network("resnet18", "linear", shape), 32), tmp_path / f"{name}.xml")
    assert (tmp_path / "a.xml").read_bytes() == (tmp_path / "b.xml").read_bytes()
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()
    text = (tmp_path / "a.xml").read_text()
    assert "__module.backbone.layer4.1.relu/aten::relu_/Relu" in text  # names that tell where a node comes from
    assert not re.search(r'name="[A-Z]\w*_\d+"', text)
    assert str(tmp_path) not in text


def test_a_hooked_network_is_left_alone() -> None:
    shape = Preprocess.for_size(32)
    hooked = network("resnet18", "linear", shape)
    seen: list[Any] = []
    hooked.head.register_forward_hook(lambda *call: seen.append(call))
    copy = fresh_copy(hooked, "resnet18", "linear", len(CLASSES), shape)
    convert(copy, 32)
    assert seen == []
    assert not copy.training
    state = copy.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in hooked.state_dict().items())
