"""The forms in an artifact: written after it, listed in its manifest, verified, and optional."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ArtifactError
from model import artifact
from model.artifact import Artifact
from model.forms import Form, FormFile, Score
from model.preprocess import Preprocess

SHAPE = Preprocess.for_size(32)
CONTENTS = {
    "openvino.xml": b"<net/>", "openvino.bin": b"weights",
    "openvino_int8.xml": b"<net int8/>", "openvino_int8.bin": b"w",
}  # fmt: skip


def save(folder: Path) -> Artifact:
    return artifact.save(folder, architecture="resnet18", head="linear", classes=("a", "b"), preprocess=SHAPE,
                         weights=b"torch's", provenance={}, metrics={})  # fmt: skip


def forms(*names: str) -> dict[str, Form]:
    files = {name: FormFile(hashlib.sha256(content).hexdigest(), len(content)) for name, content in CONTENTS.items()}
    whole = {
        "torch": Form(validation={"f32": Score(10, 9, 0.25)}),
        "openvino": Form(
            {name: files[name] for name in ("openvino.xml", "openvino.bin")},
            {"f32": Score(10, 9, 0.25), "bf16": None},
            {"bf16": "an old CPU"},
        ),
        "openvino-int8": Form(
            {name: files[name] for name in ("openvino_int8.xml", "openvino_int8.bin")}, {"f32": Score(10, 3, None)}
        ),
    }
    return {name: whole[name] for name in names or whole}


def staged(folder: Path) -> Path:
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """The folder of an artifact with three forms."""
    save(tmp_path / "model")
    artifact.add_forms(tmp_path / "model", forms(), "openvino", staged(tmp_path / "staged"))
    return tmp_path / "model"


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "kennel.json").read_text())
    change(manifest)
    (folder / "kennel.json").write_text(json.dumps(manifest))


def test_written_and_read(whole: Path) -> None:
    found = Artifact.load(whole)
    assert found.forms == forms()
    assert found.default_form == "openvino"
    assert found.graph("openvino-int8") == whole / "openvino_int8.xml"
    manifest = json.loads((whole / "kennel.json").read_text())
    assert manifest["forms"]["torch"] == {
        "files": {},
        "validation": {"f32": {"accuracy": 0.9, "loss": 0.25, "correct": 9, "n": 10}},
    }
    assert manifest["forms"]["openvino"]["validation"]["bf16"] is None
    assert manifest["forms"]["openvino"]["unmeasured"] == {"bf16": "an old CPU"}
    assert manifest["forms"]["openvino-int8"]["validation"]["f32"]["loss"] is None
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in whole.iterdir())


def test_an_artifact_without_forms(tmp_path: Path) -> None:
    found = save(tmp_path)
    assert (found.forms, found.default_form) == ({}, None)
    assert not {"forms", "default_form", "forms_error"} & set(json.loads((tmp_path / "kennel.json").read_text()))
    for name in ("openvino", "torch"):
        with pytest.raises(
            ArtifactError, match=rf"has no form {name} for OpenVINO \(it has: none\); train with export"
        ):
            found.graph(name)


def test_another_training_removes_the_forms_of_the_last(whole: Path) -> None:
    (whole / ".forms-killed").mkdir()
    (whole / ".forms-killed" / "openvino.xml").write_bytes(b"half")
    assert save(whole).forms == {}
    assert {file.name for file in whole.iterdir()} == {"kennel.json", "model.safetensors"}


def test_the_reason_why_there_are_none(whole: Path) -> None:
    artifact.note_forms_error(whole, "RuntimeError: no")
    manifest = json.loads((whole / "kennel.json").read_text())
    assert manifest["forms_error"] == "RuntimeError: no"
    assert Artifact.load(whole).forms == {}
    assert {file.name for file in whole.iterdir()} == {"kennel.json", "model.safetensors"}


def test_at_every_moment_there_is_a_whole_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    save(folder)
    rename = Path.replace
    seen: list[tuple[str, list[str]]] = []

    def watch(source: Path, target: Path) -> Path:
        seen.append((target.name, list(Artifact.load(folder).forms)))
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", watch)
    artifact.add_forms(folder, forms("torch", "openvino"), "openvino", staged(tmp_path / "one"))
    assert seen == [("openvino.xml", []), ("openvino.bin", []), ("kennel.json", [])]
    seen.clear()
    artifact.add_forms(folder, forms("torch", "openvino"), "openvino", staged(tmp_path / "two"))
    # The manifest stops naming files before they change.
    assert [name for name, _ in seen] == ["kennel.json", "openvino.xml", "openvino.bin", "kennel.json"]
    assert [names for _, names in seen] == [["torch", "openvino"], [], [], []]


@pytest.mark.parametrize("name", CONTENTS)
def test_a_missing_or_changed_file(whole: Path, name: str) -> None:
    (whole / name).write_bytes(b"?")
    with pytest.raises(ArtifactError) as caught:
        Artifact.load(whole)
    digest = hashlib.sha256(CONTENTS[name]).hexdigest()[:12]
    assert str(caught.value).startswith(f"{whole / name} isn't the file that was trained: its SHA-256 is 8a8de823d5ed")
    assert f"the manifest says {digest}...; copy the artifact's folder again" in str(caught.value)
    assert Artifact.load(whole, verify=False).forms == forms()
    (whole / name).unlink()
    with pytest.raises(ArtifactError, match="train again, or copy the artifact's folder whole"):
        Artifact.load(whole, verify=False)


def test_only_what_is_asked_for_is_checked(whole: Path) -> None:
    for name in ("model.safetensors", "openvino.bin"):
        (whole / name).unlink()
    (whole / "openvino.xml").write_bytes(b"?")
    found = Artifact.read(whole)
    found.verify("openvino-int8")
    with pytest.raises(ArtifactError, match=r"has no model\.safetensors"):
        found.verify("torch")
    with pytest.raises(ArtifactError, match=r"openvino\.xml isn't the file that was trained"):
        found.verify("openvino")
    (whole / "openvino_int8.bin").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"openvino_int8\.bin isn't the file that was trained"):
        found.verify("openvino-int8")
    with pytest.raises(
        ArtifactError, match=r"no form onnx \(it has: torch, openvino, openvino-int8\); train with export"
    ):
        found.verify("onnx")


def test_torchs_form_needs_no_entry(tmp_path: Path) -> None:
    save(tmp_path).verify("torch")
    with pytest.raises(ArtifactError, match=r"no form openvino \(it has: torch\)"):
        Artifact.read(tmp_path).verify("openvino")


@pytest.mark.parametrize("missing", ["openvino.xml", "openvino.bin"])
def test_a_file_without_a_checksum_is_not_served(whole: Path, missing: str) -> None:
    edit(whole, lambda m: m["forms"]["openvino"]["files"].pop(missing))
    with pytest.raises(ArtifactError, match=f"form openvino lists no {missing}; copy the artifact's folder again"):
        Artifact.read(whole).verify("openvino")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(forms=[]), "forms must be an object, got []"),
        (
            lambda m: m.update(forms={"openvino": 1}),
            "form openvino: must be an object with files and validation, got 1",
        ),
        (lambda m: m["forms"]["openvino"].update(files=[1]), "form openvino: must be an object with files"),
        (
            lambda m: m.update(default_form="onnx"),
            "default_form must be one of the forms (torch, openvino, openvino-int8)",
        ),
        (lambda m: m.update(default_form=["torch"]), "default_form must be one of the forms"),
        (
            lambda m: m["forms"]["torch"]["validation"].update(f32=1),
            "form torch: validation in f32 must have n, correct",
        ),
        (lambda m: m["forms"]["torch"]["validation"]["f32"].update(n=0), "validation in f32 must have n, correct"),
        (
            lambda m: m["forms"]["torch"]["validation"]["f32"].update(correct=11),
            "validation in f32 must have n, correct",
        ),
        (
            lambda m: m["forms"]["torch"]["validation"]["f32"].update(loss="low"),
            "validation in f32 must have n, correct",
        ),
        (
            lambda m: m["forms"]["openvino"]["files"].update(x={"sha256": "1"}),
            "form openvino: x must have sha256 and bytes",
        ),
    ],
)
def test_a_manifest_that_does_not_fit(whole: Path, change: Callable[[dict[str, Any]], object], words: str) -> None:
    edit(whole, change)
    with pytest.raises(ArtifactError) as caught:
        Artifact.load(whole)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "a\0b"])
def test_a_file_outside_the_folder_is_not_read(whole: Path, name: str) -> None:
    edit(whole, lambda m: m["forms"]["openvino"]["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    with pytest.raises(ArtifactError, match="is no plain file name"):
        Artifact.load(whole)
