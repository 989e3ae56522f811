"""Jobs and deployments as runs: creates the folder, lets the backend work, keeps the record true."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from backends.base import Backend, JobProgress, ProgressCallback, Registered, Searching
from backends.cancel import CancelToken
from backends.child import last_error
from backends.console import show_progress
from backends.errors import BackendError, Stopped
from backends.inputs import check_data_path
from backends.process import end_process, process_of
from backends.runs import Run, create_run, failure_recorded, now, recorded, trials_of
from backends.search.results import describe_search, read_search
from contract.hyperparameters import Hyperparameters

# Its trials have 30 s to leave a verdict, and then there is a report to write.
_TUNING_STOP_LIMIT_S: Final = 60.0
_STOPPED_EARLY: Final = "stopped before the server was up"


def train_run(
    backend: Backend,
    runs: Path,
    data: Path,
    hyperparameters: Hyperparameters,
    name: str | None,
    title: str = "training",
) -> Run:
    """Train in a new run folder. Raises BackendError; the record then says failed or stopped, with the reason."""
    data = check_data_path(data)
    run = create_run(
        runs, "training", name, backend=backend.name, data=str(data), hyperparameters=asdict(hyperparameters)
    )
    train_in(backend, run, data, hyperparameters, title)
    return run


def train_in(
    backend: Backend,
    run: Run,
    data: Path,
    hyperparameters: Hyperparameters,
    title: str,
    also: ProgressCallback | None = None,
) -> None:
    """Train in a run folder that is there. Raises BackendError as `train_run` does; StillRunning for a job that goes on
    without us, and the record says running.

    also: called with the progress, besides the display.
    """
    with recorded(run), show_progress(title) as watch:
        backend.train(run, data, hyperparameters, tee(watch, also) if also else watch)


def tee(first: ProgressCallback, second: ProgressCallback) -> ProgressCallback:
    """One callback that calls both."""

    def watch(progress: JobProgress) -> None:
        first(progress)
        second(progress)

    return watch


def deploy_artifact(
    backend: Backend, runs: Path, artifact: Path, port: int, name: str | None, cancel: CancelToken | None = None
) -> Run:
    """Serve an artifact in the background, and wait until it answers, or until `cancel` is requested.

    Raises BackendError when it does not come up; nothing is left running then.
    """
    return _deploy(backend, runs, str(artifact), lambda run: backend.deploy(run, artifact, port), name, cancel)


def deploy_source(
    backend: Registered, runs: Path, source: str, name: str | None, cancel: CancelToken | None = None
) -> Run:
    """As `deploy_artifact`, for a version in a registry. source: its name there."""
    return _deploy(backend, runs, source, lambda run: backend.deploy_version(run, source), name, cancel)


def _deploy(
    backend: Backend,
    runs: Path,
    source: str,
    begin: Callable[[Run], object],
    name: str | None,
    cancel: CancelToken | None,
) -> Run:
    run = create_run(runs, "deployment", name, backend=backend.name, artifact=source)
    with failure_recorded(run):
        try:
            begin(run)
            _wait_ready(backend, run, cancel or CancelToken())
        except BaseException as error:
            backend.stop(run)
            if isinstance(error, KeyboardInterrupt):
                raise Stopped(_STOPPED_EARLY) from None
            raise
    # This also writes that it is running: a `status` before there was a process may have recorded its end.
    run.update(ready_at=now())
    return run


def _wait_ready(backend: Backend, run: Run, cancel: CancelToken) -> None:
    if backend.wait_ready(run, lambda: not cancel.requested and backend.is_alive(run)):
        return
    if cancel.requested:
        raise Stopped(_STOPPED_EARLY)
    backend.stop(run)  # before its log is read: Docker's is fetched by this
    raise BackendError(f"the server did not come up: {last_error(run.log)}")


def stop_run(backend: Backend, run: Run) -> None:
    """End a run's process, for a tuning run also its trials', and record that."""
    if run.kind == "tuning":
        if process := process_of(run.record):
            end_process(process, _TUNING_STOP_LIMIT_S)
        run.reload()
        for trial in trials_of(run):
            if trial.status == "running":
                stop_run(backend, trial)
        if isinstance(backend, Searching):
            backend.stop(run)
    else:
        backend.stop(run)
    if run.status == "running":
        run.finish("stopped")


def refresh(backend: Backend, run: Run) -> None:
    """Correct a record that says running when the process that wrote it was killed and the job is gone."""
    if run.status != "running":
        return
    if run.kind == "tuning":
        # A job of the backend's outlives the process that waits for it.
        if process_of(run.record) is None and not (isinstance(backend, Searching) and backend.is_alive(run)):
            run.finish("stopped", reason=f"its process ended without a verdict; deploy.py tune --resume {run.name}")
        return
    if backend.is_alive(run):
        return
    if run.kind == "training" and run.read_json("ml/model/kennel.json").get("provenance", {}).get("completed"):
        run.finish("completed", metrics=run.metrics())
    else:
        run.finish("failed", reason=run.failure() or f"its process ended without a verdict; see {run.log}")


def describe(run: Run) -> str:
    """A run in a few words: its URL, its trials, its accuracy or the reason of its failure."""
    metrics = run.record.get("metrics") or {}
    if run.kind == "deployment" and run.status == "running":
        return str(run.record.get("url", ""))
    parts = [describe_search(read_search(run))]
    if "test_accuracy" in metrics:
        parts.append(f"test accuracy {metrics['test_accuracy']:.4f}")
    elif "validation_accuracy" in metrics:
        parts.append(f"validation accuracy {metrics['validation_accuracy']:.4f}")
    elif run.status != "stopped" or not parts[0]:
        parts.append(str(run.record.get("reason", "")))
    return "; ".join(part for part in parts if part)
