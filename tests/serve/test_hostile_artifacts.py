"""Artifacts that are broken, or made to harm: reported in one sentence, exit code 2, nothing executed."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ArtifactError
from model.artifact import Artifact
from tests.serve.conftest import Start, Toy, encoded, photo


class Evil:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self._path,))


Change = Callable[[dict[str, Any]], Any]


def without(name: str) -> Change:
    return lambda manifest: {key: value for key, value in manifest.items() if key != name}


def replaced(*path: str, by: Any) -> Change:
    def change(manifest: dict[str, Any]) -> Any:
        inner = manifest
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = by
        return manifest

    return change


MANIFESTS: dict[str, Change] = {
    "no classes": without("classes"),
    "no preprocessing": without("preprocessing"),
    "no weights": without("weights"),
    "a list": lambda manifest: [manifest],
    "a newer format": replaced("format_version", by=2),
    "classes of a wrong type": replaced("classes", by={"name": "x"}),
    "class names of a wrong type": replaced("classes", by=[{"name": 1, "label": 2}]),
    "NaN": replaced("preprocessing", "mean", by=[float("nan")] * 3),
    "infinite": replaced("preprocessing", "std", by=[float("inf")] * 3),
    "zero": replaced("preprocessing", "std", by=[0, 0, 0]),
    "a huge image": replaced("preprocessing", "image_size", by=10**9),
    "a boolean": replaced("preprocessing", "image_size", by=True),
    "an attribute for a method": replaced("preprocessing", "interpolation", by="__class__"),
    "another checksum": replaced("weights", "sha256", by="0" * 64),
    "a number for a checksum": replaced("weights", "sha256", by=5),
}


@pytest.fixture
def copy(toy: Toy, tmp_path: Path) -> Path:
    """A folder below which the toy's artifact lies, to be changed."""
    shutil.copytree(toy.ml_root, tmp_path / "ml")
    return tmp_path / "ml"


def refused(start: Start, root: Path) -> str:
    server = start(ml_root=root)
    assert server.wait() == 2, server.log
    assert server.log.count("\n") == 1, server.log
    assert server.log.startswith("error: ")
    return server.log


@pytest.mark.parametrize("kind", list(MANIFESTS))
def test_manifests(copy: Path, kind: str) -> None:
    file = copy / "model" / "kennel.json"
    file.write_text(json.dumps(MANIFESTS[kind](json.loads(file.read_text()))))
    with pytest.raises(ArtifactError) as caught:
        Artifact.load(copy / "model")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_manifest(copy: Path) -> None:
    file = copy / "model" / "kennel.json"
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"x": "' + bytes(17_000_000)):
        file.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"kennel\.json"):
            Artifact.load(copy / "model")


def test_the_server_tells_it_and_ends(start: Start, copy: Path) -> None:
    file = copy / "model" / "kennel.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps(MANIFESTS["NaN"](manifest)))
    assert "mean must be three finite numbers, got [nan, nan, nan]" in refused(start, copy)
    file.write_bytes(b"[" * 100_000)
    assert "kennel.json is not valid JSON" in refused(start, copy)
    shutil.rmtree(copy / "model")
    assert "give the folder that train wrote" in refused(start, copy)


def ended(start: Start, root: Path, **settings: str) -> str:
    """The sentence with which it ends: an engine, and so after the start, finds a fault in the files it loads."""
    server = start(ml_root=root, **settings)
    assert server.wait() == 2, server.log
    assert "Traceback" not in server.log
    errors = [line for line in server.log.splitlines() if line.startswith("error: ")]
    assert errors == server.log.splitlines()[-1:], server.log
    return errors[0]


def test_a_pickle_for_weights_is_not_run(start: Start, copy: Path, tmp_path: Path) -> None:
    weights = copy / "model" / "model.safetensors"
    weights.write_bytes(pickle.dumps(Evil(tmp_path / "pwned")))
    assert "SHA-256" in ended(start, copy)
    assert not (tmp_path / "pwned").exists()


def test_weights_elsewhere_are_not_looked_for(start: Start, copy: Path, tmp_path: Path) -> None:
    file = copy / "model" / "kennel.json"
    manifest = json.loads(file.read_text())
    manifest["weights"]["file"] = "../../../etc/passwd"
    file.write_text(json.dumps(manifest))
    (copy / "model" / "model.safetensors").unlink()
    assert "has no model.safetensors" in ended(start, copy)


@pytest.mark.parametrize("found", ["changed", "missing"])
def test_files_that_are_not_served_may_be_anything(start: Start, copy: Path, found: str) -> None:
    names = ("openvino_int8.xml", "openvino_int8.bin")
    for name in names:
        (copy / "model" / name).write_bytes(name.encode())
    file = copy / "model" / "kennel.json"
    manifest = json.loads(file.read_text())
    files = {name: {"sha256": hashlib.sha256(name.encode()).hexdigest(), "bytes": len(name)} for name in names}
    manifest["forms"] = {"torch": {"files": {}}, "openvino-int8": {"files": files}}
    file.write_text(json.dumps(manifest))
    weights = copy / "model" / "model.safetensors"
    if found == "changed":
        weights.write_bytes(b"changed")
    else:
        weights.unlink()
    engine = {"KENNEL_ENGINE": "tests.serve.engines:OtherFormEngine"}
    server = start(ml_root=copy, **engine)
    server.wait_ready()
    assert server.invoke(encoded(photo(1))).status == 200
    (copy / "model" / names[1]).write_bytes(b"changed")
    assert "openvino_int8.bin isn't the file that was trained" in ended(start, copy, **engine)
