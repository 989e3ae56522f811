"""The protocol that every engine follows. `tests/contracts/test_engines.py` holds each of them to it."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from model.artifact import Artifact
from model.forms import FORMS

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float64]


# What can be asked for; not every engine and machine can do all of it.
DEVICES: Final = ("auto", "cpu", "cuda")
PRECISIONS: Final = ("auto", "f32", "bf16", "f16")
ENGINE_FORMS: Final = ("auto", *FORMS)


@dataclass(frozen=True)
class EngineOptions:
    """device: `auto`, `cpu` or `cuda`. threads: cores that all predictions together may use on the CPU, at least 1.

    precision: `auto`, or what to compute in: `f32`, `bf16`, `f16`. form: `auto`, or which of the artifact's forms
    (`model.forms`) to run.
    """

    device: str
    threads: int
    precision: str = "auto"
    form: str = "auto"


class Engine(Protocol):
    """A loaded network."""

    @property
    def description(self) -> str:
        """What it is and where it runs, for the log."""

    @property
    def max_batch(self) -> int:
        """How many waiting images to give it at once, at most; at least 1."""

    @property
    def max_concurrency(self) -> int:
        """How many threads may be in `predict` at once, at least 1; with 1 it is always the same thread."""

    def predict(self, images: UInt8Array) -> FloatArray:
        """Probabilities of shape (N, classes), rows summing to 1, for N >= 1 uint8 images of shape (N, H, W, 3).

        They are softmax(logits / the artifact's temperature).
        The images are left as they are, and a row doesn't depend on the other images.
        """


class EngineFactory(Protocol):
    """What a registry entry names. Raises UserError (ArtifactError, DeviceError) for faults of the user's.

    Of the artifact only the manifest has been read: the factory calls `artifact.verify(form)` for what it is about to
    load, and nobody reads the files of the other forms, which may be missing.
    """

    def __call__(self, artifact: Artifact, options: EngineOptions) -> Engine: ...
