"""The artifact: a folder of weights (safetensors) and a JSON manifest. Torch-free; loading executes nothing.

kennel.json          format version, architecture, classes and labels in order, preprocessing, calibration,
                     provenance, metrics
model.safetensors    the network's state dict
history.json         each epoch's metrics and its validation accuracy by class
openvino.*           the network in OpenVINO's form, and quantized to int8: see model.forms
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from contract.errors import ArtifactError
from contract.files import move_durably, write_atomic, write_json
from model.forms import FILES, GRAPHS, TORCH, Form, read_forms
from model.labels import readable_labels
from model.preprocess import Preprocess

FORMAT_VERSION: Final = 1
MANIFEST: Final = "kennel.json"
WEIGHTS: Final = "model.safetensors"
STAGING_PREFIX: Final = ".forms-"  # of folders in the artifact's in which its forms are made
_MANIFEST_LIMIT: Final = 16 * 1024 * 1024
# Beyond these a temperature makes every probability 1 or all of them equal.
_COLDEST: Final = 0.01
_HOTTEST: Final = 100.0


@dataclass(frozen=True)
class Artifact:
    """A trained classifier on disk.

    `classes` are the training folders' names, `labels` the ones for people; both in the network's order.
    Probabilities are softmax(logits / `temperature`), which is 1 for an artifact that wasn't calibrated. `forms` are
    the network's forms for serving by name, empty in artifacts without; `default_form` is the one to serve.
    """

    path: Path
    architecture: str
    head: str
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    preprocess: Preprocess
    weights_sha256: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    forms: Mapping[str, Form] = field(default_factory=dict)
    default_form: str | None = None

    @property
    def weights(self) -> Path:
        return self.path / WEIGHTS

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that change with the weights."""
        return self.weights_sha256[:12]

    def graph(self, form: str) -> Path:
        """The .xml file of an OpenVINO form; OpenVINO finds the .bin beside it. Raises ArtifactError without one.

        `verify` checks that the files are there and unchanged.
        """
        if form not in GRAPHS or form not in self.forms:
            known = ", ".join(name for name in self.forms if name in GRAPHS) or "none"
            raise ArtifactError(
                f"{self.path} has no form {form} for OpenVINO (it has: {known}); train with export=int8"
            )
        return self.path / GRAPHS[form]

    @classmethod
    def read(cls, path: Path) -> "Artifact":
        """What the manifest in folder `path` says; no other file is looked at before `verify`.

        Raises ArtifactError when the manifest is missing, too new or malformed.
        """
        return _from_manifest(path, _read_manifest(path))

    @classmethod
    def load(cls, path: Path, verify: bool = True) -> "Artifact":
        """Read the manifest in folder `path` and see that weights and all forms are there; with `verify`, unchanged.

        Raises ArtifactError when a file is missing, too new, malformed or changed.
        """
        artifact = cls.read(path)
        for form in {TORCH: None, **artifact.forms}:
            _check(path, artifact.files(form), verify)
        return artifact

    def verify(self, form: str) -> None:
        """Check the files of one form (`model.forms`) against their SHA-256: what is about to be loaded.

        Raises ArtifactError when there is no such form, or a file of it is missing or changed.
        """
        _check(self.path, self.files(form), True)

    def files(self, form: str) -> dict[str, str]:
        """The files of one form, and the SHA-256 that each should have. Raises ArtifactError without such a form."""
        if form != TORCH and form not in self.forms:
            known = ", ".join(dict.fromkeys((TORCH, *self.forms)))
            raise ArtifactError(f"{self.path} has no form {form} (it has: {known}); train with export=int8")
        listed = self.forms[form].files if form in self.forms else {}
        if missing := set(FILES.get(form, ())) - set(listed):
            raise ArtifactError(
                f"{self.path / MANIFEST}: form {form} lists no {min(missing)}; copy the artifact's folder again"
            )
        own = {WEIGHTS: self.weights_sha256} if form == TORCH else {}
        return {**own, **{name: file.sha256 for name, file in listed.items()}}


def save(  # noqa: PLR0913 - by keyword alone, each a part of the artifact
    path: Path,
    *,
    architecture: str,
    head: str,
    classes: Sequence[str],
    preprocess: Preprocess,
    weights: bytes,
    provenance: Mapping[str, Any],
    metrics: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> Artifact:
    """Write an artifact into folder `path`, replacing an older one.

    weights: the serialised safetensors file. files: what else belongs to it, by name. calibration: `temperature`,
    and what it was fitted on. The manifest comes last and an old one goes first, so at every moment the folder holds
    a whole artifact or none.
    """
    path.mkdir(parents=True, exist_ok=True)
    (path / MANIFEST).unlink(missing_ok=True)
    _remove_forms(path)
    # Left by a process that was killed while it made forms.
    for folder in path.glob(f"{STAGING_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)
    write_atomic(path / WEIGHTS, weights)
    for name, content in (files or {}).items():
        write_atomic(path / name, content)
    digest = hashlib.sha256(weights).hexdigest()
    labels = readable_labels(classes)
    pairs = [{"name": name, "label": label} for name, label in zip(classes, labels, strict=True)]
    write_json(
        path / MANIFEST,
        {
            "format_version": FORMAT_VERSION,
            "architecture": architecture,
            "head": head,
            "classes": pairs,
            "preprocessing": preprocess.to_dict(),
            "weights": {"sha256": digest},
            **({"calibration": calibration} if calibration is not None else {}),
            "provenance": provenance,
            "metrics": metrics,
        },
    )
    return Artifact.load(path, verify=False)


def add_forms(path: Path, forms: Mapping[str, Form], default: str, staged: Path) -> Artifact:
    """Move the forms' files from the folder `staged` into the artifact in `path`, and list them in its manifest.

    staged: on the same file system. `save` has written the artifact before: the network is safe by then, whatever
    happens while the forms are made, and the folder holds a whole artifact at every moment.
    """
    manifest = _read_manifest(path)
    if "forms" in manifest:
        _write_notes(path, manifest, {})
        _remove_forms(path)
    for form in forms.values():
        for name in form.files:
            move_durably(staged / name, path / name)
    entries = {name: form.to_dict() for name, form in forms.items()}
    _write_notes(path, manifest, {"forms": entries, "default_form": default})
    return Artifact.load(path, verify=False)


def note_forms_error(path: Path, reason: str) -> None:
    """Say in the manifest of the artifact in `path` why it has no forms."""
    _write_notes(path, _read_manifest(path), {"forms_error": reason})
    _remove_forms(path)


def _write_notes(path: Path, manifest: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
    old = ("forms", "default_form", "forms_error")
    write_json(path / MANIFEST, {**{key: value for key, value in manifest.items() if key not in old}, **notes})


def _remove_forms(path: Path) -> None:
    for name in (name for files in FILES.values() for name in files):
        (path / name).unlink(missing_ok=True)


def _check(path: Path, files: Mapping[str, str], verify: bool) -> None:
    for name, digest in files.items():
        if not (path / name).is_file():
            raise ArtifactError(f"{path} has no {name}; train again, or copy the artifact's folder whole")
        if verify and (actual := sha256(path / name)) != digest:
            raise ArtifactError(
                f"{path / name} isn't the file that was trained: its SHA-256 is {actual[:12]}..., "
                f"the manifest says {digest[:12]}...; copy the artifact's folder again"
            )


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    if not file.is_file():
        raise ArtifactError(f"{path} holds no artifact: there is no {MANIFEST} in it; give the folder that train wrote")
    if file.stat().st_size > _MANIFEST_LIMIT:
        raise ArtifactError(f"{file} is larger than {_MANIFEST_LIMIT} bytes, so it is no manifest of Kennel's")
    try:
        manifest = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file} is not valid JSON ({error}); copy the artifact's folder again") from error
    if not isinstance(manifest, dict):
        raise ArtifactError(f"{file} must hold a JSON object, got {type(manifest).__name__}")
    version = manifest.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise ArtifactError(
            f"{file} has format_version {version!r}, this Kennel reads {FORMAT_VERSION}; use the version that wrote it"
        )
    return manifest


def _from_manifest(path: Path, manifest: dict[str, Any]) -> Artifact:
    def text(value: Any, name: str) -> str:
        if not isinstance(value, str) or not value:
            raise ArtifactError(f"{path / MANIFEST}: {name} must be a non-empty string, got {value!r}")
        return value

    entries = manifest.get("classes")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ArtifactError(f"{path / MANIFEST}: classes must be a non-empty list of objects with name and label")
    classes = tuple(text(entry.get("name"), "a class's name") for entry in entries)
    if len(set(classes)) != len(classes):
        raise ArtifactError(f"{path / MANIFEST}: two classes have the same name")
    weights = manifest.get("weights")
    forms, default_form = read_forms(manifest)
    return Artifact(
        path=path,
        architecture=text(manifest.get("architecture"), "architecture"),
        head=text(manifest.get("head"), "head"),
        classes=classes,
        labels=tuple(text(entry.get("label"), "a class's label") for entry in entries),
        preprocess=Preprocess.from_dict(manifest.get("preprocessing")),
        weights_sha256=text(weights.get("sha256") if isinstance(weights, dict) else None, "weights.sha256"),
        provenance=_mapping(manifest.get("provenance")),
        metrics=_mapping(manifest.get("metrics")),
        temperature=_temperature(path, manifest),
        forms=forms,
        default_form=default_form,
    )


def _temperature(path: Path, manifest: dict[str, Any]) -> float:
    if "calibration" not in manifest:
        return 1.0
    calibration = manifest["calibration"]
    value = calibration.get("temperature") if isinstance(calibration, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _COLDEST <= value <= _HOTTEST:
        raise ArtifactError(
            f"{path / MANIFEST}: calibration.temperature must be a number from {_COLDEST:g} to {_HOTTEST:g}, "
            f"got {value!r}; train again, or copy the artifact's folder again"
        )
    return float(value)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
