"""What every backend can do, and the words they share."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from backends.errors import BackendError
from backends.runs import Run
from train.config import Hyperparameters

# "name" -> "module:attribute", imported when chosen.
BACKENDS: Final = {"local": "backends.local:LocalBackend", "docker": "backends.docker:DockerBackend"}


@dataclass(frozen=True)
class Progress:
    """How far a job has come: `done` of `total` units of a phase, and the newest epoch's metrics."""

    phase: str
    done: int
    total: int
    unit: str
    metrics: Mapping[str, float] = field(default_factory=dict)


Watch = Callable[[Progress], None]


class Backend(Protocol):
    """One place where jobs run. Every method raises BackendError with one sentence when it can't do its work."""

    name: str

    def check_data(self, data: Path, report: Path, watch: Watch) -> None:
        """Check the data set as training would and write its report (JSON)."""

    def train(self, run: Run, data: Path, hyperparameters: Hyperparameters, watch: Watch) -> None:
        """Train in the run's folder; returns when its artifact is written."""

    def evaluate(self, artifact: Path, data: Path, report: Path, watch: Watch, baseline: Path | None = None) -> None:
        """Evaluate an artifact on labelled images, or compare it with a baseline artifact.

        Writes the report (JSON) and beside it the page, of the same name with .html.
        """

    def debug(self, tensors: str, report: Path, rules: str, watch: Watch) -> None:
        """Judge a folder of tensors, or an s3:// URL. rules: as the hyperparameter of that name.

        Writes the report (JSON) and beside it the page, of the same name with .html.
        """

    def predict(self, artifact: Path, images: Sequence[Path]) -> list[dict[str, Any]]:
        """Answer without a server: for each image {"file", "predictions"} or {"file", "error"}."""

    def deploy(self, run: Run, artifact: Path, port: int) -> str:
        """Start serving the artifact in the background; returns the URL, which needs a moment to answer."""

    def serve(self, artifact: Path, port: int) -> int:
        """Serve in the foreground until it is ended; returns the exit code."""

    def is_alive(self, run: Run) -> bool:
        """Whether the run's process (or container) is there."""

    def stop(self, run: Run) -> None:
        """End the run's process, if it is there: SIGTERM, then SIGKILL after 30 s."""


def create(name: str, image: str) -> Backend:
    """The backend of that name. image: the container image, for backends that need one. Raises BackendError."""
    if name == "sagemaker":
        raise BackendError("--on sagemaker isn't there yet; use --on local or --on docker")
    if name not in BACKENDS:
        raise BackendError(f"--on must be one of {', '.join(BACKENDS)}, got {name!r}")
    module, attribute = BACKENDS[name].split(":")
    backend: Backend = getattr(importlib.import_module(module), attribute)(image)
    return backend
