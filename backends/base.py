"""The interface of a backend, and the classes that all backends share."""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from backends.cancel import CancelToken
from backends.errors import BackendError
from backends.runs import Run
from backends.settings.sections import Settings
from contract.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from backends.sagemaker.account import ConfirmCost
    from backends.search.request import SearchRequest
    from backends.transform.inputs import ImageFiles, TransformBatch

# "name" -> "module:class", imported when chosen.
BACKENDS: Final = {
    "local": "backends.local:LocalBackend",
    "docker": "backends.docker:DockerBackend",
    "sagemaker": "backends.sagemaker.backend:CloudBackend",
}
# These are created from the settings and the person's consent; the others from an image's name.
IN_ACCOUNT: Final = ("sagemaker",)


@dataclass(frozen=True)
class JobProgress:
    """The progress of a job: `done` of `total` units of a phase, and the newest epoch's metrics."""

    phase: str
    done: int
    total: int
    unit: str
    metrics: Mapping[str, float] = field(default_factory=dict)


ProgressCallback = Callable[[JobProgress], None]


@dataclass(frozen=True)
class MachineSlot:
    """A job's part of the machine. cores: numbers of CPU cores, none for all; gpu: a UUID, None for all."""

    cores: tuple[int, ...] = ()
    gpu: str | None = None


WHOLE_MACHINE: Final = MachineSlot()


class Backend(Protocol):
    """One place where jobs run. Every method raises BackendError with one sentence when it can't do its work.

    image: the container image that they run in; empty where there is none.
    """

    name: str
    image: str

    def check_data(self, data: Path, report: Path, watch: ProgressCallback) -> None:
        """Check the data set as training would and write its report (JSON)."""

    def train(
        self, run: Run, data: Path, hyperparameters: Hyperparameters, watch: ProgressCallback,
        slot: MachineSlot = WHOLE_MACHINE, cancel: CancelToken | None = None,
    ) -> None:  # fmt: skip
        """Train in the run's folder; returns when its artifact is written. A second call in the same folder goes on
        from the checkpoints there.

        cancel: ends it, which then raises Stopped; without one, Ctrl-C and SIGTERM do, in the main thread alone.
        """

    def gpus(self) -> list[str]:
        """UUIDs of the NVIDIA GPUs that a job here may use."""

    def tuning_page(self, document: Path) -> None:
        """Write the page of a search beside its document, tuning.json."""

    def evaluate(
        self, artifact: Path, data: Path, report: Path, watch: ProgressCallback, baseline: Path | None = None
    ) -> None:
        """Evaluate an artifact on labelled images, or compare it with a baseline artifact.

        Writes the report (JSON) and beside it the page, of the same name with .html.
        """

    def debug(self, tensors: str, report: Path, rules: str, watch: ProgressCallback) -> None:
        """Apply the rules to a folder of tensors, or an s3:// URL. rules: as the hyperparameter of that name.

        Writes the report (JSON) and beside it the page, of the same name with .html.
        """

    def predict(self, artifact: Path, images: Sequence[Path]) -> list[dict[str, Any]]:
        """Classify without a server: for each image {"file", "predictions"} or {"file", "error"}."""

    def deploy(self, run: Run, artifact: Path, port: int) -> str:
        """Start serving the artifact in the background; returns the URL, which `wait_ready` waits for."""

    def wait_ready(self, run: Run, goes_on: Callable[[], bool]) -> bool:
        """Wait until a deployment answers. False when `goes_on` returns False before, or after too long a time."""

    def ask(self, run: Run, image: Path) -> dict[str, Any]:
        """A deployment's answer to one image, {"predictions": [...]}."""

    def serve(self, artifact: Path, port: int) -> int:
        """Serve in the foreground until it is ended; returns the exit code."""

    def is_alive(self, run: Run) -> bool:
        """Whether the run's process (or container) is there."""

    def stop(self, run: Run) -> None:
        """End the run's process, if it is there: SIGTERM, then SIGKILL after 30 s."""


@runtime_checkable
class Searching(Protocol):
    """A backend that chooses and runs the trials of a search itself."""

    def search(self, run: Run, request: "SearchRequest", cancel: CancelToken) -> None:
        """Search to the end, in a new tuning run or one that was cut off.

        Leaves tuning.json and its like in the run folder, the best trial in a run folder of its own, and the name of
        that as the record's `best`. Raises Stopped when cancelled, BackendError.
        """


@runtime_checkable
class Batching(Protocol):
    """A backend that transforms a batch of images as one job, and returns the results at its end."""

    def listing(self, urls: Sequence[str]) -> "ImageFiles":
        """The images below s3://... URLs."""

    def transform(
        self, run: Run, batch: "TransformBatch", watch: ProgressCallback, cancel: CancelToken
    ) -> Iterator[dict[str, Any]]:
        """A row an image, in the order of the batch: {"file", "predictions"} or {"file", "error"}.

        A second call in the same run folder goes on. Raises Stopped when cancelled, BackendError.
        """


class Registered(Backend, Protocol):
    """A backend that deploys from a registry."""

    def deploy_version(self, run: Run, version: str) -> str:
        """Start serving a registered version; returns the URL, which `wait_ready` waits for."""


@runtime_checkable
class Billable(Protocol):
    """A backend that costs money while it works, and for what it keeps."""

    def confirm_cost(self, request: "SearchRequest") -> AbstractContextManager[None]:
        """Ask once for consent to a search and an endpoint for its best trial; within the block nothing is asked again.

        Raises BackendError or Stopped where it may not be started.
        """

    def left(self) -> str:
        """What is in the account now, and what it costs a day, in words."""


def create(name: str, image: str, settings: Settings | None = None, consent: "ConfirmCost | None" = None) -> Backend:
    """The backend of that name, or of a class elsewhere, "module:Class". Raises BackendError.

    image: the container image, for backends that need one. settings, consent: for those that work in an account, which
    ask for consent before anything that costs. A class elsewhere gets the image.
    """
    module, _, attribute = BACKENDS.get(name, name).partition(":")
    if not module or not attribute:
        raise BackendError(f"--on must be {', '.join(BACKENDS)} or MODULE:CLASS, got {name!r}")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BackendError(f"--on {name} can't be imported ({error}); is its folder on PYTHONPATH?") from error
    backend: Backend = factory(settings, consent) if name in IN_ACCOUNT else factory(image)
    if name not in BACKENDS:
        _check(backend, name)
    return backend


def _check(backend: Backend, name: str) -> None:
    """Raises BackendError for a class from elsewhere that can't be used as a backend."""
    expected = [*Backend.__annotations__, *(method for method in vars(Backend) if not method.startswith("_"))]
    if missing := [attribute for attribute in expected if not hasattr(backend, attribute)]:
        raise BackendError(f"--on {name} is no backend: it lacks {', '.join(missing)} (see backends/base.py)")
    # A run's record names its backend, which is created by that name when the run is reopened.
    if backend.name != name:
        raise BackendError(f"--on {name}: the backend's name must be {name!r}, got {backend.name!r}")
