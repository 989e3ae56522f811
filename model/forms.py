"""The forms of an artifact's network: torch's own, and those that were converted for serving, with what each is worth.

A form is a set of files and what the network of these files scored on the validation images. Torch-free.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any, Final

from contract.errors import ArtifactError
from contract.texts import quoted_json

TORCH: Final = "torch"
OPENVINO: Final = "openvino"
OPENVINO_INT8: Final = "openvino-int8"
# An OpenVINO network is two files: the graph, and beside it under the same name its weights.
GRAPHS: Final = {OPENVINO: "openvino.xml", OPENVINO_INT8: "openvino_int8.xml"}
FORMS: Final = (TORCH, *GRAPHS)
FILES: Final = {name: (graph, graph.replace(".xml", ".bin")) for name, graph in GRAPHS.items()}

MAX_LOSS_POINTS: Final = Fraction(1, 2)  # percentage points of validation accuracy


@dataclass(frozen=True)
class FormFile:
    """One file of a form: SHA-256 in hexadecimal, and size."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Score:
    """Of `n` validation images `correct` got their label; `loss` is the mean cross entropy, None if not finite."""

    n: int
    correct: int
    loss: float | None

    @property
    def accuracy(self) -> float:
        return self.correct / self.n


@dataclass(frozen=True)
class Form:
    """A network in files (by name, none for torch's, which are the artifact's weights), and its scores.

    validation: by the precision that was asked for when it ran, `f32` or `bf16`; None where it could not be measured,
    and then `unmeasured` has the reason.
    """

    files: Mapping[str, FormFile] = field(default_factory=dict)
    validation: Mapping[str, Score | None] = field(default_factory=dict)
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, for the manifest."""
        values: dict[str, Any] = {
            "files": {name: {"sha256": file.sha256, "bytes": file.bytes} for name, file in self.files.items()},
            "validation": {precision: _score_dict(score) for precision, score in self.validation.items()},
        }
        return {**values, "unmeasured": dict(self.unmeasured)} if self.unmeasured else values

    @classmethod
    def from_dict(cls, name: str, values: Any) -> "Form":
        """The inverse of `to_dict`. Raises ArtifactError naming the form and what is wrong."""
        parts = values if isinstance(values, dict) else {}
        files, validation, unmeasured = (parts.get(part, {}) for part in ("files", "validation", "unmeasured"))
        if not parts or not all(isinstance(part, dict) for part in (files, validation, unmeasured)):
            raise ArtifactError(f"form {name}: must be an object with files and validation, got {quoted_json(values)}")
        return cls(
            {file: _file(name, file, about) for file, about in files.items()},
            {precision: _score(name, precision, score) for precision, score in validation.items()},
            {precision: str(reason) for precision, reason in unmeasured.items()},
        )


def points_lost(reference: int, correct: int, n: int) -> Fraction:
    """Percentage points of accuracy that `correct` right answers of `n` are below `reference` right ones; exact."""
    return Fraction(100 * (reference - correct), n)


def may_replace(reference: int, correct: int, n: int) -> bool:
    """Whether a form with `correct` right answers of `n` is good enough beside torch's network with `reference`.

    Counts, not accuracies: a loss of exactly half a point is allowed, and 0.905 - 0.9 is above 0.005 in floats.
    """
    return points_lost(reference, correct, n) <= MAX_LOSS_POINTS


def read_forms(manifest: Mapping[str, Any]) -> tuple[dict[str, Form], str | None]:
    """The forms in a manifest, and the name of the one to serve: ({}, None) where there are none.

    Raises ArtifactError when they are malformed.
    """
    entries, default = manifest.get("forms", {}), manifest.get("default_form")
    if not isinstance(entries, dict):
        raise ArtifactError(f"forms must be an object, got {quoted_json(entries)}")
    forms = {name: Form.from_dict(name, values) for name, values in entries.items()}
    if default is not None and (not isinstance(default, str) or default not in forms):
        raise ArtifactError(f"default_form must be one of the forms ({', '.join(forms) or 'none'}), got {default!r}")
    return forms, default


def _score_dict(score: Score | None) -> dict[str, Any] | None:
    if score is None:
        return None
    return {"accuracy": score.accuracy, "loss": score.loss, "correct": score.correct, "n": score.n}


def _file(form: str, name: str, values: Any) -> FormFile:
    # A name from a hostile manifest must not lead out of the artifact's folder.
    if name in ("", ".", "..") or name != PurePosixPath(name).name or "\\" in name or "\0" in name:
        raise ArtifactError(f"form {form}: {name!r} is no plain file name")
    digest, size = (values.get(key) if isinstance(values, dict) else None for key in ("sha256", "bytes"))
    if not isinstance(digest, str) or len(digest) != 64 or type(size) is not int or size < 0:
        raise ArtifactError(f"form {form}: {name} must have sha256 and bytes, got {quoted_json(values)}")
    return FormFile(digest, size)


def _score(form: str, precision: str, values: Any) -> Score | None:
    if values is None:
        return None
    parts = values if isinstance(values, dict) else {}
    n, correct, loss = (parts.get(key) for key in ("n", "correct", "loss"))
    counted = type(n) is int and type(correct) is int and 0 <= correct <= n and n > 0
    finite = loss is None or (isinstance(loss, int | float) and math.isfinite(loss))
    if not counted or not finite:
        raise ArtifactError(
            f"form {form}: validation in {precision} must have n, correct and loss, got {quoted_json(values)}"
        )
    return Score(parts["n"], parts["correct"], None if loss is None else float(loss))
