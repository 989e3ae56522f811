"""Pretrained weights from files of every kind, good and bad."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from contract.errors import WeightsError
from model.network import ARCHITECTURES, build, build_backbone
from model.pretrained import imagenet_url, load_backbone
from model.weights import serialise


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """torchvision's ResNet-18 as it is published: with its fc layer of 1000 classes."""
    torch.manual_seed(5)
    return ARCHITECTURES["resnet18"](weights=None).state_dict()


def loaded(file: Path, architecture: str = "resnet18") -> dict[str, Tensor]:
    torch.manual_seed(6)
    backbone, _ = build_backbone(architecture)
    assert load_backbone(backbone, architecture, str(file)) == f"file {file.name}"
    return backbone.state_dict()


def fault(pretrained: str, architecture: str = "resnet18") -> str:
    backbone, _ = build_backbone(architecture)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_backbone(backbone, architecture, pretrained)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    assert "\n" not in str(caught.value)
    return str(caught.value)


SAVERS: dict[str, Callable[[dict[str, Tensor], Path], object]] = {
    "torch.save": torch.save,
    "old format": lambda state, file: torch.save(state, file, _use_new_zipfile_serialization=False),
    "checkpoint": lambda state, file: torch.save({"epoch": 3, "state_dict": state}, file),
    "DataParallel": lambda state, file: torch.save({f"module.{n}": t for n, t in state.items()}, file),
    "without fc": lambda state, file: torch.save({n: t for n, t in state.items() if n[:3] != "fc."}, file),
    "without counters": lambda state, file: torch.save(
        {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}, file
    ),
}


@pytest.mark.parametrize("form", SAVERS)
def test_every_form_of_a_state_dict(form: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    SAVERS[form](state, tmp_path / "w.pth")
    given = loaded(tmp_path / "w.pth")
    assert len(given) == 120
    assert all(torch.equal(tensor, state[name]) for name, tensor in given.items())


def test_safetensors(state: dict[str, Tensor], tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    given = loaded(tmp_path / "w.safetensors")
    assert all(torch.equal(tensor, state[name]) for name, tensor in given.items())


def test_the_weights_of_an_artifact(tmp_path: Path) -> None:
    network = build("resnet18", "mlp", 7, (0.5,) * 3, (0.5,) * 3)
    (tmp_path / "model.safetensors").write_bytes(serialise(network))
    given = loaded(tmp_path / "model.safetensors")
    own = network.backbone.state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in given.items())


def test_none_leaves_the_network_as_it_is() -> None:
    torch.manual_seed(1)
    backbone, _ = build_backbone("resnet18")
    torch.manual_seed(1)
    same, _ = build_backbone("resnet18")
    assert load_backbone(backbone, "resnet18", "none") == "none"
    assert all(torch.equal(a, b) for a, b in zip(backbone.parameters(), same.parameters(), strict=True))


def test_weights_of_another_architecture(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.pth")
    message = fault(str(tmp_path / "w.pth"), "resnet50")
    assert f"the weights in {tmp_path / 'w.pth'} don't fit resnet50: " in message
    assert message.endswith("choose the architecture they were made for")
    # ResNet-34 has 8 blocks more: 2 convolutions and 2 BatchNorms of 4 tensors (without the counter) in each.
    assert "don't fit resnet34: 80 tensors missing, 0 unknown, 0 of another shape" in fault(
        str(tmp_path / "w.pth"), "resnet34"
    )


class Wrapper(nn.Module):
    """Some module that isn't ours, pickled whole."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"layer": 3}, "holds no state dict (name -> tensor)"),
        ([torch.zeros(2)], "holds no state dict (name -> tensor)"),
        ({0: torch.zeros(2)}, "holds no state dict (name -> tensor)"),
        ({}, "don't fit resnet18: 100 tensors missing"),
        (Wrapper(), "holds more than tensors, or is no weights file"),
    ],
)
def test_files_that_hold_something_else(content: Any, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    message = fault(str(tmp_path / "w.pth"))
    assert words in message
    assert "weights_only" not in message


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x80\x02.", b"\0" * 64, b"<html>404</html>"])
def test_files_that_are_no_weights(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    message = fault_of_bytes(tmp_path / name)
    assert "is no readable weights file (" in message or "holds more than tensors, or is no weights file" in message


def test_damaged_files_raise_nothing_else(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(2)
    refused = 0
    for old in (False, True):
        torch.save({"a": torch.ones(3)}, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
        good = (tmp_path / "w.pth").read_bytes()
        for _ in range(100):
            data = bytearray(good)
            for position in torch.randint(0, len(data), (4,), generator=random).tolist():
                data[position] = (data[position] + 97) % 256
            (tmp_path / "w.pth").write_bytes(data)
            assert fault_of_bytes(tmp_path / "w.pth")
            refused += 1
    assert refused == 200


def fault_of_bytes(file: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_backbone(nn.Linear(2, 2), "resnet18", str(file))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "w.pth", tmp_path):
        assert fault(str(path)) == (
            f"pretrained: there is no file {path}; give imagenet, none or an existing weights file"
        )


@pytest.fixture
def offline(closed_surroundings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """torch's cache in an empty folder of the test's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_imagenet_from_torchs_cache(offline: Path, state: dict[str, Tensor]) -> None:
    offline.mkdir(parents=True)
    torch.save(state, offline / "resnet18-f37072fd.pth")
    backbone, _ = build_backbone("resnet18")
    assert load_backbone(backbone, "resnet18", "imagenet") == "imagenet (resnet18-f37072fd.pth)"
    assert torch.equal(backbone.state_dict()["conv1.weight"], state["conv1.weight"])


def test_a_download_is_checked_against_its_name(
    offline: Path, state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state, tmp_path / "published")
    digits = hashlib.sha256((tmp_path / "published").read_bytes()).hexdigest()[:8]
    right, wrong = tmp_path / f"resnet18-{digits}.pth", tmp_path / "resnet18-00000000.pth"
    for file in (right, wrong):
        file.write_bytes((tmp_path / "published").read_bytes())
    monkeypatch.setattr("model.pretrained.imagenet_url", lambda _architecture: right.as_uri())
    backbone, _ = build_backbone("resnet18")
    assert load_backbone(backbone, "resnet18", "imagenet") == f"imagenet ({right.name}, downloaded)"
    assert (offline / right.name).is_file()
    monkeypatch.setattr("model.pretrained.imagenet_url", lambda _architecture: wrong.as_uri())
    message = fault("imagenet")
    assert "invalid hash value" in message
    assert not (offline / wrong.name).exists()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_network_names_the_ways_out(offline: Path, architecture: str) -> None:
    message = fault("imagenet", architecture)
    assert message.startswith(f"the ImageNet weights can't be downloaded from {imagenet_url(architecture)} (")
    name = imagenet_url(architecture).rsplit("/", 1)[1]
    assert f"either set KENNEL_PRETRAINED_DIR to a folder that holds {name} " in message
    assert message.endswith("or set pretrained to a weights file or to none")
    assert list(offline.iterdir()) == []
