"""The artifact on disk: whole or not there, nothing executed, every fault in one sentence."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from contract.errors import ArtifactError
from model import artifact
from model.artifact import Artifact
from model.network import build
from model.preprocess import Preprocess
from model.weights import load_network, serialise

SHAPE = Preprocess.for_size(32)
CLASSES = ("001.Affenpinscher", "German_shepherd_dog")


@pytest.fixture(scope="module")
def weights() -> bytes:
    torch.manual_seed(0)
    return serialise(build("resnet18", "linear", 2, SHAPE.mean, SHAPE.std))


def save(folder: Path, weights: bytes) -> Artifact:
    return artifact.save(
        folder,
        architecture="resnet18",
        head="linear",
        classes=CLASSES,
        preprocess=SHAPE,
        weights=weights,
        provenance={"completed": True},
        metrics={"test_accuracy": 0.5},
    )


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "kennel.json").read_text())
    change(manifest)
    (folder / "kennel.json").write_text(json.dumps(manifest))


def fault(folder: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_network(Artifact.load(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_saved_and_loaded(tmp_path: Path, weights: bytes) -> None:
    saved = save(tmp_path / "model", weights)
    loaded = Artifact.load(tmp_path / "model")
    assert loaded == saved
    assert loaded.classes == CLASSES
    assert loaded.labels == ("Affenpinscher", "German shepherd dog")
    assert loaded.preprocess == SHAPE
    assert loaded.provenance == {"completed": True}
    assert loaded.metrics == {"test_accuracy": 0.5}
    assert loaded.weights_sha256 == hashlib.sha256(weights).hexdigest()
    assert loaded.id == loaded.weights_sha256[:12]
    network = load_network(loaded)
    assert not network.training
    assert serialise(network) == weights
    assert sorted(each.name for each in (tmp_path / "model").iterdir()) == [
        "kennel.json",
        "model.safetensors",
    ]
    assert all(each.stat().st_mode & 0o777 == 0o644 for each in (tmp_path / "model").iterdir())


def test_files_appear_by_rename_and_the_manifest_last(
    tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, weights)
    seen: list[tuple[str, list[str]]] = []
    rename = Path.replace

    def watch(source: Path, target: Path) -> Path:
        whole = [each.name for each in tmp_path.iterdir() if not each.name.startswith(".")]
        seen.append((target.name, sorted(whole)))
        assert source.parent == target.parent
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", watch)
    save(tmp_path, weights)
    # The older manifest has gone before the weights change, so at no time do the two disagree.
    assert seen == [("model.safetensors", ["model.safetensors"]), ("kennel.json", ["model.safetensors"])]


def test_a_crash_while_writing_leaves_no_artifact(
    tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, weights)

    def crash(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, weights[:-4])
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert "there is no kennel.json" in fault(tmp_path)


class Payload:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.file), 0o755)


def test_hostile_weights_execute_nothing(tmp_path: Path, weights: bytes) -> None:
    trace = tmp_path / "executed"
    hostile = [pickle.dumps(Payload(trace))]
    torch.save({"head.weight": Payload(trace)}, tmp_path / "hostile.pth")
    hostile.append((tmp_path / "hostile.pth").read_bytes())
    for number, content in enumerate(hostile):
        folder = tmp_path / f"model{number}"
        save(folder, weights)
        (folder / "model.safetensors").write_bytes(content)
        assert "isn't the file that was trained" in fault(folder)
        # With the checksum forged, reading it is refused.
        digest = hashlib.sha256(content).hexdigest()
        edit(folder, lambda manifest, digest=digest: manifest["weights"].update(sha256=digest))  # type: ignore[misc]
        assert "is no readable safetensors file" in fault(folder)
        assert not trace.exists()
    pickle.loads(hostile[0])
    assert trace.exists()  # the payload was a live one


def test_changed_weights(tmp_path: Path, weights: bytes) -> None:
    save(tmp_path, weights)
    changed = bytearray(weights)
    changed[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(changed)
    message = fault(tmp_path)
    assert hashlib.sha256(weights).hexdigest()[:12] in message
    assert hashlib.sha256(changed).hexdigest()[:12] in message
    assert Artifact.load(tmp_path, verify=False).classes == CLASSES


@pytest.mark.parametrize("version", [2, 0, None, "1", True])
def test_another_format_version(tmp_path: Path, weights: bytes, version: object) -> None:
    save(tmp_path, weights)
    edit(tmp_path, lambda manifest: manifest.update(format_version=version))
    assert f"has format_version {version!r}, this Kennel reads 1; use the version that wrote it" in fault(tmp_path)


def test_a_folder_that_is_no_artifact(tmp_path: Path, weights: bytes) -> None:
    assert fault(tmp_path) == (
        f"{tmp_path} holds no artifact: there is no kennel.json in it; give the folder that train wrote"
    )
    save(tmp_path, weights)
    (tmp_path / "model.safetensors").unlink()
    assert "has no model.safetensors; train again" in fault(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"[]", b"null"])
def test_a_manifest_that_is_no_json_object(tmp_path: Path, weights: bytes, content: bytes) -> None:
    save(tmp_path, weights)
    (tmp_path / "kennel.json").write_bytes(content)
    assert "is not valid JSON" in fault(tmp_path) or "must hold a JSON object" in fault(tmp_path)


def test_a_temperature_is_kept_and_1_when_there_is_none(tmp_path: Path, weights: bytes) -> None:
    assert save(tmp_path, weights).temperature == 1.0
    edit(tmp_path, lambda manifest: manifest.update(calibration={"temperature": 2}))
    assert Artifact.load(tmp_path).temperature == 2.0


@pytest.mark.parametrize(
    "calibration", [None, [], 2.0, {}, *({"temperature": t} for t in (0, -1.0, True, "2", 1e300, 10**400, None))]
)
def test_a_temperature_that_is_no_fit_number(tmp_path: Path, weights: bytes, calibration: object) -> None:
    save(tmp_path, weights)
    edit(tmp_path, lambda manifest: manifest.update(calibration=calibration))
    assert "calibration.temperature must be a number from 0.01 to 100, got " in fault(tmp_path)


def test_a_temperature_that_is_not_a_number(tmp_path: Path, weights: bytes) -> None:
    save(tmp_path, weights)
    text = (tmp_path / "kennel.json").read_text()
    (tmp_path / "kennel.json").write_text(text.replace('"metrics"', '"calibration": {"temperature": NaN}, "metrics"'))
    assert "calibration.temperature must be a number from 0.01 to 100, got nan" in fault(tmp_path)


def test_a_manifest_of_gigabytes_is_not_read(tmp_path: Path, weights: bytes) -> None:
    save(tmp_path, weights)
    with (tmp_path / "kennel.json").open("r+b") as file:
        file.truncate(10 * 1024**3)  # sparse
    assert "is larger than 16777216 bytes" in fault(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("architecture"), "architecture must be a non-empty string, got None"),
        (
            lambda m: m.update(architecture="vgg16"),
            "is a vgg16 with a linear head, which this Kennel doesn't know",
        ),
        (lambda m: m.update(architecture="resnet34"), "don't fit its manifest"),
        (lambda m: m.update(head="mlp"), "don't fit its manifest"),
        (lambda m: m.update(head=["linear"]), "head must be a non-empty string"),
        (lambda m: m.update(classes=[]), "classes must be a non-empty list"),
        (
            lambda m: m.update(classes=["a", "b"]),
            "classes must be a non-empty list of objects with name and label",
        ),
        (lambda m: m["classes"].append({"name": "pug", "label": "pug"}), "don't fit its manifest"),
        (lambda m: m["classes"].append(m["classes"][0]), "two classes have the same name"),
        (lambda m: m["classes"][0].update(label=""), "a class's label must be a non-empty string"),
        (lambda m: m.update(weights={}), "weights.sha256 must be a non-empty string"),
        (lambda m: m.update(weights="model.pth"), "weights.sha256 must be a non-empty string"),
        (lambda m: m["preprocessing"].update(image_size=-1), "image_size must be an integer from 1"),
    ],
)
def test_a_manifest_that_does_not_fit(
    tmp_path: Path, weights: bytes, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    save(tmp_path, weights)
    edit(tmp_path, change)
    assert words in fault(tmp_path)


def test_the_weights_are_plain_tensors(tmp_path: Path, weights: bytes) -> None:
    save(tmp_path, weights)
    state = safetensors.torch.load_file(tmp_path / "model.safetensors")
    # Convolutions 20, BatchNorm 20 x 5, head 2; the normalisation is in the manifest.
    assert len(state) == 122
    assert not any(name.startswith("normalise") for name in state)
